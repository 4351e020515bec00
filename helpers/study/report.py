"""The report of a run: one HTML page that links its notebooks, tables and figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pandas as pd
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

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


MAIN_TABLE = Exhibit(
    "03_scores", "Mean score of every augmentation, with 95 % bootstrap interval and n"
)
FIGURES = (
    Exhibit("01_views", "What the nine augmentations do to an image"),
    Exhibit("02_views_move", "Where the augmentations move the embeddings"),
    Exhibit("03_score_heatmap", "Six scores of nine augmentations"),
    Exhibit("03_l2_bars", "How far each augmentation moves the embedding"),
    Exhibit("04_dendrograms", "Which augmentations are alike to the model"),
    Exhibit("05_attention", "Where the last layer looks, before and after"),
)


def write_report(run: Run, pages: Sequence[Path]) -> Path:
    """Write ``index.html`` of a run.

    Parameters
    ----------
    run : Run
    pages : sequence of Path
        The rendered notebooks, below the run's folder.

    Returns
    -------
    Path
        The page. It works from the file system, without a network.
    """
    loader = PackageLoader("helpers.study", ".")
    template = Environment(loader=loader, autoescape=True).get_template("report.html.j2")
    record = run.record
    page = template.render(
        run=run,
        count=len(run.images) - len(run.unreadable),
        parameters=record["parameters"],
        versions=record["versions"],
        unreadable=run.unreadable.to_dict("records"),
        main_table={"title": MAIN_TABLE.title, "html": _table_html(run.folder)},
        figures=FIGURES,
        notebooks=[(_heading(path), path.relative_to(run.folder).as_posix()) for path in pages],
        tables=sorted(path.name for path in (run.folder / "tables").glob("*.csv")),
    )
    path = run.folder / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def _table_html(folder: Path) -> Markup:
    table = pd.read_csv(folder / "tables" / f"{MAIN_TABLE.name}.csv")
    return Markup(table.to_html(index=False, border=0))


def _heading(page: Path) -> str:
    """Return a notebook's title: its first heading."""
    cells = nbformat.read(page.with_suffix(".ipynb"), as_version=4).cells
    headings = (cell.source.splitlines()[0] for cell in cells if cell.source.startswith("# "))
    return next(headings).removeprefix("# ")
