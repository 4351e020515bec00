"""How far runs are, as their records say, and what they compute beside their images and model."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from helpers.checks import WorkbookError
from helpers.clip.names import is_embedded
from helpers.runs import paths
from helpers.runs.derived import untrained
from helpers.runs.paths import RECORD, REPORT
from helpers.runs.record import read_undamaged
from helpers.runs.stored import StoredRun, folders_of_runs
from helpers.runs.variants import folder_attacked, folders_by_severity, folders_of_others

if TYPE_CHECKING:
    from helpers.runs.run import Run

SIDE_BY_SIDE = 2
"""Notebooks that are executed at a time."""
PASSES = 3
"""Images that take as long as an adversarial view does."""


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
    """Say how far every run below ``outputs/`` is, the one written last first; or why not."""
    runs = [_progress_or_why_not(folder) for folder in folders_of_runs(paths.OUTPUTS)]
    known = [run for run in runs if isinstance(run, Progress)]
    unknown = [run for run in runs if not isinstance(run, Progress)]
    return [*sorted(known, key=lambda run: run.changed, reverse=True), *unknown]


def progress(folder: Path) -> Progress:
    """Return how far a run is."""
    run = StoredRun(folder)
    written = [path for path in (folder / RECORD, folder / REPORT) if path.exists()]
    return Progress(
        folder,
        run.title,
        _steps(folder, run.record),
        folder / REPORT if (folder / REPORT).exists() else None,
        datetime.fromtimestamp(max(path.stat().st_mtime for path in written)),
    )


def _progress_or_why_not(folder: Path) -> Progress | str:
    try:
        return progress(folder)
    except WorkbookError as error:
        return str(error)
    except (KeyError, AttributeError, TypeError, OSError):  # of a version with another record
        return f"{folder}: a run of an earlier version, which this one can't tell of."


def _steps(folder: Path, record: Mapping) -> tuple[Step, ...]:
    recorded, seconds = record["progress"], _seconds_each(record)
    below = [read_undamaged(folder / name / RECORD) or {} for name in recorded["below"]]
    of_below = _mean(each for other in below if (each := _seconds_each(other)) is not None)
    took = [
        each
        for name, each in recorded["notebooks"].items()
        if each is not None and (folder / "notebooks" / f"{name}.ipynb").exists()
    ]
    of_notebooks = _mean(each for each in took if each > 0)  # 0 where there was nothing to execute
    return (
        Step("images", *recorded["images"], seconds),
        Step(
            "images at other severities, of other models",
            sum(other["progress"]["images"][0] for other in below if "progress" in other),
            sum(recorded["below"].values()),
            seconds if of_below is None else of_below,
        ),
        Step(
            "notebooks",
            len(took),
            len(recorded["notebooks"]),
            of_notebooks and of_notebooks / SIDE_BY_SIDE,
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


@dataclass(frozen=True)
class Extra:
    """A part of the work that goes beyond a run's own images and model."""

    what: str
    notebook: str  # number of the first one that shows it
    images: int  # how many images it takes from file to scores, each with all its views


def extras_of(run: "Run") -> Iterator[Extra]:
    """List what is computed beside a run whose parameter ``extras`` is true."""
    images = len(run.images)
    severities = folders_by_severity(run.parameters, images)
    models = folders_of_others(run.parameters, images)
    at_severities = _counted(len(severities), "other severity", "other severities")
    yield Extra(at_severities, "10", sum(severities.values()))
    of_models = _counted(len(models), "other model", "other models")
    yield Extra(of_models, "11", sum(models.values()))
    attacked = sum(folder_attacked(run.parameters, images).values())
    yield Extra("adversarial views", "15", PASSES * attacked)
    if run.of_study:
        # Whose image tower is large is known when it is built; but for the embedded ones, most are.
        few = not is_embedded(run.parameters.model)
        networks = untrained.NETWORKS_OF_LARGE if few else untrained.NETWORKS
        most = untrained.IMAGES_OF_LARGE if few else untrained.IMAGES
        sources = Counter(image.source for image in run.images)
        read = sum(min(count, most) for count in sources.values())
        yield Extra("untrained networks", "03", networks * read)


def announcement(run: "Run") -> str:
    """Say what will be computed beside a run, with the time that it is expected to take."""
    extras = [extra for extra in extras_of(run) if extra.images] if run.parameters.extras else []
    if not extras:
        return ""
    listed = ", ".join(f"{extra.what} ({extra.notebook})" for extra in extras)
    seconds = sum(extra.images for extra in extras) * _seconds_each(run.record)
    return (
        f"Beside your images and model: {listed}; about {in_words(seconds)} for images alone."
        " -p extras false leaves this out."
    )


def in_words(seconds: float) -> str:
    """Write a duration as one would say it."""
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"


def _counted(count: int, singular: str, plural: str) -> str:
    return f"{count} {singular if count == 1 else plural}"
