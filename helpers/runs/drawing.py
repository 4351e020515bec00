"""How figures are saved: as PNG for the report, or for print, in any format and width."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.checks import WorkbookError, one_of
from helpers.runs.report.pictures import DESCRIPTION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ASKED = "WORKBOOK_FIGURES"
POINTS = 72  # an inch


@dataclass(frozen=True)
class Format:
    """A row of the table of formats."""

    told_as: str  # the entry of the file that says what the figure shows
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

    def save(self, figure: "Figure", path: Path, told: str) -> None:
        """Write a figure."""
        row = FORMATS[self.format]
        figure.savefig(path, format=self.format, metadata={row.told_as: told})
        # A notebook draws it twice more; laying it out anew each time would take longer.
        figure.set_layout_engine("none")
        if self.width is not None:
            row.scaled(path, self.width)


@contextmanager
def redrawing(drawing: Drawing) -> Iterator[None]:
    """Let kernels that are started here save figures for print, and nothing else."""
    os.environ[ASKED] = f"{drawing.format}:{drawing.width or ''}"
    try:
        yield
    finally:
        os.environ.pop(ASKED)


def asked_drawing() -> Drawing | None:
    """Return how this process was asked to redraw figures (`redrawing`); None if it was not."""
    name, _, width = os.environ.get(ASKED, "").partition(":")
    return Drawing(name, float(width) if width else None) if name else None


def _scale_png(path: Path, width: float) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    with Image.open(path) as picture:
        told, dots = PngInfo(), picture.width / width
        told.add_itxt(DESCRIPTION, picture.info.get(DESCRIPTION, ""))
        picture.save(path, "PNG", dpi=(dots, dots), pnginfo=told)


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
