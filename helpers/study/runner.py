"""The notebooks of a run, executed one after the other by papermill and rendered as HTML."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from nbconvert import HTMLExporter

from helpers.clip import weights
from helpers.study.compared import compared_models, compared_run
from helpers.study.parameters import NOTEBOOKS, ROOT, split_model
from helpers.study.report import write_report
from helpers.study.run import Run

SUMMARY, COMPARISON = "00_", "10_"

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


def run_study(run: Run) -> Path:
    """Execute every numbered notebook with a run's parameters, and write the report.

    Where the parameter ``compare_fully`` says so, the compared models get theirs first, in the
    folders that the comparison reads; but no comparison of their own.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Path
        The report.

    Raises
    ------
    CellError
        If a cell fails. The notebook is kept as far as it got.
    """
    reports = {}
    if run.parameters.compare_fully:
        for model in compared_models(run):
            other = compared_run(run, model)
            print(f"{other.title}: {other.folder}")
            alone = [path for path in numbered_notebooks() if not path.name.startswith(COMPARISON)]
            reports[other.title] = write_report(other, run_notebooks(other, alone))
    return write_report(run, run_notebooks(run, numbered_notebooks()), reports)


def run_notebooks(run: Run, sources: Sequence[Path]) -> list[Path]:
    """Execute notebooks with a run's parameters, into the run's folder; the summary last.

    A notebook that was executed before is kept where neither it nor the parameters, the arrays,
    the texts, the compared weights or any code of the workbook have changed since, and all that it
    saved is there.

    Parameters
    ----------
    run : Run
    sources : sequence of Path
        The notebooks.

    Returns
    -------
    list of Path
        The rendered notebooks, HTML, in the order of `sources`.

    Raises
    ------
    CellError
        If a cell fails. The notebook is kept as far as it got.
    """
    base = _origin(run)
    order = sorted(sources, key=lambda source: (source.name.startswith(SUMMARY), source.name))
    pages = {source: _run_notebook(source, run, base) for source in order}
    return [pages[source] for source in sources]


def _run_notebook(source: Path, run: Run, base: str) -> Path:
    executed = run.folder / "notebooks" / source.name
    origin = hashlib.sha256(base.encode() + source.read_bytes()).hexdigest()
    page = executed.with_suffix(".html")
    if _is_current(executed, origin):
        print(f"{source.stem}: kept; nothing that it is made of has changed")
        return page
    _execute(source, executed, asdict(run.parameters) | {"out": str(run.folder)})
    page.write_text(_rendered(executed), encoding="utf-8")
    _mark(executed, {"origin": origin, "saved": _saved_by(executed)})
    return page


def _origin(run: Run) -> str:
    """Hash all that executed notebooks follow from, beside the notebooks themselves."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "helpers").rglob("*.py")):
        digest.update(path.read_bytes())
    compared = [_fingerprint(model) for model in compared_models(run)]
    made_of = [asdict(run.parameters), run.identity, run.record["versions"]]
    digest.update(json.dumps([*made_of, run.texts.fingerprint, compared]).encode())
    return digest.hexdigest()


def _fingerprint(model: str) -> str:
    return weights.fingerprint(weights.locate(*split_model(model)))


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
