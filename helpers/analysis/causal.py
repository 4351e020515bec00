"""Does the shift go when the heads that carry it are put back? Restoring heads, and its effect.

Restoring a head gives it the contribution that it made for the original image. The *direct* effect
follows from the sum that an embedding is: Δ loses the head's Δ_c, and nothing else changes. The
*total* effect comes from the forward pass in which the head's output is exchanged and everything
after it responds (activation patching).

Which heads carry a shift is found on some images, and the effect measured on others: otherwise
heads that are at the top by chance would seem to matter.
"""

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis.dissection import along_shift
from helpers.analysis.statistics import mean_with_interval, resample_counts
from helpers.checks import WorkbookError

TOP = "top"
RANDOM = "random"
TOP_SHARE = 0.1  # of the heads, for the number that states faithfulness
CURVE_SHARES = (0.025, TOP_SHARE, 0.25, 0.5)


def split(images: int, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the images on which effects are measured; the others choose the heads.

    Parameters
    ----------
    images : int
        How many there are.
    most : int
        Largest number to measure on; never more than half of the images.
    seed : int

    Returns
    -------
    choosing, measuring : ndarray of int
        Positions, sorted, with none in common. A single image is in both: its heads are chosen on
        itself, and its effects are no test.
    """
    if images == 1:
        return np.zeros(1, int), np.zeros(1, int)
    order = np.random.default_rng(seed).permutation(images)
    count = min(most, images // 2)
    return np.sort(order[count:]), np.sort(order[:count])


def curve(heads: int) -> list[int]:
    """Choose numbers of heads to restore: shares of all heads, rounded up.

    Parameters
    ----------
    heads : int
        Number of heads of the model.

    Returns
    -------
    list of int
        Increasing, with `top_count` among them. All heads are left out: with what every head wrote
        to the class token put back, nothing of a shift remains.
    """
    return sorted({int(np.ceil(share * heads)) for share in CURVE_SHARES})


def top_count(heads: int) -> int:
    """Return how many heads the top 10 % are, rounded up."""
    return int(np.ceil(TOP_SHARE * heads))


def restoring_order(heads: xr.DataArray, images: int, *, draws: int, seed: int) -> xr.DataArray:
    """Decide which heads are restored first: those with the largest mean share, or random ones.

    Parameters
    ----------
    heads : DataArray, (image, augmentation, layer, head)
        Shares of the heads on the images that choose.
    images : int
        Number of images to measure on; each gets random orders of its own.
    draws, seed : int
        Number of random orders per image and augmentation, and their seed.

    Returns
    -------
    DataArray of int, (choice, image, augmentation, layer, head)
        The place of each head, from 0. The first choice is ``top``, the others are ``random``.
        The first k are restored where the place is below k.
    """
    mean = heads.mean("image").transpose("augmentation", "layer", "head")
    flat = mean.values.reshape(len(mean), -1)  # augmentations × heads
    top = np.argsort(np.argsort(-flat, axis=1, kind="stable"), axis=1)
    shape = (images, *flat.shape)
    places = np.broadcast_to(np.arange(flat.shape[1]), (draws, *shape))
    random = np.random.default_rng(seed).permuted(places, axis=-1)
    orders = np.concatenate([np.broadcast_to(top, (1, *shape)), random])
    return xr.DataArray(
        orders.reshape(1 + draws, images, *mean.shape),
        dims=("choice", "image", *mean.dims),
        coords={"choice": [TOP] + [RANDOM] * draws} | {name: mean[name] for name in mean.dims},
    )


def without_heads(shift: np.ndarray, changes: np.ndarray, restored: np.ndarray) -> np.ndarray:
    """Return what directly remains of a shift when heads are restored.

    Parameters
    ----------
    shift : ndarray, (…, features)
        Δ.
    changes : ndarray, (…, layers, heads, features)
        Change of each head's contribution, Δ_c.
    restored : ndarray of bool, (…, layers, heads)
        Which heads are put back.

    Returns
    -------
    ndarray, (…, features)
        Δ less the restored heads' Δ_c.
    """
    return shift - np.einsum("...lh,...lhd->...d", restored, changes)


def effects(remaining: xr.DataArray, shift: xr.DataArray, original: xr.DataArray) -> xr.Dataset:
    """Say how much of a shift restoring took away.

    Parameters
    ----------
    remaining : DataArray, (…, image, augmentation, feature)
        What is left of the shift, Δ', in the units of the embedding.
    shift : DataArray, (image, augmentation, feature)
        Δ without restoring.
    original : DataArray, (image, feature)
        The originals' embeddings, which say how short a shift is none.

    Returns
    -------
    Dataset
        ``removed``: 1 - ⟨Δ', Δ⟩ / ‖Δ‖², which for the direct effect is the sum of the restored
        heads' shares; and ``length``: ‖Δ'‖ / ‖Δ‖. Both 0 where there is no shift.
    """
    remaining, shift, original = xr.broadcast(remaining, shift, original)
    axes = [name for name in remaining.dims if name != "feature"]
    values = [side.transpose(*axes, "feature").values for side in (remaining, shift, original)]
    left, full, embedding = values
    removed = along_shift((full - left)[..., None, :], full, embedding)[..., 0]
    squared = np.square(np.linalg.norm(left, axis=-1))
    # along_shift of Δ itself is 1, or 0 where there is no shift.
    moved = along_shift(full[..., None, :], full, embedding)[..., 0] > 0
    norm = np.square(np.linalg.norm(full, axis=-1))
    length = np.sqrt(np.where(moved, squared / np.where(moved, norm, 1), 0))
    coords = {name: remaining[name] for name in axes if name in remaining.coords}
    return xr.Dataset({"removed": (axes, removed), "length": (axes, length)}, coords=coords)


def effect_curves(removed: xr.DataArray) -> pd.DataFrame:
    """Average effects over images, with intervals.

    Parameters
    ----------
    removed : DataArray, (effect, choice, k, image, augmentation)
        As of `effects`; the random draws share one name, and an image's are averaged first.

    Returns
    -------
    DataFrame
        Columns `effect`, `choice`, `k`, `augmentation`, `mean`, `low`, `high`, `sd`, `n`.
    """
    averaged = removed.groupby("choice").mean()
    cells = averaged.stack(cell=("effect", "choice", "k"))
    keys = ["effect", "choice", "k"]
    tables = {
        tuple(cells["cell"].values[at]): mean_with_interval(cells.isel(cell=at).drop_vars(keys))
        for at in range(cells.sizes["cell"])
    }
    return pd.concat(tables, names=[*keys, "augmentation"]).reset_index()


def faithfulness(
    removed: xr.DataArray, *, confidence: float = 0.95, n_resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """State in one number whether the account of the shift is a causal one.

    Faithfulness is the mean total effect of restoring the top heads divided by their mean direct
    effect: 1 where the model answers as the sum says, below 1 where later layers make up for
    restored heads, above 1 where they pass the restoring on.

    Parameters
    ----------
    removed : DataArray, (effect, choice, image, augmentation)
        Effects of restoring one number of heads.
    confidence : float
        Level of the interval.
    n_resamples, seed : int
        Number of bootstrap resamples of the images, and their seed.

    Returns
    -------
    DataFrame
        A row per augmentation: means of `top_direct`, `random_direct`, `top_total`, `random_total`;
        `direct_times` and `total_times`, how many times more the top heads remove than random
        ones; and `faithfulness` with `low` and `high`. A quotient is NaN where its divisor is not
        positive.

    Raises
    ------
    WorkbookError
        If the choices or effects are not the two of each.
    """
    averaged = removed.groupby("choice").mean().transpose("effect", "choice", "image", ...)
    if set(averaged["choice"].values) != {TOP, RANDOM} or averaged.sizes["effect"] != 2:
        raise WorkbookError(
            f"Effects of {averaged.sizes['effect']} kinds on the choices"
            f" {', '.join(averaged['choice'].values)} have no faithfulness; give the direct and"
            f" the total effect on {TOP} and {RANDOM} heads."
        )
    columns = {
        f"{choice}_{effect}": averaged.sel(effect=effect, choice=choice)
        for effect in ("direct", "total")
        for choice in (TOP, RANDOM)
    }
    table = pd.DataFrame({name: own.mean("image").to_series() for name, own in columns.items()})
    for effect in ("direct", "total"):
        pair = (table[f"{choice}_{effect}"] for choice in (TOP, RANDOM))
        table[f"{effect}_times"] = _quotient(*pair)
    total, direct = (
        columns["top_total"].values,
        columns["top_direct"].values,
    )  # image × augmentation
    counts = resample_counts(len(total), n_resamples, seed)
    resampled = _quotient(counts @ total, counts @ direct)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    # A resample without a direct effect has no quotient; an interval over the others would be
    # too narrow, and so there is none.
    low, high = np.quantile(resampled, tails, axis=0) if len(total) > 1 else [np.nan, np.nan]
    own = _quotient(table["top_total"], table["top_direct"])
    return table.assign(faithfulness=own, low=low, high=high)


def _quotient(above: pd.Series, below: pd.Series) -> pd.Series:
    positive = below > 0
    return np.where(positive, above / np.where(positive, below, 1), np.nan)
