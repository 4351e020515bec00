"""The runs that a run is compared with: of other models, and at other severities."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from helpers.analysis.severity import MOST_IMAGES, SEVERITIES
from helpers.clip import weights
from helpers.clip.embedded.files import UNTRAINED
from helpers.study.parameters import split_model
from helpers.study.run import Run

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
    own = run.parameters.model, run.parameters.pretrained
    return [text for text in dict.fromkeys(run.parameters.compare) if split_model(text) != own]


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
    return run.variant(
        f"models/{folder_name(model)}",
        model=name,
        pretrained=pretrained,
        texts=run.parameters.texts or run.texts.name,
        compare=[],
        compare_fully=False,
    )


def compared_runs(run: Run) -> Iterator[Run]:
    """Open the runs of all compared models, one after the other."""
    return (compared_run(run, model) for model in compared_models(run))


def severity_runs(run: Run) -> Iterator[Run]:
    """Open the runs at `helpers.analysis.severity.SEVERITIES`, of `MOST_IMAGES` images at most."""
    fewer = {"limit": MOST_IMAGES} if len(run.images) > MOST_IMAGES else {}
    return (run.variant(f"severities/{each:g}", severity=each, **fewer) for each in SEVERITIES)


def untrained_run(run: Run) -> Run:
    """Open the run of the same images with the run's model untrained, a baseline for what it knows.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Run
        In a folder below the run's; the run itself where its own model is untrained.
    """
    name = run.parameters.model
    untrained = f"{name}:{UNTRAINED}" if name == weights.EMBEDDED else name
    own = run.parameters.model, run.parameters.pretrained
    return run if split_model(untrained) == own else compared_run(run, untrained)


def folder_name(model: str) -> str:
    """Return a folder's name for a model; one of a local file holds a hash of its path.

    Parameters
    ----------
    model : str
        As the parameter ``compare`` lists it.

    Returns
    -------
    str
        Without any character that a file system may refuse.
    """
    if PLAIN.fullmatch(model):
        return model.replace(":", "-")
    name, pretrained = split_model(model)
    key = hashlib.sha256(model.encode()).hexdigest()[:8]
    return f"{name}-{re.sub(r'[^A-Za-z0-9_.-]', '_', Path(pretrained or '').stem)}-{key}"
