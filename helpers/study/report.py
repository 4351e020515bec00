"""The report of a run: one HTML page that links its notebooks, tables and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import nbformat
import pandas as pd
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from helpers.clip.capabilities import QUESTIONS
from helpers.study.fitting import lacks, left_out
from helpers.study.run import Run


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


SUMMARY = Exhibit("00_summary", "The answer in one figure")
MAIN_TABLE = Exhibit(
    "03_scores", "Mean score of every augmentation, with 95 % bootstrap interval and n"
)
SECTIONS = (
    Section(
        "What moves",
        (
            Exhibit("01_views", "What the nine augmentations do to an image"),
            Exhibit("02_views_move", "Where the augmentations move the embeddings"),
            Exhibit("03_score_heatmap", "Six scores of nine augmentations"),
            Exhibit("03_order", "The published order, beside its baselines"),
            Exhibit("03_l2_bars", "How far each augmentation moves the embedding"),
            Exhibit("04_directions", "Which augmentations move images the same way"),
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
            Exhibit("09_dose_response", "Responses to growing severity"),
            Exhibit("09_borders", "What the black border does to a response"),
            Exhibit("09_accuracy_lost", "Accuracy that growing severity takes"),
            Exhibit("09_equal_change", "Similarity at equal change in pixels"),
            Exhibit("09_crossing", "The severity at which similarity falls below 0.9"),
        ),
    ),
    Section(
        "Other models",
        (
            Exhibit("10_ranking", "Whether models rank the augmentations alike"),
            Exhibit("10_shift_by_model", "How far each model is moved"),
            Exhibit("10_depth_by_model", "At which depth the shift is written"),
            Exhibit("10_kinds_by_depth", "What heads, MLPs and pooling carry, by depth"),
            Exhibit("10_heads_by_model", "Which heads carry it, from model to model"),
        ),
    ),
)


def write_report(
    run: Run, pages: Sequence[Path], reports: Mapping[str, Path] = MappingProxyType({})
) -> Path:
    """Write ``index.html`` of a run.

    Parameters
    ----------
    run : Run
    pages : sequence of Path
        The rendered notebooks, below the run's folder.
    reports : mapping of str to Path
        Titles of compared models → their own reports, below the run's folder.

    Returns
    -------
    Path
        The page. It works from the file system, without a network. A figure or table that no
        notebook of this run saved is told.
    """
    loader = PackageLoader("helpers.study", ".")
    template = Environment(loader=loader, autoescape=True).get_template("report.html.j2")
    notebooks = [nbformat.read(path.with_suffix(".ipynb"), as_version=4) for path in pages]
    left = [each for notebook in notebooks for each in left_out(notebook)]
    record = run.record
    page = template.render(
        run=run,
        count=len(run.images) - len(run.unreadable),
        parameters=record["parameters"],
        versions=record["versions"],
        unreadable=run.unreadable.to_dict("records"),
        summary={"figure": SUMMARY, "sentences": _sentences(run.folder)},
        main_table={"title": MAIN_TABLE.title, "html": _table_html(run.folder)},
        sections=[_fitted(section, left) for section in SECTIONS],
        lacks=lacks(QUESTIONS, run.capabilities),
        saved={path.stem for path in (run.folder / "figures").glob("*.png")},
        reports={title: _below(run, path) for title, path in reports.items()},
        notebooks=[_entry(run, *each) for each in zip(pages, notebooks, strict=True)],
        tables=sorted(path.name for path in (run.folder / "tables").glob("*.csv")),
    )
    path = run.folder / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


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


def _entry(run: Run, page: Path, notebook: nbformat.NotebookNode) -> dict[str, object]:
    """Describe a notebook in the list: title, place, and why all of it is left out, if it is."""
    is_empty = len(notebook.cells) == 1 + len(left_out(notebook))
    lacking = [sentence for _, sentences in left_out(notebook) for sentence in sentences]
    return {
        "title": _heading(notebook),
        "place": _below(run, page),
        "lacks": lacking if is_empty else [],
    }


def _below(run: Run, path: Path) -> str:
    return path.relative_to(run.folder).as_posix()


def _sentences(folder: Path) -> list[str]:
    path = folder / "tables" / f"{SUMMARY.name}.csv"
    return list(pd.read_csv(path)["sentence"]) if path.exists() else []


def _table_html(folder: Path) -> Markup | None:
    path = folder / "tables" / f"{MAIN_TABLE.name}.csv"
    return Markup(pd.read_csv(path).to_html(index=False, border=0)) if path.exists() else None


def _heading(notebook: nbformat.NotebookNode) -> str:
    """Return a notebook's title: its first heading."""
    headings = (
        cell.source.splitlines()[0] for cell in notebook.cells if cell.source.startswith("# ")
    )
    return next(headings).removeprefix("# ")
