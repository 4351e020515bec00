"""Pages with pictures: HTML that opens from the file system, asks for nothing, runs nothing.

All that a page shows passes through a template that escapes it. What is HTML already is made here:
Markdown, in which HTML and pictures are shown as the text that they are, and highlighted code. A
policy in every page forbids scripts and requests, should anything else get through.
"""

import re
from base64 import b64encode
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import mistune
from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape
from PIL import Image
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from helpers.runs.report.results import DESCRIPTION

POLICY = "default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'"
"""What a browser may do for a page: show its pictures and styles."""

WIDEST = 2000  # pixels; more than a page shows, and enough to look closely
QUALITY = 88

NOTEBOOK_LINK = re.compile(r"([\w-]+)\.ipynb(#[\w-]*)?")


def page(template: str, **values: object) -> str:
    """Fill in a template."""
    loader = PackageLoader("helpers.runs.report", ".")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"markdown": markdown, "python": python}
    environment.globals |= {"policy": POLICY, "style": _style()}
    return environment.get_template(template).render(**values)


def markdown(text: str) -> Markup:
    """Render Markdown; HTML in it is shown as text, and so are pictures and links to elsewhere."""
    return Markup(_MARKDOWN(text))


def python(source: str) -> Markup:
    """Render Python code with classes for what its parts are."""
    return Markup(highlight(source, PythonLexer(), HtmlFormatter(nowrap=True)))


class _Plain(mistune.HTMLRenderer):
    """Renders nothing that asks for another file or leads out of the report."""

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return f"{escape(text)} ({escape(url)})"

    def link(self, text: str, url: str, title: str | None = None) -> str:
        notebook = NOTEBOOK_LINK.fullmatch(url)
        if notebook is None:
            return f"{text} ({escape(url)})"
        return f'<a href="{notebook[1]}.html{notebook[2] or ""}">{text}</a>'


_MARKDOWN = mistune.create_markdown(renderer=_Plain(escape=True), plugins=["table"])


def _style() -> Markup:
    return Markup(files("helpers.runs.report").joinpath("page.css").read_text(encoding="utf-8"))


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
    description: str  # what it shows
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
