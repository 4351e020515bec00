"""All that a run keeps of an image, computed while its views are in memory."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from helpers.analysis import dissection
from helpers.analysis.scores import SCORES, attention_map, embedding_similarity, pixel_scores
from helpers.data import AUGMENTATIONS, VIEWS
from helpers.study.arrays import Variable

if TYPE_CHECKING:
    from helpers.clip import Encoding, Model

CHANGES = {"augmentation": len(AUGMENTATIONS)}
Values = dict[str, np.ndarray]


def variables(model: "Model", layers: int) -> list[Variable]:
    """Return all that is kept of an image.

    Parameters
    ----------
    model : Model
    layers : int
        How many of the last layers' heads are kept.

    Returns
    -------
    list of Variable
    """
    rows, columns = model.grid
    labels = dissection.component_labels(model.layers, model.heads, model.rest_labels)
    parts = part_labels(model.layers, model.rest_labels)
    kept = list(range(model.layers))[-layers:]
    depths = ["start", *map(str, range(model.layers))]
    return [
        Variable("embedding", {"view": len(VIEWS), "feature": model.features}),
        Variable("attention", {"view": len(VIEWS), "row": rows, "column": columns}),
        Variable(
            "heads",
            {"layer": kept, "head": list(range(model.heads)), "feature": model.features},
            "float16",
        ),
        Variable("parts", {"part": parts, "feature": model.features}),
        Variable("shares", CHANGES | {"component": labels}),
        Variable("patch_shares", CHANGES | {"row": rows, "column": columns}),
        Variable("depth_similarity", CHANGES | {"depth": depths}),
        *(Variable(name, CHANGES, "float64") for name in (*SCORES, "pixel_change")),
    ]


def part_labels(layers: int, rest: Sequence[str]) -> list[str]:
    """Name the rows of the variable ``parts``, whose sum is the original's embedding.

    The rest of a model (`helpers.clip.Model.rest_labels`) is its start, a bias for every layer,
    which counts to that layer's attention, and what comes after the last layer.
    """
    by_layer = [f"L{layer}.{part}" for layer in range(layers) for part in ("attention", "MLP")]
    return [rest[0], *by_layer, *rest[1 + layers :]]


def encoded(encoding: "Encoding", layers: int) -> Values:
    """Take what is kept from one forward pass over all views of some images.

    Parameters
    ----------
    encoding : Encoding
        Of n images × views, view by view, the original first; encoded by token.
    layers : int
        As for `variables`.

    Returns
    -------
    dict of str to ndarray
        Variable → values with first axis n.
    """
    embedding = _by_image(encoding.embedding)  # images × views × features
    components = _by_image(dissection.components(encoding).values)
    depths = _by_image(encoding.depths)
    return {
        "embedding": embedding,
        "attention": _by_image(encoding.attention),
        "heads": _by_image(encoding.heads)[:, 0, -layers:],
        "parts": _parts(encoding),
        "shares": dissection.shift_shares(components[:, :1], components[:, 1:]),
        "patch_shares": _patch_shares(encoding, embedding),
        "depth_similarity": embedding_similarity(depths[:, :1], depths[:, 1:]),
    }


def scored(drawn: np.ndarray, embedding: np.ndarray, attention: np.ndarray) -> Values:
    """Compare the augmented views of one image with its original.

    Parameters
    ----------
    drawn : ndarray of uint8, views × 224 × 224 × 3
        The original first.
    embedding, attention : ndarray, views × …
        Of the same views, as `encoded` gives them.

    Returns
    -------
    dict of str to ndarray of float64, (augmentations,)
        The six scores and the pixel change.
    """
    inputs = {"embedding": embedding, "attention": attention_map(attention)}
    by_model = {
        name: score.function(inputs[score.needs][:1], inputs[score.needs][1:])
        for name, score in SCORES.items()
        if score.needs in inputs
    }
    return by_model | pixel_scores(drawn[0], drawn[1:])


def _by_image(of_views: np.ndarray) -> np.ndarray:
    return of_views.reshape(-1, len(VIEWS), *of_views.shape[1:])


def _patch_shares(encoding: "Encoding", embedding: np.ndarray) -> np.ndarray:
    shift = embedding[:, 1:] - embedding[:, :1]  # images × changes × features
    along = encoding.tokens_along(shift.repeat(len(VIEWS), axis=0))  # views × tokens × changes
    along = _by_image(along[:, encoding.prefix :])  # images × views × patches × changes
    before = along[:, 0].swapaxes(1, 2)  # images × changes × patches
    after = np.einsum("ncpc->ncp", along[:, 1:])  # each view along its own shift
    shares = dissection.as_shares(after - before, shift, embedding[:, :1])
    return shares.reshape(*shift.shape[:2], *encoding.attention.shape[1:])


def _parts(encoding: "Encoding") -> np.ndarray:
    original = slice(None, None, len(VIEWS))
    rest, mlps = encoding.rest[original], encoding.mlps[original]
    layers = mlps.shape[1]
    biases = rest[:, 1 : 1 + layers]
    attention = encoding.heads[original].sum(axis=2) + biases  # images × layers × features
    by_layer = np.stack([attention, mlps], axis=2).reshape(len(rest), -1, rest.shape[-1])
    return np.concatenate([rest[:, :1], by_layer, rest[:, 1 + layers :]], axis=1)
