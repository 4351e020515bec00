"""The computations of a run: what each reads and adds, and how a batch is done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from helpers.analysis import dissection
from helpers.analysis.scores import SCORES, attention_map, embedding_similarity, pixel_change
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
    model = run.model
    rows, columns = model.grid
    changes = {"augmentation": len(AUGMENTATIONS)}
    labels = dissection.component_labels(model.layers, model.heads, model.rest_labels)
    layers = list(range(model.layers))
    return [
        Variable("embedding", {"view": len(VIEWS), "feature": model.features}),
        Variable("attention", {"view": len(VIEWS), "row": rows, "column": columns}),
        Variable(
            "heads",
            {"layer": _kept(run), "head": list(range(model.heads)), "feature": model.features},
            "float16",
        ),
        Variable(
            "parts",
            {"part": part_labels(model.layers, model.rest_labels), "feature": model.features},
        ),
        Variable("shares", changes | {"component": labels}),
        Variable("patch_shares", changes | {"row": rows, "column": columns}),
        Variable("depth_similarity", changes | {"depth": ["start", *map(str, layers)]}),
    ]


def _encode(run, drawn: np.ndarray, _) -> dict[str, np.ndarray]:
    # A matrix product rounds differently at another number of rows, enough to change the sixth
    # digit of a small distance. With a pass per image, results don't depend on the batch.
    encoded = [_one_image(run.model.encode(views, by_token=True), _kept(run)) for views in drawn]
    return {name: np.stack([values[name] for values in encoded]) for name in ENCODED}


def _one_image(encoding, kept: list[int]) -> dict[str, np.ndarray]:
    """Take what is kept from the encoding of an image's views, the original first."""
    components = dissection.components(encoding).values  # views × components × features
    tokens = encoding.tokens[:, encoding.prefix :]  # views × patches × features
    shift = encoding.embedding[1:] - encoding.embedding[0]
    by_patch = dissection.along_shift(tokens[1:] - tokens[0], shift, encoding.embedding[0])
    return {
        "embedding": encoding.embedding,
        "attention": encoding.attention,
        "heads": encoding.heads[0, kept],
        "parts": _parts(encoding),
        "shares": dissection.shift_shares(components[0], components[1:]),
        "patch_shares": by_patch.reshape(len(shift), *encoding.attention.shape[1:]),
        "depth_similarity": embedding_similarity(encoding.depths[:1], encoding.depths[1:]),
    }


def part_labels(layers: int, rest: Sequence[str]) -> list[str]:
    """Name the rows of the variable ``parts``, whose sum is the original's embedding.

    The rest of a model (`helpers.clip.Model.rest_labels`) is its start, a bias for every layer,
    which counts to that layer's attention, and what comes after the last layer.
    """
    by_layer = [f"L{layer}.{part}" for layer in range(layers) for part in ("attention", "MLP")]
    return [rest[0], *by_layer, *rest[1 + layers :]]


def _parts(encoding) -> np.ndarray:
    rest, layers = encoding.rest[0], len(encoding.mlps[0])
    attention = encoding.heads[0].sum(axis=1) + rest[1 : 1 + layers]  # layers × features
    by_layer = np.stack([attention, encoding.mlps[0]], axis=1).reshape(-1, rest.shape[-1])
    return np.concatenate([rest[:1], by_layer, rest[1 + layers :]])


def _kept(run) -> list[int]:
    return list(range(run.model.layers))[-run.parameters.layers :]


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


def _change_variables(_) -> list[Variable]:
    return [Variable("pixel_change", {"augmentation": len(AUGMENTATIONS)}, "float64")]


def _change(_, drawn: np.ndarray, needed: Mapping) -> dict[str, np.ndarray]:
    return {"pixel_change": pixel_change(drawn[:, :1], drawn[:, 1:])}


ENCODED = (
    "embedding",
    "attention",
    "heads",
    "parts",
    "shares",
    "patch_shares",
    "depth_similarity",
)
_SCORED_FROM = ("embedding", "attention")

STEPS = {
    step.name: step
    for step in (
        Step("encode", "Encoding views", (), ENCODED, _encoding_variables, _encode),
        Step("score", "Scoring views", _SCORED_FROM, tuple(SCORES), _score_variables, _score),
        Step("change", "Measuring pixels", (), ("pixel_change",), _change_variables, _change),
    )
}
