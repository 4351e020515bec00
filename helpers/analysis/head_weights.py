"""Heads without data: what their weights write, whatever they read, beside what images say of them.

Whatever a head reads from a token goes through its value and output matrices, and then through the
final norm's scale and the projection. The right singular vectors of that product are directions of
the embedding, the ones that the head writes most strongly first. They need no image. (Reading heads
by the singular vectors of their value-output weights, named by sparse non-negative texts, follows
arXiv 2603.24653; what is compared here is ours.)
"""

import numpy as np
import pandas as pd
import xarray as xr

from helpers import ties
from helpers.analysis import probes
from helpers.analysis.concepts import sparse_texts
from helpers.analysis.head_names import head_name
from helpers.analysis.labels import UNKNOWN
from helpers.analysis.statistics import mean_with_interval

DIRECTIONS = 3
"""Of a head: enough for most of what a head writes, and few beside the width of a head."""
POLES = {"towards": 1, "away from": -1}
OWN, OTHERS, EVEN = "own", "others", "even"


def leading_directions(weights: np.ndarray) -> xr.Dataset:
    """Find the directions that heads write most strongly.

    Parameters
    ----------
    weights : ndarray, (layers, heads, rows, features)
        As of `helpers.clip.Model.head_weights`.

    Returns
    -------
    Dataset
        ``direction`` (layer, head, rank, feature), float32, of length 1; ``strength`` (layer, head,
        rank), the share of the sum of squares of what is written; and ``dimensions``, how many a
        head can write. Layers count from 0 here.
    """
    _, sizes, directions = np.linalg.svd(weights.astype(np.float64), full_matrices=False)
    strength = np.square(sizes) / np.square(sizes).sum(axis=-1, keepdims=True)
    axes = ("layer", "head", "rank")
    return xr.Dataset(
        {
            "direction": ((*axes, "feature"), directions[:, :, :DIRECTIONS].astype(np.float32)),
            "strength": (axes, strength[:, :, :DIRECTIONS]),
            "dimensions": sizes.shape[-1],
        },
        {
            name: np.arange(size)
            for name, size in zip(axes, sizes[:, :, :DIRECTIONS].shape, strict=True)
        },
    )


def variance_within(heads: xr.DataArray, weights: xr.Dataset) -> pd.DataFrame:
    """Say what share of each head's variance over images lies in directions of weights.

    Parameters
    ----------
    heads : DataArray, (image, layer, head, feature)
        Contributions.
    weights : Dataset
        As of `leading_directions`, of the same heads.

    Returns
    -------
    DataFrame
        A row per head, by its name: in its `own` directions, in the `others`' (mean over all other
        heads), and what as many directions would hold if it varied `even` over all that it can
        write. NaN for a head that doesn't vary, and for others where there is one head.
    """
    values = heads.transpose("layer", "head", "image", "feature").values.astype(np.float64)
    values = (values - values.mean(axis=2, keepdims=True)).reshape(-1, *values.shape[2:])
    every = weights["direction"].transpose("layer", "head", "rank", "feature").values
    every = every.reshape(-1, *every.shape[2:])
    whole = np.square(values).sum(axis=(1, 2))
    held = np.array([np.square(values @ own.T).sum(axis=(1, 2)) for own in every]).T  # head × of
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = held / whole[:, None]
        own, count = shares.diagonal(), len(shares)
        others = (shares.sum(axis=1) - own) / (count - 1)
    even = np.where(whole > 0, every.shape[1] / int(weights["dimensions"]), np.nan)
    names = [
        head_name(layer, head) for layer in heads["layer"].values for head in heads["head"].values
    ]
    return pd.DataFrame({OWN: own, OTHERS: others, EVEN: even}, index=names)


def mean_shares(shares: pd.DataFrame) -> pd.DataFrame:
    """Average `variance_within` over heads, with 95 % intervals, and own less others' beside it."""
    known = shares.dropna(subset=[OWN]).assign(beyond=shares[OWN] - shares[OTHERS])
    if known.empty:
        return pd.DataFrame(np.nan, known.columns, ["mean", "low", "high"])
    return mean_with_interval(known)[["mean", "low", "high"]]


def in_texts(directions: xr.DataArray, texts: xr.DataArray) -> xr.DataArray:
    """Write directions, and their opposites, as sparse non-negative sums of texts.

    Parameters
    ----------
    directions : DataArray, (layer, head, rank, feature)
    texts : DataArray, (text, feature)
        With the coordinate ``property``.

    Returns
    -------
    DataArray, (layer, head, rank, pole, text)
        Weights. A direction has no sign of its own: ``towards`` is the pole with the larger weight.
    """
    own = directions.transpose("layer", "head", "rank", "feature")
    both = np.stack([sign * own.values for sign in POLES.values()], axis=3)
    found = sparse_texts(both.reshape(-1, both.shape[-1]), texts)
    found = found.reshape(*both.shape[:-1], -1)
    largest = found.max(axis=-1, keepdims=True)
    swapped = largest[..., 1:, :] > largest[..., :1, :]
    found = np.where(swapped, found[..., ::-1, :], found)
    coords = {name: own[name].values for name in ("layer", "head", "rank")}
    coords |= {"pole": list(POLES), "text": texts["text"].values}
    coords["property"] = ("text", texts["property"].values)
    return xr.DataArray(found, coords, ("layer", "head", "rank", "pole", "text"))


def properties(weights: xr.DataArray, strength: xr.DataArray) -> xr.DataArray:
    """Name each head with the property whose texts make up most of its directions.

    Parameters
    ----------
    weights : DataArray, (layer, head, rank, pole, text)
        As of `in_texts`.
    strength : DataArray, (layer, head, rank)

    Returns
    -------
    DataArray, (layer, head)
        "" where no text goes with any direction.
    """
    squares = (np.square(weights).sum("pole") * strength).sum("rank")
    by_property = squares.groupby("property").sum().rename(property="attribute")
    by_property = by_property.where(by_property.sum("attribute") > 0)
    known = by_property.sel(attribute=by_property["attribute"] != UNKNOWN)
    return probes.strongest(known)


def first_texts(weights: xr.DataArray) -> pd.DataFrame:
    """Name the text that makes up most of each head's leading direction, at both poles."""
    leading = weights.isel(rank=0).transpose("layer", "head", "pole", "text")
    texts = leading["text"].values[ties.first_largest(leading.values)]
    texts = np.where(leading.max("text") > 0, texts, "").reshape(-1, len(POLES))
    names = [
        head_name(layer, head)
        for layer in leading["layer"].values
        for head in leading["head"].values
    ]
    return pd.DataFrame(texts, names, list(POLES))
