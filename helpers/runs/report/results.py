"""Tables and figures, saved where the report finds them: as PNG or, for print, in other formats."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.checks import WorkbookError, one_of
from helpers.runs.storage.checksums import replaced

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import Markdown
    from matplotlib.figure import Figure

    from helpers.findings import Answer

ANSWER = "answer"
"""Ends the name of the table of a notebook's answer; its first row is the sentence."""

DESCRIPTION = "Description"
"""Entry of a PNG: what the figure shows, in words."""

REDRAWING = "WORKBOOK_FIGURES"
"""The environment variable by which kernels are asked to redraw figures."""
POINTS = 72  # an inch


@dataclass(frozen=True)
class Format:
    """A row of the table of formats."""

    described_by: str  # the entry of the file that says what the figure shows
    # makes a file as wide as a number of inches, all in it in proportion
    scaled: Callable[[Path, float], None]


@dataclass(frozen=True)
class Drawing:
    """How figures are saved."""

    format: str  # one of `FORMATS`
    width: float | None = None  # in inches; None leaves a figure as it was drawn

    def __post_init__(self):
        one_of("format", self.format, FORMATS)
        if self.width is not None and not 0 < self.width < float("inf"):
            raise WorkbookError(f"width has no value {self.width}; give inches above 0.")

    def save(self, figure: "Figure", path: Path, description: str) -> None:
        """Write a figure."""
        row = FORMATS[self.format]
        figure.savefig(path, format=self.format, metadata={row.described_by: description})
        # A notebook draws it twice more; laying it out anew each time would take longer.
        figure.set_layout_engine("none")
        if self.width is not None:
            row.scaled(path, self.width)


@contextmanager
def redrawing(drawing: Drawing) -> Iterator[None]:
    """Let kernels that are started here save figures for print, and nothing else."""
    os.environ[REDRAWING] = f"{drawing.format}:{drawing.width or ''}"
    try:
        yield
    finally:
        os.environ.pop(REDRAWING)


def requested_drawing() -> Drawing | None:
    """Return how this process was asked to redraw figures (`redrawing`); None if it was not."""
    name, _, width = os.environ.get(REDRAWING, "").partition(":")
    return Drawing(name, float(width) if width else None) if name else None


def _scale_png(path: Path, width: float) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    with Image.open(path) as picture:
        entries, dots = PngInfo(), picture.width / width
        entries.add_itxt(DESCRIPTION, picture.info.get(DESCRIPTION, ""))
        picture.save(path, "PNG", dpi=(dots, dots), pnginfo=entries)


def _scale_svg(path: Path, width: float) -> None:
    head, mark, rest = path.read_text(encoding="utf-8").partition(" viewBox=")
    sizes = {name: float(size) for name, size in re.findall(r' (\w+)="([\d.]+)pt"', head)}
    for name, size in sizes.items():
        scaled = size * width * POINTS / sizes["width"]
        head = re.sub(rf' {name}="[\d.]+pt"', f' {name}="{scaled:g}pt"', head)
    path.write_text(head + mark + rest, encoding="utf-8")


def _scale_pdf(path: Path, width: float) -> None:
    from pypdf import PdfWriter

    writer = PdfWriter(clone_from=path)
    (page,) = writer.pages
    page.scale_by(width * POINTS / float(page.mediabox.width))
    writer.write(path)


FORMATS: Mapping[str, Format] = {
    "png": Format(DESCRIPTION, _scale_png),
    "svg": Format("Description", _scale_svg),
    "pdf": Format("Subject", _scale_pdf),
}
"""The formats that figures can have."""

PLAIN = Drawing("png")
"""How a run saves its figures."""


class Results:
    """What the notebooks of a run save.

    Attributes
    ----------
    folder : Path
        Of the run; it has the folders ``tables`` and ``figures``.
    title : str
        Names the run's model.
    """

    folder: Path
    title: str

    def save_table(self, table: "pd.DataFrame", name: str) -> None:
        """Write a table to ``tables/<name>.csv``, unless only figures are redrawn."""
        if requested_drawing() is None:
            with replaced(self.folder / "tables" / f"{name}.csv") as partial:
                table.to_csv(partial)

    def show_answer(self, answer: "Answer", number: str) -> "Markdown":
        """Render a notebook's answer, and keep it for the report as ``tables/<number>_answer.csv``.

        Parameters
        ----------
        answer : Answer
        number : str
            The notebook's, such as ``08``.

        Returns
        -------
        Markdown
            As the last line of a cell it is shown.
        """
        import pandas as pd
        from IPython.display import Markdown

        first = pd.DataFrame([{"question": "In a sentence", "answer": answer.sentence}])
        rows = pd.concat([first, answer.table]).fillna("").set_index("question")
        self.save_table(rows, f"{number}_{ANSWER}")
        return Markdown(f"**{answer.sentence}**\n\n{_as_markdown(answer.table)}")

    def save_figure(self, figure: "Figure", name: str, source: str | None = None) -> None:
        """Sign a figure with what it shows and write it to ``figures/<name>.png``.

        Redrawn for print (`helpers.runs.runner.redraw`), it is in ``figures/<format>``. The file
        says in words what the figure shows, for those who can't see it.

        Parameters
        ----------
        figure : Figure
        name : str
            Starts with the notebook's number.
        source : str, optional
            Where the figure's data come from, if not from the run's model alone.
        """
        from helpers.figures.layout import describe

        # A figure that is sent on alone still says which model it shows.
        figure.text(1, 0, source or self.title, ha="right", va="top", fontsize=8, color="#777777")
        requested = requested_drawing()
        folder = self.folder / "figures" / (requested.format if requested else "")
        drawing = requested or PLAIN
        with replaced(folder / f"{name}.{drawing.format}") as partial:
            drawing.save(figure, partial, describe(figure))


def _as_markdown(table: "pd.DataFrame") -> str:
    # A bar would end a cell; names of files and texts may have one.
    rows = [table.columns, ["---"] * table.shape[1], *table.astype(str).values]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in rows)
