"""The notebooks of a run, executed by papermill, two at a time."""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TypeVar

import nbformat
import papermill
import psutil
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from tqdm import tqdm

from helpers.checks import one_of
from helpers.clip import weights
from helpers.clip.capabilities import QUESTIONS
from helpers.clip.names import split_model
from helpers.cores import cores
from helpers.runs import jupyter_kernels
from helpers.runs.notebook_needs import answerable, missing
from helpers.runs.paths import RECORD, REPORT, numbered_notebooks
from helpers.runs.progress import SIDE_BY_SIDE, announcement
from helpers.runs.record import Record, helpers_digest
from helpers.runs.report.provenance import damage_of, mark, origin_of
from helpers.runs.report.report import write_report
from helpers.runs.report.results import Drawing, redrawing
from helpers.runs.run import Run
from helpers.runs.storage.locks import ProcessLock
from helpers.runs.stored import StoredRun
from helpers.runs.variants import COMPARISON, RELATED_RUNS, SEVERITY, compared_models, compared_run

SUMMARY = "00"
# What a reader wants first, and then what takes longest; the others follow by number.
FIRST = ("09", SEVERITY, "02", "08", COMPARISON)
THREADS = "OMP_NUM_THREADS"

_computing = Lock()  # one model in this process at a time
Done = TypeVar("Done")

PROGRESS = "{n_fmt} of {total_fmt} notebooks |{bar}| {elapsed}, about {remaining} left"


class CellError(RuntimeError):
    """A cell of a notebook failed; the message names notebook, cell and error."""


def run_workbook(run: Run) -> Path:
    """Execute every numbered notebook with a run's parameters, and write the report.

    Where the parameter ``compare_fully`` says so, the compared models get theirs first, in the
    folders that the comparison reads; but no comparison of their own.
    """
    with run_lock(run.folder):
        if run.parameters.compare_fully:
            sources = numbered_notebooks()
            alone = [path for path in sources if not path.name.startswith(COMPARISON)]
            for model in compared_models(run):
                other = compared_run(run, model)
                print(f"{other.title}: {other.folder}")
                run_notebooks(other, alone)
        return run_notebooks(run, numbered_notebooks())


def run_lock(folder: Path) -> ProcessLock:
    """Return the lock that `run_workbook` holds on the folder of a run."""
    return ProcessLock(folder / "study.lock")


def run_notebooks(run: Run, sources: Sequence[Path]) -> Path:
    """Execute notebooks with a run's parameters, into the run's folder, and write the report.

    The run's own arrays come first, with all cores; then notebooks, two at a time, the summary
    last. The report is written when the first of them ends, and grows with each. What the model
    can't answer is left out of them (`helpers.runs.notebook_needs`).

    A notebook that was executed before is kept where neither it nor the parameters, the arrays,
    the texts, the compared weights or any code of the workbook have changed since, and all that it
    saved is there.
    """
    for sentence in missing(QUESTIONS, run.find_capabilities()):
        print(sentence)
    for sentence in run.images.left_out.sentences():
        print(f"left out: {sentence}")
    base = _origin(run)
    origins = {
        source: hashlib.sha256(base.encode() + source.read_bytes()).hexdigest()
        for source in sources
    }
    left = {
        source: origin
        for source, origin in origins.items()
        if not _is_kept(run, run.folder / "notebooks" / source.name, origin)
    }
    if left:
        with _share_of_cores():
            jupyter_kernels.prepare()
    _compute(run)
    if left and (sentence := announcement(run)):
        print(sentence)
    finished = _begun(run, sources, left)
    waiting = sorted(left, key=_place)
    summary = [source for source in waiting if source.name.startswith(SUMMARY)]
    with tqdm(total=len(waiting), bar_format=PROGRESS) as progress:
        for now in ([source for source in waiting if source not in summary], summary):
            work = [partial(_run_notebook, source, run, left[source]) for source in now]
            for done, seconds in side_by_side(work):
                waiting.remove(done)
                finished(done, seconds)
                _report(run, waiting)
                progress.update()
    return write_report(run.folder)


def _begun(
    run: Run, sources: Sequence[Path], left: Collection[Path]
) -> Callable[[Path, float], None]:
    """Write into the run's record which notebooks are kept; return what adds one that has ended."""
    record = Record(run.folder / RECORD)
    before = run.record["progress"].get("notebooks", {})
    took = {each.stem: None if each in left else before.get(each.stem) or 0.0 for each in sources}

    def finished(source: Path, seconds: float) -> None:
        took[source.stem] = seconds
        record.update_progress(notebooks=took)

    record.update_progress(notebooks=took)
    return finished


def _place(source: Path) -> tuple[int, str]:
    order = [place for place, number in enumerate(FIRST) if source.name.startswith(number)]
    return (order or [len(FIRST)])[0], source.name


def _report(run: Run, waiting: Sequence[Path]) -> None:
    is_first = not (run.folder / REPORT).exists()
    page = write_report(run.folder, [source.stem for source in waiting])
    if is_first:
        print(f"First pages, which grow as the rest is computed: {page}")


def _compute(run: Run, with_texts: bool = True) -> None:
    run.compute()
    if with_texts and run.find_capabilities().texts:
        run.named_texts()


def side_by_side(work: Iterable[Callable[[], Done]]) -> Iterator[Done]:
    """Do what starts a kernel each, as many at a time as share the cores well; yield what ends."""
    with _share_of_cores(), ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        futures = [pool.submit(task) for task in work]
        try:
            for future in as_completed(futures):
                yield future.result()
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            while not all(future.done() for future in futures):
                _end_kernels()  # once more: one may have been about to start
                time.sleep(0.2)
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _end_kernels() -> None:
    # A terminal's Ctrl-C doesn't reach them, and a notebook may have minutes to go.
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.terminate()


@contextmanager
def _share_of_cores() -> Iterator[None]:
    """Let kernels that are started here use their share of the cores, if the user set none."""
    if THREADS in os.environ:
        yield
        return
    os.environ[THREADS] = str(max(1, cores() // SIDE_BY_SIDE))
    try:
        yield
    finally:
        os.environ.pop(THREADS)


def _run_notebook(source: Path, run: Run, origin: str) -> tuple[Path, float]:
    with _computing:
        related = RELATED_RUNS.get(source.name[:2]) if run.parameters.extras else None
        for other in related.runs(run) if related else ():
            _compute(other, with_texts=other.title != run.title)
    executed = run.folder / "notebooks" / source.name
    seconds = execute(source, run, executed)
    mark(executed, origin)
    return source, seconds


def execute(source: Path, run: Run, executed: Path) -> float:
    """Execute what a run can answer of a notebook, with its parameters; return the seconds."""
    given = run.capabilities, run.changes, run.parameters.extras
    notebook = answerable(nbformat.read(source, as_version=4), *given)
    if any(cell.cell_type == "code" for cell in notebook.cells):
        return _execute(notebook, source.parent, executed, _given(run))
    nbformat.write(notebook, executed)
    return 0.0


def _given(run: Run) -> dict[str, object]:
    """Return the parameters that notebooks get: with the folder, also if the run has chosen it."""
    return run.parameters.model_dump() | {"out": run.parameters.out or str(run.folder)}


def _origin(run: Run) -> str:
    """Hash all that executed notebooks follow from, beside the notebooks themselves."""
    digest = hashlib.sha256(helpers_digest().encode())
    compared = [weights.fingerprint(*split_model(model)) for model in compared_models(run)]
    extension = run.parameters.extension
    record = run.record
    made_of = [_given(run), run.identity, record["versions"], record["capabilities"]]
    digest.update(json.dumps([*made_of, run.texts.fingerprint, compared, extension]).encode())
    return digest.hexdigest()


def _is_kept(run: Run, executed: Path, origin: str) -> bool:
    if not executed.exists() and not executed.with_suffix(".html").exists():
        return False
    if damaged := damage_of(executed):
        files = ", ".join(damaged)
        run.report_damage(f"{run.folder}: {files} damaged, missing or unfinished; executed again.")
        return False
    if origin_of(executed) != origin:
        return False
    print(f"{executed.stem}: kept; nothing that it is made of has changed")
    return True


def _execute(
    notebook: NotebookNode, folder: Path, executed: Path, parameters: dict[str, object]
) -> float:
    name = executed.stem
    try:
        done = papermill.execute_notebook(
            notebook,
            executed,
            parameters=parameters,
            cwd=folder,
            progress_bar=False,
            # It warns of every kernel without encryption, and of the interrupt that ends one.
            extra_arguments=["--log-level=CRITICAL"],
        )
    except papermill.PapermillExecutionError as error:
        raise CellError(
            f"Notebook {name} failed in cell {error.cell_index}: {error.ename}:"
            f" {error.evalue}\nThe notebook up to there: {executed}"
        ) from error
    except DeadKernelError as error:
        raise CellError(f"Notebook {name} failed: its kernel died. {executed}") from error
    return done.metadata.papermill["duration"]


def redraw(folder: Path, drawing: Drawing, numbers: Sequence[str] = ()) -> Path:
    """Execute a run's notebooks once more, only for their figures.

    Kept beside the PNGs of every run, vector formats would double its size and the time that
    drawing takes; few are ever printed.
    """
    sources = {path.name[:2]: path for path in numbered_notebooks()}
    chosen = [sources[one_of("a notebook", number, sources)] for number in numbers or sources]
    run = Run(StoredRun(folder).reopened)
    place = folder / "figures" / drawing.format
    place.mkdir(exist_ok=True)
    with run_lock(folder), redrawing(drawing), tempfile.TemporaryDirectory() as executed:
        work = (partial(execute, each, run, Path(executed, each.name)) for each in chosen)
        list(side_by_side(work))
    return place
