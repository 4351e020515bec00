"""Does the shift go when the heads that carry it are patched? Activation patching, and its effect.

Patching a head gives it the contribution that it made for the original image. The *direct* effect
follows from the sum that an embedding is: Δ loses the head's Δ_c, and nothing else changes. The
*total* effect comes from the forward pass in which the head's output is exchanged and everything
after it responds.

Which heads carry a shift is found on some images, and the effect measured on others: otherwise
heads that are at the top by chance would seem to matter. Heads chosen on the very image that they
are measured on are patched, too. They are no test, and held against nothing: they show how much the
mean over images hides, and chance has its part in it.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from helpers.analysis import ties
from helpers.analysis.dissection import along_shift
from helpers.analysis.statistics import (
    FALSE_DISCOVERY_RATE,
    mean_with_interval,
    resample_counts,
)
from helpers.checks import WorkbookError

TOP = "top"
OWN = "own"
RANDOM = "random"
TOP_SHARE = 0.1  # of the heads, for the numbers that sum up the effects
MEASURED = (
    (TOP, "direct"),
    (RANDOM, "direct"),
    (TOP, "total"),
    (OWN, "total"),
    (RANDOM, "total"),
)
QUOTIENTS = {
    "direct_times": ("top_direct", "random_direct"),
    "total_times": ("top_total", "random_total"),
    "total_over_direct": ("top_total", "top_direct"),
}
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
    """Choose numbers of heads to patch: shares of all heads, rounded up.

    Parameters
    ----------
    heads : int
        Number of heads of the model.

    Returns
    -------
    list of int
        Increasing, with `top_count` among them. All heads are left out: with every head patched,
        nothing of a shift remains.
    """
    return sorted({int(np.ceil(share * heads)) for share in CURVE_SHARES})


def top_count(heads: int) -> int:
    """Return how many heads the top 10 % are, rounded up."""
    return int(np.ceil(TOP_SHARE * heads))


def patching_order(
    choosing: xr.DataArray, measured: xr.DataArray, *, draws: int, seed: int
) -> xr.DataArray:
    """Decide which heads are patched first: those with the largest share, or random ones.

    Parameters
    ----------
    choosing, measured : DataArray, (image, augmentation, layer, head)
        Shares of the heads on the images that choose and on those to measure on.
    draws, seed : int
        Number of random orders per image and augmentation, and their seed.

    Returns
    -------
    DataArray of int, (choice, image, augmentation, layer, head)
        The place of each head, from 0; the first k are patched where the place is below k. The
        choices are ``top`` (largest mean share on the images that choose), ``own`` (largest share
        on the image itself) and ``random``, as often as there are draws.
    """
    axes = ("augmentation", "layer", "head")
    own = measured.transpose("image", *axes)
    mean = choosing.mean("image").transpose(*axes).broadcast_like(own).transpose("image", *axes)
    flat = (len(own), own.sizes["augmentation"], -1)  # images × augmentations × heads
    chosen = [_places(side.values.reshape(flat)) for side in (mean, own)]
    rng = np.random.default_rng(seed)
    random = [rng.permuted(chosen[0], axis=-1) for _ in range(draws)]
    return xr.DataArray(
        np.reshape(chosen + random, (2 + draws, *own.shape)),
        dims=("choice", *own.dims),
        coords={"choice": [TOP, OWN] + [RANDOM] * draws} | {name: own[name] for name in own.dims},
    )


def _places(shares: np.ndarray) -> np.ndarray:
    """Place of each share on the last axis, the largest first."""
    return np.argsort(ties.largest_first(shares), axis=-1)


def without_heads(shift: np.ndarray, changes: np.ndarray, patched: np.ndarray) -> np.ndarray:
    """Return what directly remains of a shift when heads are patched.

    Parameters
    ----------
    shift : ndarray, (…, features)
        Δ.
    changes : ndarray, (…, layers, heads, features)
        Change of each head's contribution, Δ_c.
    patched : ndarray of bool, (…, layers, heads)
        Which heads are patched.

    Returns
    -------
    ndarray, (…, features)
        Δ less the patched heads' Δ_c.
    """
    return shift - np.einsum("...lh,...lhd->...d", patched, changes)


def effects(remaining: xr.DataArray, shift: xr.DataArray, original: xr.DataArray) -> xr.Dataset:
    """Say how much of a shift patching took away.

    Parameters
    ----------
    remaining : DataArray, (…, image, augmentation, feature)
        What is left of the shift, Δ', in the units of the embedding.
    shift : DataArray, (image, augmentation, feature)
        Δ without patching.
    original : DataArray, (image, feature)
        The originals' embeddings, which say how short a shift is none.

    Returns
    -------
    Dataset
        ``removed``: 1 - ⟨Δ', Δ⟩ / ‖Δ‖², which for the direct effect is the sum of the patched
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


def effect_ratios(
    removed: xr.DataArray, *, confidence: float = 0.95, n_resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Hold the effects of patching the top heads against random heads', and total against direct.

    The ratio of total to direct effect is 1 where the model answers as the sum says, below 1 where
    later layers make up for patched heads, and above 1 where they pass the patching on.

    Parameters
    ----------
    removed : DataArray, (effect, choice, image, augmentation)
        Effects of patching one number of heads.
    confidence : float
        Level of the interval.
    n_resamples, seed : int
        Number of bootstrap resamples of the images, and their seed.

    Returns
    -------
    DataFrame
        A row per augmentation. Means over images: `top_direct`, `random_direct`, `top_total`,
        `own_total`, `random_total`. Quotients of means, each with `…_low` and `…_high`, a bootstrap
        interval over images: `direct_times` and `total_times`, how many times more than random
        heads the top heads remove; and `total_over_direct`, of the top heads. A quotient is NaN
        where its divisor is not positive.

    Raises
    ------
    WorkbookError
        If choices or effects are missing.
    """
    averaged = _averaged(removed)
    values = {
        f"{choice}_{effect}": averaged.sel(effect=effect, choice=choice)
        for choice, effect in MEASURED
    }
    table = pd.DataFrame({name: own.mean("image").to_series() for name, own in values.items()})
    counts = resample_counts(averaged.sizes["image"], n_resamples, seed)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    known = 1 if averaged.sizes["image"] > 1 else np.nan
    for name, (above, below) in QUOTIENTS.items():
        table[name] = _quotient(table[above], table[below])
        resampled = _quotient(counts @ values[above].values, counts @ values[below].values)
        # A resample without a quotient leaves no interval: one over the rest would be too narrow.
        table[f"{name}_low"], table[f"{name}_high"] = known * np.quantile(resampled, tails, axis=0)
    return table


def exceeding_random(removed: xr.DataArray, times: Sequence[float] = (1, 2)) -> pd.DataFrame:
    """Test where the top heads' total effect exceeds that of random heads, once or some times over.

    One-sided t tests over images, paired: each image's top heads against its own random ones. All
    tests are one family, whose false discovery rate is held at 5 % (Benjamini and Hochberg).

    Parameters
    ----------
    removed : DataArray, (effect, choice, image, augmentation)
        As for `effect_ratios`. The top heads must have been chosen on other images.
    times : sequence of float
        How many times over.

    Returns
    -------
    DataFrame of bool, (augmentation, times)
        All false where fewer than two images were measured.
    """
    averaged = _averaged(removed).sel(effect="total").transpose("choice", "image", "augmentation")
    top, random = (averaged.sel(choice=choice) for choice in (TOP, RANDOM))
    differences = xr.concat([top - each * random for each in times], pd.Index(times, name="times"))
    differences = differences.transpose("image", "augmentation", "times").values
    if len(differences) < 2 or not differences.any():
        found = np.zeros(differences.shape[1:], bool)
    else:
        p = np.nan_to_num(stats.ttest_1samp(differences, 0, alternative="greater").pvalue, nan=1)
        found = stats.false_discovery_control(p, axis=None) <= FALSE_DISCOVERY_RATE
    names = pd.Index(averaged["augmentation"].values, name="augmentation")
    return pd.DataFrame(
        found.reshape(differences.shape[1:]), index=names, columns=pd.Index(times, name="times")
    )


def _averaged(removed: xr.DataArray) -> xr.DataArray:
    """Average an image's random draws."""
    averaged = removed.groupby("choice").mean().transpose("effect", "choice", "image", ...)
    _check_complete(averaged)
    return averaged


def _quotient(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    positive = np.asarray(below) > 0
    return np.where(positive, above / np.where(positive, below, 1), np.nan)


def _check_complete(averaged: xr.DataArray) -> None:
    found = {
        (choice, effect)
        for choice in averaged["choice"].values
        for effect in averaged["effect"].values
    }
    if missing := [" ".join(pair) for pair in MEASURED if pair not in found]:
        raise WorkbookError(
            f"Effects can't be compared without {', '.join(missing)}; patch heads in the orders of"
            " `patching_order`."
        )
