"""What a change shows in place of the image, and how much of its shift that makes.

A turned image has black corners, and dropout puts noise into its squares. A view of the same draw
with another filling shows how much of a shift is the filling's.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis.mean_shift import Directions, mean_shift_directions
from helpers.analysis.scores import embedding_similarity
from helpers.analysis.statistics import RESAMPLES, TAILS, resampled_means

PUBLISHED = "as published"


def moved_refilled(original: xr.DataArray, refilled: xr.DataArray) -> xr.DataArray:
    """Say how far views with another filling lie from their originals.

    Parameters
    ----------
    original : DataArray, (image, feature)
        Embeddings, of these images at least.
    refilled : DataArray, (image, view, feature)
        Of the views, with the coordinates ``augmentation`` and ``filling`` (view).

    Returns
    -------
    DataArray, (image, view)
        One less the cosine, with the same coordinates.
    """
    refilled = refilled.transpose("image", "view", "feature")
    own = original.sel(image=refilled["image"]).transpose("image", "feature")
    similarity = embedding_similarity(own.values[:, None], refilled.values)
    return refilled.isel(feature=0, drop=True).copy(data=1 - similarity)


def shares_of_filling(
    published: xr.DataArray, refilled: xr.DataArray, *, seed: int = 0
) -> pd.DataFrame:
    """Say which part of a change's shift goes with what it fills.

    Parameters
    ----------
    published : DataArray, (image, augmentation)
        How far each image is moved as published, of these images at least.
    refilled : DataArray, (image, view)
        As of `moved_refilled`.
    seed : int
        Of the bootstrap over images.

    Returns
    -------
    DataFrame
        Columns `augmentation`, `filling` and `share`, which is one less the ratio of the mean
        shifts, with its 95 % interval `low` to `high`; NaN where nothing moved, and the interval of
        a single image.
    """
    published = published.sel(image=refilled["image"])
    rows = []
    for view in refilled["view"].values:
        own = refilled.sel(view=view)
        name = str(own["augmentation"].item())
        pair = np.stack([own.values, published.sel(augmentation=name).values], axis=1)
        share = _share(np.nanmean(pair, axis=0, keepdims=True))[0]
        known = 1 if len(pair) > 1 else np.nan
        low, high = known * np.quantile(_share(resampled_means(pair, RESAMPLES, seed)), TAILS)
        rows.append([name, str(own["filling"].item()), share, low, high])
    return pd.DataFrame(rows, columns=["augmentation", "filling", "share", "low", "high"])


def cosines_refilled(
    shift: xr.DataArray,
    refilled: xr.DataArray,
    pairs: Iterable[tuple[str, str]],
    **options: int,
) -> pd.DataFrame:
    """Compare the mean shifts of two changes when what they fill is filled otherwise.

    Parameters
    ----------
    shift : DataArray, (image, augmentation, feature)
        Augmented less original embedding as published.
    refilled : DataArray, (image, view, feature)
        Shifts of views with another filling, with ``augmentation`` and ``filling`` (view).
    pairs : iterable of (str, str)
        Changes; of those that have fillings, both get the same one.
    **options
        Options of `helpers.analysis.mean_shift.mean_shift_directions`.

    Returns
    -------
    DataFrame
        A row per pair and filling, the first `PUBLISHED`: `augmentation`, `other`, `filling`,
        `estimate`, `low`, `high` of the cosine; and `left`, what part the squared length of the
        shift that images have in common is of the published one, of the change that keeps less.
    """
    shift = shift.sel(image=refilled["image"])
    rows = []
    for pair in pairs:
        squared = {}
        for filling in [PUBLISHED, *_fillings_of(refilled, pair)]:
            sides = [_side(shift, refilled, name, filling) for name in pair]
            both = xr.concat(sides, xr.Variable("augmentation", list(pair)))
            directions = mean_shift_directions(both, **options)
            found = directions.cosines.sel(augmentation=pair[0], other=pair[1])
            squared[filling] = _squared_in_common(both, directions)
            left = (squared[filling] / squared[PUBLISHED]).min()
            numbers = [found[n].item() for n in ("estimate", "low", "high")]
            rows.append([*pair, filling, *numbers, left])
    columns = ["augmentation", "other", "filling", "estimate", "low", "high", "left"]
    return pd.DataFrame(rows, columns=columns)


def _share(means: np.ndarray) -> np.ndarray:
    refilled, published = means.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(published > 0, 1 - refilled / published, np.nan)


def _squared_in_common(shift: xr.DataArray, directions: Directions) -> np.ndarray:
    """Squared length of the shift that images have in common, without that of chance."""
    lengths = np.square(shift).sum("feature").mean("image")
    return directions.common["share"].to_numpy() * lengths.values


def _fillings_of(refilled: xr.DataArray, pair: tuple[str, str]) -> list[str]:
    inside = np.isin(refilled["augmentation"].values, pair)
    return list(dict.fromkeys(refilled["filling"].values[inside].tolist()))


def _side(shift: xr.DataArray, refilled: xr.DataArray, name: str, filling: str) -> xr.DataArray:
    is_own = (refilled["augmentation"].values == name) & (refilled["filling"].values == filling)
    if is_own.any():
        found = refilled.isel(view=int(is_own.argmax()))
        return found.drop_vars(["view", "augmentation", "filling"])
    return shift.sel(augmentation=name, drop=True)
