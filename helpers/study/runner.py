"""The notebooks of a run, executed one after the other by papermill and rendered as HTML."""

import hashlib
import json
import logging
from dataclasses import asdict
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from nbconvert import HTMLExporter

from helpers.study.parameters import NOTEBOOKS, ROOT
from helpers.study.run import Run

REMOTE_SCRIPTS = (
    "require_js_url",
    "jquery_url",
    "mathjax_url",
    "mermaid_js_url",
    "mermaid_layout_elk_js_url",
    "widget_renderer_url",
    "jupyter_widgets_base_url",
)
PROGRESS = "{desc}: cell {n_fmt} of {total_fmt} |{bar}| {elapsed}"


class CellError(RuntimeError):
    """A cell of a notebook failed; the message names notebook, cell and error."""


def numbered_notebooks() -> list[Path]:
    """Return the workbook's notebooks in the order of their numbers."""
    return sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def run_notebooks(run: Run) -> list[Path]:
    """Execute every numbered notebook with a run's parameters, into the run's folder.

    A notebook that was executed before is kept where neither it nor the parameters, the arrays or
    any code of the workbook have changed since, and all that it saved is there.

    Parameters
    ----------
    run : Run

    Returns
    -------
    list of Path
        The rendered notebooks, HTML.

    Raises
    ------
    CellError
        If a cell fails. The notebook is kept as far as it got.
    """
    return [_run_notebook(source, run) for source in numbered_notebooks()]


def _run_notebook(source: Path, run: Run) -> Path:
    executed = run.folder / "notebooks" / source.name
    page, origin = executed.with_suffix(".html"), _origin(source, run)
    if _is_current(executed, origin):
        print(f"{source.stem}: kept; nothing that it is made of has changed")
        return page
    _execute(source, executed, asdict(run.parameters) | {"out": str(run.folder)})
    page.write_text(_rendered(executed), encoding="utf-8")
    _mark(executed, {"origin": origin, "saved": _saved_by(executed)})
    return page


def _origin(source: Path, run: Run) -> str:
    """Hash all that an executed notebook follows from."""
    digest = hashlib.sha256(source.read_bytes())
    for path in sorted((ROOT / "helpers").rglob("*.py")):
        digest.update(path.read_bytes())
    made_of = [asdict(run.parameters), run.identity, run.record["versions"]]
    digest.update(json.dumps(made_of).encode())
    return digest.hexdigest()


def _is_current(executed: Path, origin: str) -> bool:
    if not executed.exists() or not executed.with_suffix(".html").exists():
        return False
    mark = nbformat.read(executed, as_version=4).metadata.get("workbook", {})
    return mark.get("origin") == origin and mark["saved"] == _saved_by(executed)


def _mark(executed: Path, mark: dict[str, object]) -> None:
    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata["workbook"] = mark
    nbformat.write(notebook, executed)


def _saved_by(executed: Path) -> list[str]:
    """Return the tables and figures that carry a notebook's number."""
    folder, number = executed.parents[1], executed.stem[:3]
    paths = (path for kind in ("tables", "figures") for path in (folder / kind).glob(f"{number}*"))
    return sorted(path.name for path in paths)


def _execute(source: Path, executed: Path, parameters: dict[str, object]) -> None:
    try:
        papermill.execute_notebook(
            source,
            executed,
            parameters=parameters,
            cwd=NOTEBOOKS,
            progress_bar={"desc": source.stem, "bar_format": PROGRESS},
            extra_arguments=["--log-level=ERROR"],  # it warns of every kernel without encryption
        )
    except papermill.PapermillExecutionError as error:
        raise CellError(
            f"Notebook {source.stem} failed in cell {error.cell_index}: {error.ename}:"
            f" {error.evalue}\nThe notebook up to there: {executed}"
        ) from error
    except DeadKernelError as error:
        raise CellError(f"Notebook {source.stem} failed: its kernel died. {executed}") from error


def _rendered(notebook: Path) -> str:
    # Pages must open without a network: no script or style sheet may come from elsewhere.
    exporter = HTMLExporter(**dict.fromkeys(REMOTE_SCRIPTS, ""))
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    exporter.log.setLevel(logging.ERROR)  # it warns of figures without alternative text
    return exporter.from_filename(str(notebook))[0]
