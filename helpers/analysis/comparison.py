"""Several models side by side: how far they are moved, in which order, and at which depth.

Models differ in width, depth and number of heads, so they are compared by change, or by layer as it
is. The account of a shift stands beside that of an ordinary difference between two images
(`helpers.runs.derived.ordinary`): what training does to both, it does not do to shifts.
"""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis.directions import normalised
from helpers.analysis.statistics import (
    RESAMPLES,
    TAILS,
    correlate_scores,
    mean_with_interval,
    resample_counts,
)

RESAMPLES_OF_ORDERS = 500

ONE_DIRECTION = 1e-9
"""Images whose mean cosine distance is below this have one direction, up to rounding."""
LAYER = re.compile(r"L(\d+)\.")


def relative_shift(similarity: xr.DataArray, originals: xr.DataArray) -> pd.DataFrame:
    """Mean cosine distance of each shift, in units of that between two different images.

    A model that gives all images nearly the same embedding has a high similarity under every
    augmentation, and is no more robust for it. This measure takes that into account: 1 is as far
    as another image.

    Parameters
    ----------
    similarity : DataArray, (image, augmentation)
        Embedding similarity.
    originals : DataArray, (image, feature)
        Embeddings of the original images.

    Returns
    -------
    DataFrame
        By augmentation: `mean`, `low`, `high` (95 %). NaN for a single image, which has no other
        to compare with, or where all originals have one direction; no interval where a resample of
        a few images holds one image alone.
    """
    shift = 1 - similarity.transpose("image", "augmentation").to_numpy().astype(np.float64)
    units = normalised(originals.transpose("image", "feature").to_numpy().astype(np.float64))
    counts = resample_counts(len(units), RESAMPLES)
    estimate = _relative(np.ones((1, len(units))), shift, units)[0]
    # A resample of few images may hold one image alone, which is apart from no other. It leaves no
    # interval: one over the other resamples would be too narrow.
    low, high = np.quantile(_relative(counts, shift, units), TAILS, axis=0)
    index = pd.Index(similarity["augmentation"].values, name="augmentation")
    return pd.DataFrame({"mean": estimate, "low": low, "high": high}, index=index)


def rank_correlations(similarities: Mapping[str, xr.DataArray]) -> xr.Dataset:
    """Ask whether models put augmentations in the same order.

    Parameters
    ----------
    similarities : mapping of str to DataArray, (image, augmentation)
        Model → embedding similarity of the same images.

    Returns
    -------
    Dataset
        `estimate`, `low`, `high` (score, other) over models, and `n`, as of
        `helpers.analysis.statistics.correlate_scores`: Spearman's correlation across the
        augmentations' means. A model alone agrees with itself.
    """
    if len(similarities) == 1:
        (model, own) = next(iter(similarities.items()))
        axes = ("score", "other")
        values = {"estimate": [[1.0]], "low": [[np.nan]], "high": [[np.nan]]}
        matrices = {name: (axes, value) for name, value in values.items()}
        coords = {axis: [model] for axis in axes}
        return xr.Dataset(matrices | {"n": own.sizes["augmentation"]}, coords=coords)
    scores = xr.Dataset(dict(similarities))
    return correlate_scores(scores, across="means", n_resamples=RESAMPLES_OF_ORDERS)


def _relative(counts: np.ndarray, shift: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Relative shifts (resamples, augmentations); pairs of one image with itself don't count."""
    same = np.square(counts).sum(axis=1)
    together = np.square(counts @ units).sum(axis=1) - same
    pairs = np.square(counts.sum(axis=1)) - same
    apart = 1 - together / np.where(pairs > 0, pairs, np.nan)
    apart = np.where(apart > ONE_DIRECTION, apart, np.nan)
    return counts @ shift / counts.sum(axis=1, keepdims=True) / apart[:, None]


def shares_by_layer(shares: xr.DataArray) -> xr.DataArray:
    """Add up the shares of each layer's heads and MLP; what is in no layer is left out.

    Parameters
    ----------
    shares : DataArray, (…, component)
        Of shifts, or of ordinary differences.

    Returns
    -------
    DataArray, (…, layer)
    """
    names = shares["component"].values.tolist()
    layer = [int(found[1]) if (found := LAYER.match(name)) else -1 for name in names]
    by_layer = shares.assign_coords(layer=("component", layer)).groupby("layer").sum(skipna=False)
    return by_layer.sel(layer=by_layer["layer"] >= 0)


def mean_depth(shares: xr.DataArray) -> xr.DataArray:
    """Say at which depth a difference is written on average: 0, the first layer, to 1, the last.

    Parameters
    ----------
    shares : DataArray, (…, component)

    Returns
    -------
    DataArray, (…)
        The mean place of layers, weighted by their shares; linear in the shares. NaN where there
        was no shift, or the tower has a single layer.
    """
    by_layer = shares_by_layer(shares)
    places = by_layer["layer"] / by_layer["layer"].max()
    whole = by_layer.sum("layer", skipna=False)
    return (by_layer * places).sum("layer", skipna=False) / whole.where(whole != 0)


def later_than_untrained(
    trained: Mapping[str, xr.DataArray], untrained: Mapping[str, xr.DataArray]
) -> pd.DataFrame:
    """Say how much later a trained model writes than an untrained one, shifts and any difference.

    Parameters
    ----------
    trained, untrained : mapping of str to DataArray
        ``shift``, (image, augmentation), and ``ordinary``, (image): depths as of `mean_depth`, of
        the same images of one source.

    Returns
    -------
    DataFrame
        Rows ``shift``, ``ordinary`` and ``beyond``, the first less the second, with `mean`, `low`
        and `high` (95 %, over images); NaN where no image has all three, as of a single image.
    """
    own = {
        "shift": (trained["shift"] - untrained["shift"]).mean("augmentation"),
        "ordinary": _in_pairs(trained["ordinary"] - untrained["ordinary"]),
    }
    own["beyond"] = own["shift"] - own["ordinary"]
    values = xr.concat(own.values(), pd.Index(list(own), name="augmentation"), coords="minimal")
    known = values.transpose("image", "augmentation").dropna("image")
    if not known.sizes["image"]:
        return pd.DataFrame(np.nan, list(own), ["mean", "low", "high"])
    return mean_with_interval(known)


def _in_pairs(values: xr.DataArray) -> xr.DataArray:
    # Every image is in the pairs of others, too, and so counts twice.
    mean = values.mean("image")
    return mean + 2 * (values - mean)
