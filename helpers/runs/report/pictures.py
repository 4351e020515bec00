"""Figures of a report: what they show in words, and themselves inside a page."""

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

DESCRIPTION = "Description"
WIDEST = 2000  # pixels; more than a page shows, and enough to look closely
QUALITY = 88


def description(path: Path) -> str:
    """Return what a figure says of itself; "" where it says nothing or isn't there."""
    if not path.exists():
        return ""
    with Image.open(path) as picture:
        return picture.info.get(DESCRIPTION, "")


@dataclass(frozen=True)
class Picture:
    """What the element of a figure needs."""

    source: str  # its address
    told: str  # what it shows
    width: int  # in pixels
    height: int


def picture(path: Path, *, embed: bool = False) -> Picture:
    """Describe a figure for a page."""
    with Image.open(path) as opened:
        source = _data_url(opened) if embed else f"figures/{path.name}"
        return Picture(source, opened.info.get(DESCRIPTION, ""), *opened.size)


def _data_url(opened: Image.Image) -> str:
    small, file = opened.convert("RGB"), BytesIO()
    small.thumbnail((WIDEST, 2 * WIDEST))
    small.save(file, "WEBP", quality=QUALITY)
    return f"data:image/webp;base64,{b64encode(file.getvalue()).decode()}"
