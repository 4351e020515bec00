"""The computations of a run: what each reads and adds, and how a batch is done."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from helpers.analysis.scores import SCORES, attention_map
from helpers.data import AUGMENTATIONS, VIEWS
from helpers.study.arrays import Variable


@dataclass(frozen=True)
class Step:
    """A computation over batches of images.

    Attributes
    ----------
    name : str
    title : str
        What its progress bar says.
    needs : tuple of str
        Variables of earlier steps that a batch reads.
    fills : tuple of str
        Names of the variables that it adds.
    variables : callable
        The run → the variables that it adds, with their axes.
    compute : callable
        The run, drawn views (n × views × 224 × 224 × 3) and the needed variables → variable's name
        to values with first axis n.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    fills: tuple[str, ...]
    variables: Callable[[Any], list[Variable]]
    compute: Callable[[Any, np.ndarray, Mapping[str, np.ndarray]], dict[str, np.ndarray]]


def _encoding_variables(run) -> list[Variable]:
    rows, columns = run.model.grid
    views = {"view": len(VIEWS)}
    return [
        Variable("embedding", {**views, "feature": run.model.features}),
        Variable("attention", {**views, "row": rows, "column": columns}),
    ]


def _encode(run, drawn: np.ndarray, _) -> dict[str, np.ndarray]:
    # A matrix product rounds differently at another number of rows, enough to change the sixth
    # digit of a small distance. With a pass per image, results don't depend on the batch.
    encodings = [run.model.encode(views) for views in drawn]
    return {
        name: np.stack([getattr(encoding, name) for encoding in encodings]) for name in _ENCODED
    }


def _score_variables(_) -> list[Variable]:
    axes = {"augmentation": len(AUGMENTATIONS)}
    return [Variable(name, axes, "float64") for name in SCORES]


def _score(_, drawn: np.ndarray, needed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    inputs = {
        "pixels": drawn,
        "embedding": needed["embedding"],
        "attention": attention_map(needed["attention"]),
    }
    return {
        name: score.function(inputs[score.needs][:, :1], inputs[score.needs][:, 1:])
        for name, score in SCORES.items()
    }


_ENCODED = ("embedding", "attention")

STEPS = {
    step.name: step
    for step in (
        Step("encode", "Encoding views", (), _ENCODED, _encoding_variables, _encode),
        Step("score", "Scoring views", _ENCODED, tuple(SCORES), _score_variables, _score),
    )
}
