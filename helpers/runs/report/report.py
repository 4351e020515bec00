"""The report of a run: a page that links its notebooks, tables and figures, or holds them."""

import json
import shutil
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pandas as pd

from helpers.checks import WorkbookError
from helpers.clip.capabilities import QUESTIONS
from helpers.clip.names import is_embedded
from helpers.data.images import LeftOut
from helpers.data.preprocessing import Preprocessing
from helpers.findings import COLUMNS
from helpers.runs import paths
from helpers.runs.notebook_needs import left_out, missing
from helpers.runs.report.comparison import as_text
from helpers.runs.report.notebook_page import heading, notebook_page
from helpers.runs.report.pages import Picture, page, picture
from helpers.runs.report.provenance import damage_of, write_page
from helpers.runs.report.results import ANSWER
from helpers.runs.report.score_table import score_table
from helpers.runs.storage.checksums import read_sealed, writing
from helpers.runs.stored import StoredRun


@dataclass(frozen=True)
class Exhibit:
    """A figure that a notebook saves and the report shows."""

    name: str  # file name without its ending; it starts with the notebook's number
    see: str  # what to see in it, in a sentence that holds for any model
    of_some: bool = False  # whether only some runs have it, for their images


QUESTION = "What does a change to an image do to CLIP, and which part of CLIP does it?"
ORDER = (
    "00",
    "09",
    "08",
    "02",
    "03",
    "04",
    "10",
    "11",
    "06",
    "07",
    "05",
    "01",
    "12",
    "13",
    "14",
    "15",
    "A1",
)
"""Numbers of the notebooks as a reader wants their answers."""

EXHIBITS = (
    Exhibit(
        "00_summary",
        "A row for each change: a picture before and after, how far it moves embeddings, what the"
        " model sees instead, which heads are specific to it, and what it costs where the true"
        " answer is known.",
    ),
    Exhibit(
        "09_answers",
        "Answers that surely become more frequent: the hollow dot is how often they were given"
        " before, the full dot after.",
    ),
    Exhibit(
        "09_accuracy_lost",
        "Right answers lost, with intervals; dots at 0 are changes that cost nothing for sure.",
        of_some=True,
    ),
    Exhibit(
        "09_class_lost",
        "Right answers lost, where images come with classes of their own.",
        of_some=True,
    ),
    Exhibit(
        "08_excess",
        "What each part carries of a shift beyond its share in a difference between two images: red"
        " is more, blue is less.",
    ),
    Exhibit(
        "08_patching",
        "How much of a shift goes when heads are put back: a change's own heads, beside those of"
        " other changes, generic ones and random ones.",
    ),
    Exhibit(
        "02_energy",
        "How the energy of shifts divides: dark and middle grey beyond the dotted half, with little"
        " variance left, is a collapse.",
    ),
    Exhibit(
        "03_order",
        "Published pairs without noise: an order is learnt only where the dot lies right of the"
        " rings, which are untrained networks.",
    ),
    Exhibit("04_directions", "Which changes move images the same way: red pairs do."),
    Exhibit(
        "10_dose_response",
        "Similarity as changes grow: a line that falls early belongs to a change of which little is"
        " enough.",
    ),
    Exhibit(
        "11_shift_by_model",
        "How far changes move each model, in units of its distance between two images: darker cells"
        " moved further.",
    ),
    Exhibit("06_head_map", "What each head responds to, by the texts that fit it best."),
    Exhibit(
        "07_segmentation_iou",
        "How well texts find what they name, beside chance and the best that the grid of patches"
        " allows.",
    ),
    Exhibit(
        "14_repairs",
        "What repairs give back on changed images and cost on clean ones: only a dot surely right"
        " of 0, and of its control's, helps.",
    ),
    Exhibit(
        "15_views",
        "Images under attack: what an adversarial view adds, 30 times as strong, cannot be seen in"
        " it.",
    ),
    Exhibit(
        "13_planted",
        "How often each method puts a planted head first: only dots far to the right can be relied"
        " on.",
    ),
)


@dataclass(frozen=True)
class Assets:
    """How a report comes by what it shows."""

    picture: Callable[[Path], Picture]  # from the path of a figure to what its element needs
    table: Callable[[str, str], str]  # from the name and text of a table to its address
    links: bool  # whether notebooks, other reports and the record lie beside the page


LINKED = Assets(picture, lambda name, text: f"tables/{name}", links=True)
EMBEDDED = Assets(
    lambda path: picture(path, embed=True),
    lambda name, text: f"data:text/csv;base64,{b64encode(text.encode()).decode()}",
    links=False,
)


def write_report(folder: Path, waiting: Sequence[str] = ()) -> Path:
    """Write the report of a run into its folder: ``index.html``, and the notebooks' pages."""
    run = StoredRun(folder)
    for executed in _notebooks(run, waiting):
        page = executed.with_suffix(".html")
        if not _is_current(page, executed):
            write_page(page, notebook_page(executed, run.shorten))
    return write_page(run.folder / paths.REPORT, report_page(run, LINKED, waiting))


def _is_current(page: Path, executed: Path) -> bool:
    newer = page.exists() and page.stat().st_mtime_ns > executed.stat().st_mtime_ns
    return newer and read_sealed(page) is not None


def share_report(folder: Path, out: Path) -> Path:
    """Write the report of a run as something to send: one file, or a folder."""
    run = StoredRun(folder)
    for each in (run, *_reports(run).values()):
        _check_sound(each)
    if out == run.folder:
        raise WorkbookError(f"{out} is the run itself; choose another place with --out.")
    with writing("report", out):
        is_page = out.suffix.lower() in (".html", ".htm")
        return _write(out, report_page(run, EMBEDDED)) if is_page else _share_folder(run, out)


def _check_sound(run: StoredRun) -> None:
    if damaged := [name for executed in _notebooks(run) for name in damage_of(executed)]:
        raise WorkbookError(
            f"{run.folder}: {', '.join(damaged)} damaged, missing or unfinished, so no report was"
            " written; `workbook run` with the run's parameters makes what is wrong anew."
        )


def _share_folder(run: StoredRun, out: Path) -> Path:
    (out / "notebooks").mkdir(parents=True, exist_ok=True)
    (out / "tables").mkdir(exist_ok=True)
    shutil.copytree(run.folder / "figures", out / "figures", dirs_exist_ok=True)
    for name, text in _tables(run).items():
        _write(out / "tables" / name, text)
    for executed in _notebooks(run):
        place = (out / "notebooks" / executed.name).with_suffix(".html")
        _write(place, notebook_page(executed, run.shorten))
    for other in _reports(run).values():
        _share_folder(other, out / other.folder.relative_to(run.folder))
    _write(
        out / paths.RECORD,
        json.dumps(run.shorten(run.record), indent=2, ensure_ascii=False) + "\n",
    )
    return _write(out / paths.REPORT, report_page(run, LINKED))


def report_page(run: StoredRun, assets: Assets, waiting: Sequence[str] = ()) -> str:
    """Render a report."""
    record = run.shorten(run.record)
    executed = {path: nbformat.read(path, as_version=4) for path in _notebooks(run, waiting)}
    return page(
        "report.html.j2",
        **_headline(run),
        sections=_sections(run, executed, assets),
        waiting=waiting,
        scores=score_table(run.summary),
        reports=_places(run) if assets.links else {},
        missing=missing(QUESTIONS, run.capabilities),
        **_what_was_run(record),
        notebooks=[_entry(path, each, assets) for path, each in executed.items()],
        tables={name: assets.table(name, text) for name, text in _tables(run).items()},
        record=paths.RECORD if assets.links else None,
    )


def _headline(run: StoredRun) -> dict[str, object]:
    recorded = run.record.get("preprocessing")
    return {
        "title": f"CLIP shift workbook: {run.name}",
        "question": QUESTION,
        "model": run.title,
        "is_embedded": is_embedded(run.parameters["model"]),
        "opened_as": run.shorten(run.record.get("opened_as", "")),
        "preprocessing": str(Preprocessing(**recorded)) if recorded else "",
        "name": run.name,
        "count": run.scores.sizes["image"],
    }


def _what_was_run(record: Mapping) -> dict[str, object]:
    images = record["parameters"]["images"]
    return {
        "parameters": {name: as_text(each) for name, each in record["parameters"].items()},
        "sources": [images] if isinstance(images, str) else images,
        "versions": record["versions"],
        "timings": record.get("timings", {}),
        "unreadable": record.get("unreadable", {}),
        "left_out": LeftOut(record.get("left_out", {})).sentences(),
    }


def _sections(
    run: StoredRun, executed: Mapping[Path, nbformat.NotebookNode], assets: Assets
) -> list[dict[str, object]]:
    """Describe what each notebook answers: question, sentence, figures, findings."""
    by_number = {path.name[:2]: (path, notebook) for path, notebook in executed.items()}
    sections = []
    for number in (each for each in ORDER if each in by_number):
        path, notebook = by_number[number]
        answer = _answer(run, number)
        figures = _figures(run, number, notebook, assets)
        if answer or figures:
            place = f"notebooks/{path.stem}.html" if assets.links else None
            title = {"number": number, "title": heading(notebook), "place": place}
            sections.append({**title, "answer": answer, "figures": figures})
    return sections


def _answer(run: StoredRun, number: str) -> dict[str, object] | None:
    """Read what `Results.show_answer` kept; None where nothing is kept."""
    path = run.folder / "tables" / f"{number}_{ANSWER}.csv"
    if not path.exists():
        return None
    sentence, *rows = run.shorten(pd.read_csv(path, dtype=str).fillna("").to_dict("records"))
    return {"sentence": sentence["answer"], "rows": rows, "columns": COLUMNS}


def _figures(
    run: StoredRun, number: str, notebook: nbformat.NotebookNode, assets: Assets
) -> list[dict[str, object]]:
    left = " ".join(code for code, _ in left_out(notebook))
    shown = [e for e in EXHIBITS if e.name[:2] == number and f'"{e.name}"' not in left]
    paths = {exhibit: run.folder / "figures" / f"{exhibit.name}.png" for exhibit in shown}
    return [
        {
            "name": exhibit.name,
            "see": exhibit.see,
            "picture": assets.picture(path) if path.exists() else None,
        }
        for exhibit, path in paths.items()
        if path.exists() or not exhibit.of_some
    ]


def _entry(executed: Path, notebook: nbformat.NotebookNode, assets: Assets) -> dict[str, object]:
    """Describe a notebook in the list: title, place, and why all of it is left out, if it is."""
    is_empty = len(notebook.cells) == 1 + len(left_out(notebook))
    reasons = [sentence for _, sentences in left_out(notebook) for sentence in sentences]
    return {
        "title": heading(notebook),
        "place": f"notebooks/{executed.stem}.html" if assets.links else None,
        "missing": reasons if is_empty else [],
    }


def _files(run: StoredRun, kind: str, ending: str) -> list[Path]:
    return list((run.folder / kind).glob(f"*.{ending}"))


def _tables(run: StoredRun) -> dict[str, str]:
    """Return the tables as they are sent: name → text."""
    paths = sorted(_files(run, "tables", "csv"))
    return {path.name: run.shorten(path.read_text(encoding="utf-8")) for path in paths}


def _notebooks(run: StoredRun, waiting: Sequence[str] = ()) -> list[Path]:
    """List the executed notebooks; one that has yet to be may be half written at this moment."""
    return sorted(path for path in _files(run, "notebooks", "ipynb") if path.stem not in waiting)


def _reports(run: StoredRun) -> dict[str, StoredRun]:
    """Return the compared models' runs that have a report of their own."""
    others = [StoredRun(path.parent) for path in run.folder.glob(f"models/*/{paths.REPORT}")]
    return {other.title: other for other in others}


def _places(run: StoredRun) -> dict[str, str]:
    return {
        title: f"{other.folder.relative_to(run.folder).as_posix()}/{paths.REPORT}"
        for title, other in _reports(run).items()
    }


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
