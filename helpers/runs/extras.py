"""What a run computes beside its own images and model, and how long that is expected to take."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from helpers.clip.names import is_embedded
from helpers.runs.derived import untrained
from helpers.runs.run import Run
from helpers.runs.variants import folder_attacked, folders_by_severity, folders_of_others

PASSES = 3
"""Images that take as long as an adversarial view does."""


@dataclass(frozen=True)
class Extra:
    """A part of the work that goes beyond a run's own images and model."""

    what: str
    notebook: str  # number of the first one that shows it
    images: int  # how many images it takes from file to scores, each with all its views


def extras_of(run: Run) -> Iterator[Extra]:
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


def announcement(run: Run) -> str:
    """Say what will be computed beside a run, with the time that it is expected to take."""
    found = [one for one in extras_of(run) if one.images] if run.parameters.extras else []
    if not found:
        return ""
    listed = ", ".join(f"{one.what} ({one.notebook})" for one in found)
    seconds = sum(one.images for one in found) * _seconds_per_image(run)
    return (
        f"Beside your images and model: {listed}; about {in_words(seconds)} for images alone."
        " -p extras false leaves this out."
    )


def in_words(seconds: float) -> str:
    """Write a duration as one would say it."""
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"


def _seconds_per_image(run: Run) -> float:
    parts = [part for part in run.timings.values() if part["images"]]
    return sum(part["seconds"] / part["images"] for part in parts)


def _counted(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"
