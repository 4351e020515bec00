"""How far runs are, as their records say, also while another process writes them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from helpers.checks import WorkbookError
from helpers.runs import paths
from helpers.runs.paths import RECORD, REPORT
from helpers.runs.record import read_undamaged
from helpers.runs.runner import KERNELS
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
        _steps(folder, run.record),
        folder / REPORT if (folder / REPORT).exists() else None,
        datetime.fromtimestamp(max(path.stat().st_mtime for path in written)),
    )


def _told(folder: Path) -> Progress | str:
    try:
        return progress(folder)
    except WorkbookError as error:
        return str(error)
    except (KeyError, AttributeError, TypeError):  # of a version with another record
        return f"{folder}: a run of an earlier version, which this one can't tell of."


def _steps(folder: Path, record: Mapping) -> tuple[Step, ...]:
    told, seconds = record["progress"], _seconds_each(record)
    below = [read_undamaged(folder / name / RECORD) or {} for name in told["below"]]
    of_below = _mean(each for own in below if (each := _seconds_each(own)) is not None)
    took = [each for each in told["notebooks"].values() if each is not None]
    of_notebooks = _mean(each for each in took if each > 0)  # 0 where there was nothing to execute
    return (
        Step("images", *told["images"], seconds),
        Step(
            "images at other severities, of other models",
            sum(own["progress"]["images"][0] for own in below if "progress" in own),
            sum(told["below"].values()),
            seconds if of_below is None else of_below,
        ),
        Step(
            "notebooks",
            len(took),
            len(told["notebooks"]),
            of_notebooks and of_notebooks / KERNELS,
        ),
    )


def _seconds_each(record: Mapping) -> float | None:
    """Return how long an image took, all parts of the computation together."""
    timings = record.get("timings", {}).values()
    each = [part["seconds"] / part["images"] for part in timings if part["images"]]
    return sum(each) if each else None


def _mean(seconds: Iterable[float]) -> float | None:
    seconds = list(seconds)
    return float(np.mean(seconds)) if seconds else None
