"""How far runs are, read from their folders alone, also while another process writes them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np

from helpers.checks import WorkbookError
from helpers.runs import paths
from helpers.runs.attacked import folder_attacked
from helpers.runs.compared import folders_of_others
from helpers.runs.paths import ARRAYS, RECORD, REPORT
from helpers.runs.record import read_undamaged
from helpers.runs.report.provenance import origin_of
from helpers.runs.runner import ATTACK, COMPARISON, KERNELS, SEVERITY, numbered_notebooks
from helpers.runs.severities import folders_by_severity
from helpers.runs.storage.arrays import Arrays, DamagedArrays
from helpers.runs.stored import StoredRun, folders_of_runs


@dataclass(frozen=True)
class Step:
    """A part of a run's work."""

    name: str  # what is counted
    done: int
    total: int
    seconds_each: float | None  # how long one took so far; None where none was done

    @property
    def seconds_left(self) -> float | None:
        """How long the rest will take at that rate; None where that isn't known."""
        left = self.total - self.done
        return 0.0 if left <= 0 else self.seconds_each and left * self.seconds_each


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    folder: Path
    title: str  # names the model
    # its own images; the images of its runs at other severities and of other models; notebooks
    steps: tuple[Step, ...]
    report: Path | None  # the page, if it is there
    changed: datetime  # when the run's record was written last, or its report

    @property
    def is_finished(self) -> bool:
        """Whether all that a run consists of is there."""
        return self.report is not None and all(step.done >= step.total for step in self.steps)


def all_progress() -> list[Progress | str]:
    """Tell of every run below ``outputs/``, the one written last first."""
    found = [_told(folder) for folder in folders_of_runs(paths.OUTPUTS)]
    known = [one for one in found if isinstance(one, Progress)]
    unknown = [one for one in found if not isinstance(one, Progress)]
    return [*sorted(known, key=lambda one: one.changed, reverse=True), *unknown]


def progress(folder: Path) -> Progress:
    """Tell how far a run is."""
    run = StoredRun(folder)
    written = [path for path in (folder / RECORD, folder / REPORT) if path.exists()]
    return Progress(
        folder,
        run.title,
        (*_images(run), _notebooks(folder)),
        folder / REPORT if (folder / REPORT).exists() else None,
        datetime.fromtimestamp(max(path.stat().st_mtime for path in written)),
    )


def _told(folder: Path) -> Progress | str:
    try:
        return progress(folder)
    except WorkbookError as error:
        return str(error)
    except (AttributeError, TypeError):  # of a version with other parameters
        return f"{folder}: a run of an earlier version, which this one can't tell of."


def _images(run: StoredRun) -> tuple[Step, Step]:
    # Not `Parameters`, which would run the file that extends a run: that is listed, not opened.
    parameters = SimpleNamespace(**run.parameters)
    place = paths.store(parameters.out, run.folder)
    done, total = _counted(run.folder, place)
    seconds = _seconds_each(run.folder)
    expected = _expected(parameters, total)
    others = {
        name: _counted(
            run.folder / name, paths.below(parameters.out, run.folder, f"{name}/{ARRAYS}")
        )
        for name in expected
    }
    each = [_seconds_each(run.folder / name) for name in expected]
    measured = [one for one in each if one is not None]
    return (
        Step("images", done, total, seconds),
        Step(
            "images at other severities, of other models",
            sum(own for own, _ in others.values()),
            sum(expected.values()),
            float(np.mean(measured)) if measured else seconds,
        ),
    )


def _expected(parameters: SimpleNamespace, images: int) -> dict[str, int]:
    """Name the folders of the runs below a run, with their numbers of images."""
    found = {}
    for number, folders in BELOW.items() if parameters.extras else ():
        if any(path.name.startswith(number) for path in numbered_notebooks()):
            found |= folders(parameters, images)
    return found


# As of `helpers.runs.runner.READS`, but without opening, and so making, any run.
BELOW = {
    SEVERITY: folders_by_severity,
    ATTACK: folder_attacked,
    COMPARISON: lambda parameters, images: dict.fromkeys(folders_of_others(parameters), images),
}


def _counted(folder: Path, place: str) -> tuple[int, int]:
    """Count a run's images that are done, or known to be unreadable, and all."""
    if Arrays.identity_of(place) is None:
        return 0, 0
    try:
        done = Arrays(place).done()
    except DamagedArrays:  # or being written at this very moment
        return 0, 0
    return int(done.sum()) + len(_record(folder).get("unreadable", {})), len(done)


def _seconds_each(folder: Path) -> float | None:
    """Return how long an image took, all parts of the computation together."""
    timings = _record(folder).get("timings", {}).values()
    each = [part["seconds"] / part["images"] for part in timings if part["images"]]
    return sum(each) if each else None


def _record(folder: Path) -> dict:
    return read_undamaged(folder / RECORD) or {}


def _notebooks(folder: Path) -> Step:
    sources = [folder / "notebooks" / path.name for path in numbered_notebooks()]
    took = [_seconds_of(path, path.stat().st_mtime_ns) for path in sources if path.exists()]
    finished = [seconds for seconds in took if seconds is not None]
    return Step("notebooks", len(finished), len(sources), _mean_side_by_side(finished))


def _mean_side_by_side(seconds: Iterable[float]) -> float | None:
    executed = [one for one in seconds if one > 0]
    return float(np.mean(executed)) / KERNELS if executed else None


@lru_cache(maxsize=512)
def _seconds_of(executed: Path, written: int) -> float | None:
    """Return how long a notebook took, 0 if none of it was executed; None if it isn't finished."""
    if origin_of(executed) is None:
        return None
    told = nbformat.read(executed, as_version=4).metadata.get("papermill", {})
    return told.get("duration") or 0.0
