"""How the energy of a change's shifts divides: translation, contraction and the rest.

Let Δᵢ be the shift of image i, m the mean shift and cᵢ = eᵢ - ē the original about the mean of the
originals. Then Δᵢ = m - a cᵢ + rᵢ, where a is the same for all images and leaves least. The energy,
the mean of ‖Δᵢ‖², is the sum of three parts: *translation* ‖m‖² moves all images alike,
*contraction* a² mean ‖cᵢ‖² moves each towards the mean, and the *rest* moves each in its own way.
An exchange of every image for another one would be half contraction and half rest, and leave the
variance as it is. A *collapse* has more of the first two than that, and takes most of the variance.
"""

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis.directions import unit_vectors
from helpers.analysis.statistics import TAILS, resample_counts
from helpers.data.changes import ORIGINAL

RESAMPLES = 500

PARTS = ("translation", "contraction", "rest")
LEAST_IMAGES = 3
ANOTHER_IMAGE = 0.5
"""Translation and contraction together, where every image is exchanged for another one."""


def energy(embeddings: xr.DataArray, *, seed: int = 0) -> pd.DataFrame:
    """Divide the energy of every change's shifts, and measure how far images draw together.

    Products of means are taken over pairs of different images, so that neither few images nor
    a resample that holds one twice seem to have a translation.

    Parameters
    ----------
    embeddings : DataArray, (image, view, feature)
        Of one source, with the view ``original``; not normalised.
    seed : int
        Of the bootstrap resamples of the images.

    Returns
    -------
    DataFrame
        Columns `mean`, `low`, `high` (95 % interval over images), indexed by `augmentation` and
        `measure`: the three `PARTS`, which sum to 1; `together`, translation and contraction;
        `variance_left`, the variance between images after the change as a part of that before; and
        `cosine`, the mean cosine similarity between two different images after the change. The
        cosine before it is that of the augmentation ``original``. NaN for fewer than three images;
        parts are NaN where nothing moves.
    """
    values = embeddings.transpose("view", "image", "feature").astype(np.float64)
    originals = values.sel(view=ORIGINAL).to_numpy()
    counts = np.vstack([np.ones(len(originals)), resample_counts(len(originals), RESAMPLES, seed)])
    tables = {
        str(name): _with_intervals(_measures(originals, own, counts), len(originals))
        for name, own in zip(values["view"].values, values.to_numpy(), strict=True)
    }
    tables[ORIGINAL] = tables[ORIGINAL].loc[["cosine"]]
    return pd.concat(tables, names=["augmentation", "measure"])


def collapses(table: pd.DataFrame) -> pd.Series:
    """Say which changes make images collapse."""
    low = table["low"].unstack()["together"]
    high = table["high"].unstack()["variance_left"]
    order = [name for name in table.index.unique("augmentation") if name != ORIGINAL]
    return ((low > ANOTHER_IMAGE) & (high < 0.5)).reindex(order)


def _measures(originals: np.ndarray, changed: np.ndarray, counts: np.ndarray) -> pd.DataFrame:
    """Every measure of one change, a row per resample."""
    shift = changed - originals
    total = _mean_product(shift, shift, counts)
    translation = np.maximum(_product_of_means(shift, shift, counts), 0)
    variance = _covariance(originals, originals, counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = np.maximum(-_covariance(shift, originals, counts) / variance, 0)
        shares = [np.minimum(translation / total, 1), factor**2 * variance / total]
        shares[1] = np.minimum(shares[1], 1 - shares[0])
        left = _covariance(changed, changed, counts) / variance
    units = unit_vectors(xr.DataArray(changed, dims=("image", "feature"))).to_numpy()
    return pd.DataFrame(
        {
            "translation": shares[0],
            "contraction": shares[1],
            "rest": 1 - sum(shares),
            "together": sum(shares),
            "variance_left": left,
            "cosine": _product_of_means(units, units, counts),
        }
    )


def _with_intervals(resampled: pd.DataFrame, images: int) -> pd.DataFrame:
    if images < LEAST_IMAGES:
        return pd.DataFrame(np.nan, index=resampled.columns, columns=["mean", "low", "high"])
    low, high = (resampled.iloc[1:].quantile(tail) for tail in TAILS)
    return pd.DataFrame({"mean": resampled.iloc[0], "low": low, "high": high})


def _covariance(first: np.ndarray, other: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return _mean_product(first, other, counts) - _product_of_means(first, other, counts)


def _mean_product(first: np.ndarray, other: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return counts @ (first * other).sum(axis=1) / counts.sum(axis=1)


def _product_of_means(first: np.ndarray, other: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean inner product of an image's first vector with a different image's other vector."""
    products = ((counts @ first) * (counts @ other)).sum(axis=1)
    squares = np.square(counts)
    own = squares @ (first * other).sum(axis=1)
    with np.errstate(invalid="ignore"):  # a resample that holds one image alone has no pair
        return (products - own) / (np.square(counts.sum(axis=1)) - squares.sum(axis=1))
