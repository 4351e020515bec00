"""The figures of a run, drawn again for print from the arrays that are there."""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from helpers.checks import one_of
from helpers.runs.drawing import Drawing, redrawing
from helpers.runs.run import Run
from helpers.runs.runner import execute, numbered_notebooks, run_lock, side_by_side
from helpers.runs.stored import StoredRun


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
