"""The runs that a run reads beside its own: at other severities, of other models, under attack.

Each lies in a folder below the run's.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr

from helpers.analysis.scores import SCORES
from helpers.analysis.severity import MOST_IMAGES
from helpers.clip import names
from helpers.clip.embedded import UNTRAINED
from helpers.clip.names import split_model
from helpers.data import SETS, scale_of
from helpers.data.changes import members_of
from helpers.runs.parameters import Parameters, compared_with

if TYPE_CHECKING:
    from helpers.runs.run import Run

OF_SEVERITY = (*SCORES, "embedding", "pixel_change")
OF_MODEL = (*SCORES, "embedding", "shares")
UNDER_ATTACK = (*SCORES, "embedding", "shares", "pixel_change")
"""What notebooks read of such runs; of the untrained network, also its heads."""

MOST_ATTACKED = 30
"""Images at most: an adversarial view takes as long as thirty others."""
ATTACK_SEVERITY = 3.0
ATTACKS = "attacks"
PLAIN = re.compile(r"[\w.-]+(:[\w.-]+)?")


def runs_by_severity(run: "Run", severities: Sequence[float] | None = None) -> dict[float, "Run"]:
    """Open a run at several severities, each in a folder below the run's.

    Parameters
    ----------
    run : Run
    severities : sequence of float, optional
        By default those of the scale of the run's changes (`helpers.data.scale_of`).

    Returns
    -------
    dict of float to Run
        The run itself where it has that severity and its images are few enough; of a larger run
        `helpers.analysis.severity.MOST_IMAGES` images.
    """
    fewer = {"limit": MOST_IMAGES} if len(run.images) > MOST_IMAGES else {}
    severities = severities or scale_of(run.changes).severities
    return {
        each: run.variant(f"severities/{each:g}", OF_SEVERITY, severity=each, **fewer)
        for each in severities
    }


def similarity_by_severity(run: "Run", severities: Sequence[float] | None = None) -> xr.DataArray:
    """Return the embedding similarity at several severities.

    Parameters
    ----------
    run : Run
    severities : sequence of float, optional
        As for `runs_by_severity`.

    Returns
    -------
    DataArray, (severity, image, augmentation)
        Computed where it is missing.
    """
    runs = runs_by_severity(run, severities)
    similarities = [each.scores()["embedding_similarity"] for each in runs.values()]
    return xr.concat(similarities, pd.Index(list(runs), name="severity"))


def folders_by_severity(parameters: Parameters, images: int) -> dict[str, int]:
    """Name the folders of `runs_by_severity` below a run's, with their numbers of images."""
    few = images <= MOST_IMAGES
    return {
        f"severities/{each:g}": min(images, MOST_IMAGES)
        for each in scale_of(members_of(parameters.changes)).severities
        if each != parameters.severity or not few
    }


def compared_models(run: "Run") -> list[str]:
    """List the models of the parameter ``compare``, each once, without the run's own.

    Parameters
    ----------
    run : Run

    Returns
    -------
    list of str
        As ``compare`` has them.
    """
    return compared_with(run.parameters)


def compared_run(run: "Run", model: str) -> "Run":
    """Open the run of the same images with another model, in a folder below the run's.

    Parameters
    ----------
    run : Run
    model : str
        One of `compared_models`.

    Returns
    -------
    Run
        Compared with no other model, and read with the same texts.
    """
    name, pretrained = split_model(model)
    wanted = (*OF_MODEL, *(["heads"] if model == untrained_model(run.parameters.model) else []))
    return run.variant(
        f"models/{folder_name(model)}",
        model=name,
        pretrained=pretrained,
        texts=run.parameters.texts or run.texts.name,
        compare=[],
        compare_fully=False,
        wanted=None if run.parameters.compare_fully else wanted,
    )


def untrained_model(name: str) -> str:
    """Name the untrained network of a model's architecture, as ``compare`` would list it."""
    return f"{name}:{UNTRAINED}" if names.brings_weights(name) else name


def untrained_run(run: "Run") -> "Run":
    """Open the run of the same images with the same architecture before its first training step.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Run
        The run itself where its model is untrained.
    """
    model = untrained_model(run.parameters.model)
    is_own = split_model(model) == (run.parameters.model, run.parameters.pretrained)
    return run if is_own else compared_run(run, model)


def runs_in_training_order(run: "Run") -> Iterator["Run"]:
    """Open a run, its compared ones and that of the untrained network, one after the other.

    Parameters
    ----------
    run : Run

    Yields
    ------
    Run
        Untrained models first, then earlier states of the embedded model by their step, then other
        models in the order of ``compare``, and the run itself where it belongs among these: last,
        if it is trained to the end. One at a time: several large models would not fit the memory.
    """
    own_model = run.parameters.model, run.parameters.pretrained
    others = map(split_model, _others(run.parameters))
    for model in sorted([*others, own_model], key=_steps_trained):
        spec = ":".join(part for part in model if part)
        yield run if model == own_model else compared_run(run, spec)


def _others(parameters: Parameters) -> list[str]:
    own_model = parameters.model, parameters.pretrained
    listed = [untrained_model(parameters.model), *compared_with(parameters)]
    return [model for model in dict.fromkeys(listed) if split_model(model) != own_model]


def _steps_trained(model: tuple[str, str | None]) -> float:
    name, pretrained = model
    if not names.brings_weights(name):
        return float("inf") if pretrained else 0
    return float(pretrained) if pretrained and pretrained.isdigit() else float("inf")


def folders_of_others(parameters: Parameters, images: int) -> dict[str, int]:
    """Name the folders of `runs_in_training_order` below a run's, with their numbers of images."""
    return {f"models/{folder_name(model)}": images for model in _others(parameters)}


def folder_name(model: str) -> str:
    """Return a folder's name for a model; one of a local file holds a hash of its path."""
    if PLAIN.fullmatch(model):
        return model.replace(":", "-")
    name, pretrained = split_model(model)
    key = hashlib.sha256(model.encode()).hexdigest()[:8]
    return f"{Path(name).name}-{re.sub(r'[^A-Za-z0-9_.-]', '_', Path(pretrained or '').stem)}-{key}"


def attacked_run(run: "Run") -> "Run":
    """Open the run of some of a run's images under attacks, in a folder below it.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Run
        Of `MOST_ATTACKED` images at most, drawn with the run's seed, at `ATTACK_SEVERITY`; the run
        itself where its own changes are all the attacks.
    """
    if _is_attacked(run.changes):
        return run
    fewer = {"limit": MOST_ATTACKED} if len(run.images) > MOST_ATTACKED else {}
    given = {"changes": "attacks", "severity": ATTACK_SEVERITY, "cluster": None}
    return run.variant(ATTACKS, UNDER_ATTACK, compare=[], compare_fully=False, **given, **fewer)


def folder_attacked(parameters: Parameters, images: int) -> dict[str, int]:
    """Name the folder of `attacked_run` below a run's, with its number of images."""
    if _is_attacked(members_of(parameters.changes)):
        return {}
    return {ATTACKS: min(images, MOST_ATTACKED)}


def _is_attacked(changes: Sequence[str]) -> bool:
    return {*SETS["attacks"]} <= {*changes}


def subset_run(run: "Run", most: int) -> "Run":
    """Open the run of some of a large run's images, for what takes other passes than its own.

    Parameters
    ----------
    run : Run
    most : int
        Number of images, drawn at random with the run's seed.

    Returns
    -------
    Run
        The run itself where it has no more images than that.
    """
    if len(run.images) <= most:
        return run
    return run.variant(f"subset-{most}", limit=most, compare=[])


@dataclass(frozen=True)
class RelatedRuns:
    """Runs that a notebook reads beside its own."""

    runs: Callable[["Run"], Iterable["Run"]]
    # the same without opening, and so making, any: names of folders → numbers of images
    folders: Callable[[Parameters, int], dict[str, int]]


SEVERITY, COMPARISON, ATTACK = "10", "11", "15"
RELATED_RUNS: Mapping[str, RelatedRuns] = {
    SEVERITY: RelatedRuns(lambda run: runs_by_severity(run).values(), folders_by_severity),
    COMPARISON: RelatedRuns(runs_in_training_order, folders_of_others),
    ATTACK: RelatedRuns(lambda run: [attacked_run(run)], folder_attacked),
}
"""By the number of the notebook."""


def folders_below(
    parameters: Parameters, images: int, notebooks: Collection[str]
) -> dict[str, int]:
    """Name the folders of the runs that notebooks read below a run's, with numbers of images."""
    folders = {}
    for number, related in RELATED_RUNS.items() if parameters.extras else ():
        if any(name.startswith(number) for name in notebooks):
            folders |= related.folders(parameters, images)
    return folders
