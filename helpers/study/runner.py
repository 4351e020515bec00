"""The notebooks of a run, executed one after the other by papermill and rendered as HTML."""

import logging
from dataclasses import asdict
from pathlib import Path

import papermill
from nbclient.exceptions import DeadKernelError
from nbconvert import HTMLExporter

from helpers.study.parameters import NOTEBOOKS
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
    parameters = asdict(run.parameters) | {"out": str(run.folder)}
    return [
        _run_notebook(path, run.folder / "notebooks", parameters) for path in numbered_notebooks()
    ]


def _run_notebook(source: Path, folder: Path, parameters: dict[str, object]) -> Path:
    executed = folder / source.name
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
    return _render(executed)


def _render(notebook: Path) -> Path:
    # Pages must open without a network: no script or style sheet may come from elsewhere.
    exporter = HTMLExporter(**dict.fromkeys(REMOTE_SCRIPTS, ""))
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    exporter.log.setLevel(logging.ERROR)  # it warns of figures without alternative text
    page, _ = exporter.from_filename(str(notebook))
    path = notebook.with_suffix(".html")
    path.write_text(page, encoding="utf-8")
    return path
