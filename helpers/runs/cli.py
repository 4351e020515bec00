"""The command line: ``workbook run``, and what is done with runs, models and images."""

import argparse
import errno
import os
import select
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from helpers.checks import WorkbookError
from helpers.runs.parameters import (
    DEFAULT_PROFILE,
    Parameters,
    compared_with,
    from_profile,
    parse_value,
    profiles,
    split_model,
)
from helpers.runs.paths import absolute_paths
from helpers.runs.report.results import FORMATS, Drawing

if TYPE_CHECKING:
    import pandas as pd

    from helpers.data.texts import Texts
    from helpers.runs.run import Run

SHOWN_IMAGES = 10
SHOWN_GROUPS = 5
BAD_INPUT = 2
FAILED = 1
INTERRUPTED = 130
UNREAD = 141  # 128 + SIGPIPE, as a shell says of programs that end so
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    given = _parser().parse_args(arguments)
    try:
        with _each_warning_once():
            code = given.command(given)
        sys.stdout.flush()
        return code
    except WorkbookError as error:
        print(f"workbook: {error}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        if not any(map(_is_unread, (sys.stdout, sys.stderr))):
            raise
        # Whoever read the output, such as head, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return UNREAD
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        print(f"workbook: {_unwritten(error)}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("workbook: interrupted; the same command goes on from here.", file=sys.stderr)
        return INTERRUPTED


@contextmanager
def _each_warning_once() -> Iterator[None]:
    """Say each warning once and alone, not with the line of code that gives it."""
    said = set()

    def say(message: Warning, *_) -> None:
        if str(message) not in said:
            said.add(str(message))
            print(f"Note: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = say
        yield


def _is_unread(stream: TextIO) -> bool:
    """Tell whether a stream is a pipe that nobody reads."""
    poll = select.poll()
    poll.register(stream)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _unwritten(error: OSError) -> str:
    file = f"{error.filename} can't be written" if error.filename else "The run can't be written"
    return f"{file}: {error.strerror}. What is there is sound; the same command goes on from there."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="workbook",
        description="What does a change to an image do to CLIP, and which part of CLIP does it?",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_runs, _add_lists, _add_results, _add_comparisons):
        add(partial(_add, commands))
    return parser


def _add(
    commands, function: Callable[[argparse.Namespace], int], *arguments: tuple, **options: object
) -> None:
    """Add the command that a function carries out, under its name."""
    command = commands.add_parser(function.__name__.removeprefix("_"), **options)
    for names, settings in arguments:
        command.add_argument(*names, **settings)
    command.set_defaults(command=function)


def _argument(*names: str, **settings: object) -> tuple:
    return names, settings


def _folder(path: str) -> Path:
    return Path(path).expanduser().absolute()


def _add_runs(add: Callable) -> None:
    folder = _argument("folder", metavar="RUN", type=_folder, help="folder of the run")
    add(
        _run,
        _argument(
            "profile",
            nargs="?",
            default=DEFAULT_PROFILE,
            metavar="PROFILE",
            help=f"set of parameters: {', '.join(profiles())} (default: {DEFAULT_PROFILE})",
        ),
        _argument(
            "-p",
            nargs=2,
            action="append",
            default=[],
            metavar=("NAME", "VALUE"),
            dest="values",
            help="replace a parameter, such as -p images ~/photos; may be repeated",
        ),
        _argument("--out", metavar="DIR", help="folder of the run"),
        help="run the notebooks and write a report",
        description="Run the numbered notebooks with one set of parameters and write a report.",
        epilog=f"Parameters: {', '.join(field.name for field in fields(Parameters))}.",
    )
    share = "part of the images (default: 0.01; at least one)"
    add(
        _verify,
        folder,
        _argument("--share", type=float, default=0.01, help=share),
        help="check a finished run",
        description="Check all checksums of a run, then compute a random share of its images anew"
        " and compare. The exit code is 0 only if all agrees. Nothing is written.",
    )
    add(
        _repeat,
        folder,
        _argument("--out", metavar="DIR", help="folder of the new one (default: RUN-again)"),
        help="do a run again",
        description="Run the notebooks again with the parameters in the run's run.json, and tell"
        " where versions, weights, images or values are not as they were.",
    )


def _add_lists(add: Callable) -> None:
    model = "a name of open_clip's, a folder or a hub id: show its weights, tag by tag"
    source = "a named source, folder, shards, list or image; or several: [photos, ~/photos]"
    add(
        _models,
        _argument("name", nargs="?", metavar="NAME", help=model),
        help="list the models: what works with each, and which weights are here",
    )
    add(
        _images,
        _argument("source", metavar="SOURCE", help=source),
        help="list what a source of images holds",
    )


def _add_results(add: Callable) -> None:
    place = "a file NAME.html (default: report.html in the run's folder), or a folder"
    notebooks = "such as 08 (default: all)"
    add(
        _report,
        _argument("run", metavar="RUN", help="folder of the run"),
        _argument("--out", metavar="PLACE", help=place),
        help="write a run's report to send to others",
        description="Write the report of a finished run as one file, or as a folder with the pages"
        " of its notebooks. It opens without a network and names no folder of this machine.",
    )
    add(
        _figures,
        _argument("run", metavar="RUN", type=_folder, help="folder of the run"),
        _argument("--format", default="pdf", help=f"{', '.join(FORMATS)} (default: pdf)"),
        _argument("--width", type=float, metavar="INCHES", help="of a column, such as 6.75"),
        _argument("--notebooks", nargs="+", default=[], metavar="NN", help=notebooks),
        help="draw a run's figures again, for print",
        description="Draw the figures of a run again from its arrays, in another format, into"
        " RUN/figures/FORMAT. The run stays as it is.",
    )


def _add_comparisons(add: Callable) -> None:
    of_runs = partial(_argument, "runs", nargs="+", metavar="RUN")
    out = partial(_argument, "--out")
    page, table = "comparison.html", "gathered.csv"
    add(
        _compare,
        of_runs(help="folders of the runs, the one to compare with first"),
        out(metavar="NAME.html", default=page, help=f"(default: {page})"),
        help="put runs side by side",
        description="Write the scores of runs side by side, and how each differs from the first:"
        " image by image where they share images.",
    )
    add(
        _gather,
        of_runs(help="folders of runs, or folders that hold some"),
        out(metavar="NAME.csv", default=table, help=f"(default: {table})"),
        help="gather the scores of runs into one table",
        description="Write the mean scores of runs as one tidy CSV, a row for each run, source of"
        " images, score and change, with the parameters in which the runs differ.",
    )


def _run(given: argparse.Namespace) -> int:
    # Ended by a batch system, or from JupyterLab, it stops as by Ctrl-C, and ends its kernels.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    from helpers.runs import kernels
    from helpers.runs.opening import open_pool
    from helpers.runs.run import Run

    kernels.allow_forks()
    parameters = _parameters(given)
    texts = open_pool(parameters)
    _check_texts(texts)
    opened_as = _check_models(parameters, texts)
    return _study(Run(parameters), opened_as=opened_as)


def _study(run: "Run", **told: str) -> int:
    from helpers.runs.memory import GIGABYTE, Watch
    from helpers.runs.paths import RECORD
    from helpers.runs.record import Record
    from helpers.runs.runner import run_workbook

    def work() -> str:
        record = Record(run.folder / RECORD)
        record.update(**told)
        with Watch() as watch:
            page = run_workbook(run)
        record.update(peak_bytes=watch.peak.total)
        print(f"Memory: {watch.peak.total / GIGABYTE:.1f} GB at most, all processes together")
        return f"Report: {page}"

    return _told_if_a_cell_fails(work)


def _told_if_a_cell_fails(work: Callable[[], str]) -> int:
    from helpers.runs.runner import CellError

    try:
        print(work())
    except CellError as error:
        print(f"workbook: {error}", file=sys.stderr)
        return FAILED
    return 0


def _verify(given: argparse.Namespace) -> int:
    from helpers.runs.verify import verify

    wrong = []
    for check in verify(given.folder, given.share):
        note = f", {check.note}" if check.note else ""
        print(f"{check.what:45} {check.count:7,} checked, {len(check.wrong):3} wrong{note}")
        wrong += check.wrong
    for sentence in wrong:
        print(sentence)
    print("Not all agrees." if wrong else "All agrees.")
    return FAILED if wrong else 0


def _repeat(given: argparse.Namespace) -> int:
    from helpers.runs import repeat

    record = repeat.recorded(given.folder)
    changes = list(repeat.changed_circumstances(record))
    run = repeat.again(record, _folder(given.out or f"{given.folder}-again"))
    code = _study(run)
    if code == 0:
        changes += repeat.changed_results(record, given.folder, run)
    for sentence in changes or ["Nothing differs."]:
        print(sentence)
    return code


def _parameters(given: argparse.Namespace) -> Parameters:
    values = {name: parse_value(name, value) for name, value in given.values}
    if given.out is not None:
        values["out"] = given.out
    return absolute_paths(from_profile(given.profile, values))


def _check_texts(pool: "Texts") -> None:
    # A question needs two values of one property; texts without one are a group of their own.
    groups = Counter(of or "" for of, _ in set(zip(pool.properties, pool.values, strict=True)))
    if max(groups.values(), default=0) < 2:
        raise WorkbookError(
            f"The pool {pool.name!r} has {len(pool.texts)} texts and no property with two values;"
            " give texts to choose between."
        )


def _check_models(parameters: Parameters, pool: "Texts") -> str:
    """Open all models of a run, and return how its own was opened."""
    # What doesn't fit is told now, and not by the last notebook of a run half written.
    from helpers.clip import load
    from helpers.data import STUDY_PREPROCESSING

    own = parameters.model, parameters.pretrained
    for name, pretrained in dict.fromkeys([own, *map(split_model, compared_with(parameters))]):
        model = load(name, pretrained, parameters.device, parameters.precision)
        unknown = model.check_texts(pool.texts) if model.capabilities.texts else ""
        if (name, pretrained) == own:
            study = parameters.preprocessed_for == "study"
            seen = f"Images are {STUDY_PREPROCESSING if study else model.preprocessing}."
            opened_as = model.opened_as
            print("\n".join(filter(None, [opened_as, seen, unknown])))
    return opened_as


def _models(given: argparse.Namespace) -> int:
    from helpers.clip import listing

    for line in listing.model(given.name) if given.name else listing.models():
        print(line)
    return 0


def _images(given: argparse.Namespace) -> int:
    from helpers.data import UnreadableImage, open_images
    from helpers.data.paths import printable

    images = open_images(parse_value("images", given.source))
    print(f"{len(images)} images")
    for sentence in images.left_out.sentences():
        print(f"left out: {sentence}")
    for name, values in images.metadata().items():
        print(f"{name}: {_counted(values)}")
    for image in islice(images, SHOWN_IMAGES):
        try:
            height, width, _ = image.pixels.shape
            captions = "".join(f", {printable(caption)}" for caption in image.captions)
            print(f"{image.id}: {width}×{height}{captions}")
        except UnreadableImage as error:
            print(error)
    if len(images) > SHOWN_IMAGES:
        print(f"and {len(images) - SHOWN_IMAGES} more")
    return 0


def _counted(values: "pd.Series") -> str:
    """List the groups that a column parts images into, with the number of images in each."""
    from helpers.data.paths import printable

    counts = values[values != ""].value_counts(sort=False)
    shown = [f"{printable(value)} ({n})" for value, n in counts.head(SHOWN_GROUPS).items()]
    more = [f"{len(counts) - SHOWN_GROUPS} more"] if len(counts) > SHOWN_GROUPS else []
    return ", ".join(shown + more)


def _report(given: argparse.Namespace) -> int:
    from helpers.runs.report.report import share_report

    out = Path(given.out or Path(given.run) / "report.html").expanduser().absolute()
    print(f"Report: {share_report(Path(given.run), out)}")
    return 0


def _figures(given: argparse.Namespace) -> int:
    from helpers.runs.runner import redraw

    return _told_if_a_cell_fails(
        lambda: f"Figures: {redraw(given.run, Drawing(given.format, given.width), given.notebooks)}"
    )


def _compare(given: argparse.Namespace) -> int:
    from helpers.runs.report.comparison import write_comparison

    page, table = write_comparison(given.runs, Path(given.out).expanduser().absolute())
    print(f"Comparison: {page}\nTable: {table}")
    return 0


def _gather(given: argparse.Namespace) -> int:
    from helpers.runs.report.comparison import write_gathered

    print(f"Table: {write_gathered(given.runs, Path(given.out).expanduser().absolute())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
