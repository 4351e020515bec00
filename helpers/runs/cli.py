"""The command line: ``workbook run``, and what is done with runs, models and images."""

import errno
import os
import select
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from helpers.checks import WorkbookError
from helpers.clip.names import split_model
from helpers.runs.parameters import (
    DEFAULT_PROFILE,
    Parameters,
    compared_with,
    described,
    from_profile,
    parse_value,
    profiles,
)
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
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        # Not click's own `main`, which has other exit codes for a pipe that nobody reads.
        with _each_warning_once(), workbook.make_context("workbook", given) as context:
            code = workbook.invoke(context)
        sys.stdout.flush()
        return code
    except click.exceptions.Exit as end:  # after --help
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
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
    """Print each warning once and alone, not with the line of code that gives it."""
    printed = set()

    def show(message: Warning, *_) -> None:
        if str(message) not in printed:
            printed.add(str(message))
            print(f"Note: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _is_unread(stream: TextIO) -> bool:
    """Return whether a stream is a pipe that nobody reads."""
    poll = select.poll()
    poll.register(stream)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _unwritten(error: OSError) -> str:
    file = f"{error.filename} can't be written" if error.filename else "The run can't be written"
    return f"{file}: {error.strerror}. What is there is sound; the same command goes on from there."


class InOrder(click.Group):
    """Commands that are listed as they stand here, and not by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self.commands)


@click.group(
    cls=InOrder,
    help="What does a change to an image do to CLIP, and which part of CLIP does it?",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def workbook() -> None:
    """Hold the commands."""


def _absolute(path: str) -> Path:
    if not path:
        raise WorkbookError("An empty text names no folder; give that of a run.")
    return Path(path).expanduser().absolute()


RUN = click.argument("folder", metavar="RUN", type=_absolute, help="folder of the run")
RUNS = click.argument("folders", metavar="RUN...", nargs=-1, required=True, help="folders of runs")
HINTS = [f"  {name:14} {described(name)['hint']}" for name in Parameters.model_fields]


@workbook.command(epilog="\n".join(["\b", "Parameters:", *HINTS]))
@click.argument(
    "profile",
    default=DEFAULT_PROFILE,
    help=f"set of parameters: {', '.join(profiles())} (default: {DEFAULT_PROFILE})",
)
@click.option(
    "-p",
    "values",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="replace a parameter, such as -p images ~/photos; may be repeated",
)
@click.option("--out", metavar="DIR", help="folder of the run")
def run(profile: str, values: Sequence[tuple[str, str]], out: str | None) -> int:
    """Run the notebooks and write a report.

    All numbered notebooks, with one set of parameters.
    """
    # Ended by a batch system, or from JupyterLab, it stops as by Ctrl-C, and ends its kernels.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    from helpers.runs import jupyter_kernels
    from helpers.runs.opening import open_pool
    from helpers.runs.run import Run

    jupyter_kernels.allow_forks()
    parameters = _parameters(profile, values, out)
    texts = open_pool(parameters)
    _check_texts(texts)
    opened_as = _check_models(parameters, texts)
    return _run_workbook(Run(parameters), opened_as=opened_as)


def _run_workbook(run: "Run", **entries: str) -> int:
    from helpers.runs.memory import GIGABYTE, Watch
    from helpers.runs.paths import RECORD
    from helpers.runs.record import Record
    from helpers.runs.runner import run_workbook

    def work() -> str:
        record = Record(run.folder / RECORD)
        record.update(**entries)
        with Watch() as watch:
            page = run_workbook(run)
        record.update(peak_bytes=watch.peak.total)
        print(f"Memory: {watch.peak.total / GIGABYTE:.1f} GB at most, all processes together")
        return f"Report: {page}"

    return _report_failed_cell(work)


def _report_failed_cell(work: Callable[[], str]) -> int:
    from helpers.runs.runner import CellError

    try:
        print(work())
    except CellError as error:
        print(f"workbook: {error}", file=sys.stderr)
        return FAILED
    return 0


@workbook.command()
@RUN
@click.option("--share", default=0.01, help="part of the images (default: 0.01; at least one)")
def verify(folder: Path, share: float) -> int:
    """Check a finished run.

    All checksums, and a random share of its images, which is computed anew and compared. The exit
    code is 0 only if all agrees. Nothing is written.
    """
    from helpers.runs import verify

    wrong = []
    for check in verify.verify(folder, share):
        note = f", {check.note}" if check.note else ""
        print(f"{check.what:45} {check.count:7,} checked, {len(check.wrong):3} wrong{note}")
        wrong += check.wrong
    for sentence in wrong:
        print(sentence)
    print("Not all agrees." if wrong else "All agrees.")
    return FAILED if wrong else 0


@workbook.command()
@RUN
@click.option("--out", metavar="DIR", help="folder of the new one (default: RUN-again)")
def repeat(folder: Path, out: str | None) -> int:
    """Do a run again.

    Runs the notebooks with the parameters in the run's run.json, and says where versions, weights,
    images or values are not as they were.
    """
    from helpers.runs import repeat

    record = repeat.recorded(folder)
    changes = list(repeat.changed_circumstances(record))
    run = repeat.again(record, folder, _absolute(out or f"{folder}-again"))
    code = _run_workbook(run)
    if code == 0:
        changes += repeat.changed_results(record, folder, run)
    for sentence in changes or ["Nothing differs."]:
        print(sentence)
    return code


def _parameters(profile: str, given: Sequence[tuple[str, str]], out: str | None) -> Parameters:
    from helpers.runs.paths import absolute_paths

    values = {name: parse_value(name, value) for name, value in given}
    if out is not None:
        values["out"] = out
    return absolute_paths(from_profile(profile, values))


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
    # What doesn't fit is reported now, and not by the last notebook of a run half written.
    from helpers.clip import load
    from helpers.data import STUDY_PREPROCESSING

    own_model = parameters.model, parameters.pretrained
    for name, pretrained in dict.fromkeys(
        [own_model, *map(split_model, compared_with(parameters))]
    ):
        model = load(name, pretrained, parameters.device, parameters.precision)
        unknown = model.check_texts(pool.texts) if model.capabilities.texts else ""
        if (name, pretrained) == own_model:
            study = parameters.preprocessed_for == "study"
            seen = f"Images are {STUDY_PREPROCESSING if study else model.preprocessing}."
            opened_as = model.opened_as
            print("\n".join(filter(None, [opened_as, seen, unknown])))
    return opened_as


@workbook.command()
@click.argument(
    "name",
    required=False,
    help="a name of open_clip's, a folder or a hub id: show its weights, tag by tag",
)
def models(name: str | None) -> int:
    """List the models, what works with each, and weights."""
    from helpers.clip.capabilities import describe_model, list_models

    for line in describe_model(name) if name else list_models():
        print(line)
    return 0


@workbook.command()
@click.argument(
    "source", help="a named source, folder, shards, list or image; or several: [photos, ~/photos]"
)
def images(source: str) -> int:
    """List what a source of images holds."""
    from helpers.data import UnreadableImage, open_images
    from helpers.data.reading import printable

    given = open_images(parse_value("images", source))
    print(f"{len(given)} images")
    for sentence in given.left_out.sentences():
        print(f"left out: {sentence}")
    for name, values in given.metadata().items():
        print(f"{name}: {_counted(values)}")
    for image in islice(given, SHOWN_IMAGES):
        try:
            height, width, _ = image.pixels.shape
            captions = "".join(f", {printable(caption)}" for caption in image.captions)
            print(f"{image.id}: {width}×{height}{captions}")
        except UnreadableImage as error:
            print(error)
    if len(given) > SHOWN_IMAGES:
        print(f"and {len(given) - SHOWN_IMAGES} more")
    return 0


def _counted(values: "pd.Series") -> str:
    """List the groups that a column parts images into, with the number of images in each."""
    from helpers.data.reading import printable

    counts = values[values != ""].value_counts(sort=False)
    shown = [f"{printable(value)} ({n})" for value, n in counts.head(SHOWN_GROUPS).items()]
    more = [f"{len(counts) - SHOWN_GROUPS} more"] if len(counts) > SHOWN_GROUPS else []
    return ", ".join(shown + more)


@workbook.command()
@RUN
@click.option(
    "--out",
    metavar="PLACE",
    help="a file NAME.html (default: report.html in the run's folder), or a folder",
)
def report(folder: Path, out: str | None) -> int:
    """Write a run's report to send to others.

    One file, or a folder with the pages of the run's notebooks. It opens without a network and
    names no folder of this machine.
    """
    from helpers.runs.report.report import share_report

    print(f"Report: {share_report(folder, _absolute(out or folder / 'report.html'))}")
    return 0


@workbook.command()
@RUN
@click.option("--format", default="pdf", help=f"{', '.join(FORMATS)} (default: pdf)")
@click.option("--width", type=float, metavar="INCHES", help="of a column, such as 6.75")
@click.option(
    "--notebooks",
    multiple=True,
    metavar="NN",
    help="one, such as 08; may be repeated (default: all)",
)
def figures(folder: Path, format: str, width: float | None, notebooks: Sequence[str]) -> int:
    """Draw a run's figures again, for print.

    From its arrays, in another format, into RUN/figures/FORMAT. The run stays as it is.
    """
    from helpers.runs.runner import redraw

    return _report_failed_cell(
        lambda: f"Figures: {redraw(folder, Drawing(format, width), notebooks)}"
    )


@workbook.command()
@RUNS
@click.option(
    "--out", metavar="NAME.html", default="comparison.html", type=_absolute, show_default=True
)
def compare(folders: Sequence[str], out: Path) -> int:
    """Put runs side by side.

    The scores of runs, and how each differs from the first: image by image where they share images.
    """
    from helpers.runs.report.comparison import write_comparison

    page, table = write_comparison(folders, out)
    print(f"Comparison: {page}\nTable: {table}")
    return 0


@workbook.command()
@RUNS
@click.option(
    "--out", metavar="NAME.csv", default="gathered.csv", type=_absolute, show_default=True
)
def gather(folders: Sequence[str], out: Path) -> int:
    """Gather the scores of runs into one table.

    The mean scores as one tidy CSV, a row for each run, source of images, score and change, with
    the parameters in which the runs differ.
    """
    from helpers.runs.report.comparison import write_gathered

    print(f"Table: {write_gathered(folders, out)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
