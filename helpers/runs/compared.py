"""The runs that a run is compared with: of other models, and at other severities."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from helpers.analysis.scores import SCORES
from helpers.clip import names
from helpers.clip.embedded.files import UNTRAINED
from helpers.clip.names import split_model
from helpers.runs.parameters import Parameters, compared_with
from helpers.runs.run import Run

WANTED = ("embedding", "shares")
"""What notebooks read of a compared model, beside scores, and the heads of the untrained one."""
PLAIN = re.compile(r"[\w.-]+(:[\w.-]+)?")


def compared_models(run: Run) -> list[str]:
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


def folders_of_others(parameters: Parameters) -> list[str]:
    """Name the folders, below a run's, of all that `runs_in_training_order` opens beside it."""
    own = parameters.model, parameters.pretrained
    listed = dict.fromkeys([_untrained(parameters.model), *compared_with(parameters)])
    return [f"models/{folder_name(each)}" for each in listed if split_model(each) != own]


def compared_run(run: Run, model: str) -> Run:
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
    wanted = (*SCORES, *WANTED, *(["heads"] if model == untrained_model(run) else []))
    return run.variant(
        f"models/{folder_name(model)}",
        model=name,
        pretrained=pretrained,
        texts=run.parameters.texts or run.texts.name,
        compare=[],
        compare_fully=False,
        wanted=None if run.parameters.compare_fully else wanted,
    )


def subset_run(run: Run, most: int) -> Run:
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


def untrained_model(run: Run) -> str:
    """Name the untrained network of a run's architecture, as ``compare`` would list it."""
    return _untrained(run.parameters.model)


def _untrained(name: str) -> str:
    return f"{name}:{UNTRAINED}" if names.brings_weights(name) else name


def untrained_run(run: Run) -> Run:
    """Open the run of the same images with the same architecture before its first training step.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Run
        The run itself where its model is untrained.
    """
    model = untrained_model(run)
    is_own = split_model(model) == (run.parameters.model, run.parameters.pretrained)
    return run if is_own else compared_run(run, model)


def runs_in_training_order(run: Run) -> Iterator[Run]:
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
    own = run.parameters.model, run.parameters.pretrained
    listed = dict.fromkeys(map(split_model, [untrained_model(run), *compared_models(run)]))
    for model in sorted([*(each for each in listed if each != own), own], key=_steps_trained):
        spec = ":".join(part for part in model if part)
        yield run if model == own else compared_run(run, spec)


def _steps_trained(model: tuple[str, str | None]) -> float:
    name, pretrained = model
    if not names.brings_weights(name):
        return float("inf") if pretrained else 0
    return float(pretrained) if pretrained and pretrained.isdigit() else float("inf")


def folder_name(model: str) -> str:
    """Return a folder's name for a model; one of a local file holds a hash of its path."""
    if PLAIN.fullmatch(model):
        return model.replace(":", "-")
    name, pretrained = split_model(model)
    key = hashlib.sha256(model.encode()).hexdigest()[:8]
    return f"{Path(name).name}-{re.sub(r'[^A-Za-z0-9_.-]', '_', Path(pretrained or '').stem)}-{key}"
