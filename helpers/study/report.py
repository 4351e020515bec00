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
from helpers.clip.weights import is_embedded
from helpers.study import places
from helpers.study.fitting import lacks, left_out
from helpers.study.gather import as_text
from helpers.study.marks import damage_of, write_page
from helpers.study.notebook_page import heading, notebook_page
from helpers.study.pages import page
from helpers.study.pictures import Picture, picture
from helpers.study.score_table import score_table
from helpers.study.stored import StoredRun
from helpers.study.writing import writing


@dataclass(frozen=True)
class Exhibit:
    """A figure or table that notebooks save and the report shows.

    Attributes
    ----------
    name : str
        File name without its ending; it starts with the notebook's number.
    title : str
        What it shows, in a line.
    """

    name: str
    title: str


@dataclass(frozen=True)
class Section:
    """Figures of the report under one heading.

    Attributes
    ----------
    heading : str
    figures : tuple of Exhibit
    """

    heading: str
    figures: tuple[Exhibit, ...]


QUESTION = "What does a change to an image do to CLIP, and which part of CLIP does it?"
SUMMARY = Exhibit("00_summary", "The answer in one figure")
SECTIONS = (
    Section(
        "What moves",
        (
            Exhibit("01_views", "What the changes do to an image"),
            Exhibit("02_views_move", "Where the changes move the embeddings"),
            Exhibit("03_score_heatmap", "The mean scores of every change"),
            Exhibit("03_order", "The published order, beside its baselines"),
            Exhibit("03_l2_bars", "How far each change moves the embedding"),
            Exhibit("04_directions", "Which changes move images the same way"),
            Exhibit("05_attention", "Where the last layer looks, before and after"),
        ),
    ),
    Section(
        "Which part carries it",
        (
            Exhibit("08_shares_by_layer", "What heads and MLPs of each layer carry of a shift"),
            Exhibit("08_head_map", "The share of every head"),
            Exhibit("08_patching", "How much of a shift activation patching of few heads removes"),
            Exhibit("08_depth", "At which depth the residual stream moves"),
        ),
    ),
    Section(
        "What it says",
        (
            Exhibit("06_head_map", "What each head is about"),
            Exhibit("06_labels_and_probes", "Whether the labels of the heads are right"),
            Exhibit("07_contrast", "Where two texts differ in an image"),
            Exhibit("07_segmentation_iou", "How well texts find what they name"),
            Exhibit("08_text_directions", "The texts along which embeddings move, beside chance"),
            Exhibit("08_accuracy", "Which zero-shot predictions flip, and which are lost"),
            Exhibit("08_logit_lens", "At which depth properties can be predicted"),
        ),
    ),
    Section(
        "How much it takes",
        (
            Exhibit("10_dose_response", "Responses to growing severity"),
            Exhibit("10_borders", "What the black border does to a response"),
            Exhibit("10_accuracy_lost", "Accuracy that growing severity takes"),
            Exhibit("10_equal_change", "Similarity at equal change in pixels"),
            Exhibit("10_crossing", "The severity at which similarity falls below 0.9"),
        ),
    ),
    Section(
        "Other models",
        (
            Exhibit("11_ranking", "Whether models rank the changes alike"),
            Exhibit("11_shift_by_model", "How far each model is moved"),
            Exhibit("11_depth_by_model", "At which depth the shift is written"),
            Exhibit("11_kinds_by_depth", "What heads, MLPs and pooling carry, by depth"),
            Exhibit("11_heads_by_model", "Which heads carry it, from model to model"),
        ),
    ),
)


@dataclass(frozen=True)
class Holding:
    """How a report comes by what it shows.

    Attributes
    ----------
    picture : callable
        From the path of a figure to what its element needs.
    table : callable
        From the name and text of a table to its address.
    links : bool
        Whether notebooks, other reports and the record lie beside the page.
    """

    picture: Callable[[Path], Picture]
    table: Callable[[str, str], str]
    links: bool


BESIDE = Holding(picture, lambda name, text: f"tables/{name}", links=True)
WITHIN = Holding(
    lambda path: picture(path, embed=True),
    lambda name, text: f"data:text/csv;base64,{b64encode(text.encode()).decode()}",
    links=False,
)


def write_report(folder: Path) -> Path:
    """Write the report of a run into its folder: ``index.html``, and the notebooks' pages.

    Parameters
    ----------
    folder : Path
        Of the run.

    Returns
    -------
    Path
        The page. It works from the file system, without a network, and names no folder of this
        machine. A figure or table that no notebook of the run saved is told.
    """
    run = StoredRun(folder)
    for executed in _notebooks(run):
        write_page(executed.with_suffix(".html"), notebook_page(executed, run.shorten))
    return write_page(run.folder / places.REPORT, report_page(run, BESIDE))


def share_report(folder: Path, out: Path) -> Path:
    """Write the report of a run as something to send: one file, or a folder.

    Parameters
    ----------
    folder : Path
        Of the run.
    out : Path
        A name that ends in ``.html`` becomes a single file with the figures and tables in it; any
        other a folder, which has the notebooks' pages, too. Neither names a folder of this machine.

    Returns
    -------
    Path
        The page to open.

    Raises
    ------
    WorkbookError
        If the folder holds no run, a notebook, table or figure is not as it was written, or nothing
        can be written there.
    """
    run = StoredRun(folder)
    for each in (run, *_reports(run).values()):
        _check_sound(each)
    if out == run.folder:
        raise WorkbookError(f"{out} is the run itself; choose another place with --out.")
    with writing("report", out):
        is_page = out.suffix.lower() in (".html", ".htm")
        return _write(out, report_page(run, WITHIN)) if is_page else _share_folder(run, out)


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
        out / places.RECORD,
        json.dumps(run.shorten(run.record), indent=2, ensure_ascii=False) + "\n",
    )
    return _write(out / places.REPORT, report_page(run, BESIDE))


def report_page(run: StoredRun, holding: Holding) -> str:
    """Render a report.

    Parameters
    ----------
    run : StoredRun
    holding : Holding

    Returns
    -------
    str
        HTML.
    """
    record = run.shorten(run.record)
    executed = {path: nbformat.read(path, as_version=4) for path in _notebooks(run)}
    left = [each for notebook in executed.values() for each in left_out(notebook)]
    return page(
        "report.html.j2",
        **_headline(run),
        findings=run.shorten(_findings(run.folder)),
        summary=SUMMARY,
        scores=score_table(run.summary),
        sections=[_fitted(section, left) for section in SECTIONS],
        pictures={path.stem: holding.picture(path) for path in _shown_figures(run)},
        reports=_places(run) if holding.links else {},
        lacks=lacks(QUESTIONS, run.capabilities),
        **_what_was_run(record),
        notebooks=[_entry(path, own, holding) for path, own in executed.items()],
        tables={name: holding.table(name, text) for name, text in _tables(run).items()},
        record=places.RECORD if holding.links else None,
    )


def _headline(run: StoredRun) -> dict[str, object]:
    return {
        "title": f"CLIP shift workbook: {run.name}",
        "question": QUESTION,
        "model": run.title,
        "is_embedded": is_embedded(run.parameters["model"]),
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
    }


def _fitted(section: Section, left: Sequence[tuple[str, list[str]]]) -> dict[str, object]:
    """Part a section's figures into those that stay and those whose cells were left out."""
    why = {
        figure: sentences
        for figure in section.figures
        for code, sentences in left
        if f'"{figure.name}"' in code
    }
    return {
        "heading": section.heading,
        "figures": [figure for figure in section.figures if figure not in why],
        "left_out": [figure.title for figure in why],
        "lacks": list(dict.fromkeys(sentence for own in why.values() for sentence in own)),
    }


def _entry(executed: Path, notebook: nbformat.NotebookNode, holding: Holding) -> dict[str, object]:
    """Describe a notebook in the list: title, place, and why all of it is left out, if it is."""
    is_empty = len(notebook.cells) == 1 + len(left_out(notebook))
    lacking = [sentence for _, sentences in left_out(notebook) for sentence in sentences]
    return {
        "title": heading(notebook),
        "place": f"notebooks/{executed.stem}.html" if holding.links else None,
        "lacks": lacking if is_empty else [],
    }


def _shown_figures(run: StoredRun) -> list[Path]:
    shown = {figure.name for section in SECTIONS for figure in section.figures} | {SUMMARY.name}
    return [path for path in _files(run, "figures", "png") if path.stem in shown]


def _files(run: StoredRun, kind: str, ending: str) -> list[Path]:
    return list((run.folder / kind).glob(f"*.{ending}"))


def _tables(run: StoredRun) -> dict[str, str]:
    """Return the tables as they are sent: name → text."""
    paths = sorted(_files(run, "tables", "csv"))
    return {path.name: run.shorten(path.read_text(encoding="utf-8")) for path in paths}


def _notebooks(run: StoredRun) -> list[Path]:
    return sorted(_files(run, "notebooks", "ipynb"))


def _reports(run: StoredRun) -> dict[str, StoredRun]:
    """Return the compared models' runs that have a report of their own."""
    others = [StoredRun(path.parent) for path in run.folder.glob(f"models/*/{places.REPORT}")]
    return {other.title: other for other in others}


def _places(run: StoredRun) -> dict[str, str]:
    found = _reports(run).items()
    return {
        title: f"{own.folder.relative_to(run.folder).as_posix()}/{places.REPORT}"
        for title, own in found
    }


def _findings(folder: Path) -> list[dict[str, str]]:
    path = folder / "tables" / f"{SUMMARY.name}.csv"
    return pd.read_csv(path).fillna("").to_dict("records") if path.exists() else []


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
