"""The page of an executed notebook."""

import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import nbformat
from markupsafe import Markup
from nbconvert.filters import strip_ansi
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from nbformat import NotebookNode

from helpers.runs.report.pages import description, markdown, page

SAVED = re.compile(r"""save_figure\(.*?["'](\d\d_\w+)["']""", re.DOTALL)
SENTENCE = re.compile(r"[^.:?]+[.:?]?\s*$")
MARKS = re.compile(r"[*_`]|\[|\]\([^)]*\)")


def notebook_page(executed: Path, shorten: Callable[[object], object]) -> str:
    """Render an executed notebook.

    Controls are left out, since without a kernel they answer nobody, and their state with them.
    """
    notebook = nbformat.read(executed, as_version=4)
    CoalesceStreamsPreprocessor().preprocess(notebook, {})
    cells, prose = [], ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            prose = cell.source
        alt = _alt(cell.source, executed.parents[1] / "figures", prose)
        outputs = [_shown(output, alt, shorten) for output in cell.get("outputs", [])]
        cells.append({"kind": cell.cell_type, "source": shorten(cell.source), "outputs": outputs})
    return page("notebook.html.j2", title=heading(notebook), cells=cells)


def heading(notebook: NotebookNode) -> str:
    """Return a notebook's title: its first heading."""
    headings = (
        cell.source.splitlines()[0] for cell in notebook.cells if cell.source.startswith("# ")
    )
    return next(headings).removeprefix("# ")


def _alt(code: str, figures: Path, prose: str) -> str:
    """Say what a cell's picture shows: as the figure itself does, or by what introduces it."""
    saved = SAVED.search(code)
    described = description(figures / f"{saved[1]}.png") if saved else ""
    introduction = SENTENCE.search(MARKS.sub("", prose).strip())
    introduced = introduction[0].strip(" \n:") if introduction else ""
    return " ".join(" ".join([introduced.rstrip(".") + ".", described]).split())


def _shown(output: NotebookNode, alt: str, shorten: Callable) -> dict[str, object]:
    """Describe an output for the template: how it is shown, and what."""
    if output.output_type == "stream":
        return {"kind": "text", "content": shorten(strip_ansi(output.text))}
    if output.output_type == "error":
        return {"kind": "text", "content": shorten(strip_ansi("\n".join(output.traceback)))}
    mime = next((each for each in SHOWN if each in output.data), "text/plain")
    kind, content = SHOWN[mime]
    return {"kind": kind, "content": content(shorten(output.data.get(mime, "")), mime), "alt": alt}


def _picture(data: str, mime: str) -> str:
    encoded = data if not mime.endswith("xml") else b64encode(data.encode()).decode()
    return f"data:{mime};base64,{''.join(encoded.split())}"


SHOWN = {
    "text/html": ("html", lambda data, _: Markup(data)),
    "text/markdown": ("prose", lambda data, _: markdown(data)),
    "image/png": ("picture", _picture),
    "image/jpeg": ("picture", _picture),
    "image/svg+xml": ("picture", _picture),
    "text/plain": ("text", lambda data, _: data),
}
"""How an output is shown: the first that it has."""
