"""What is compared on the same images is compared image by image."""

from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from helpers.analysis.statistics import FALSE_DISCOVERY_RATE, false_discovery_rates
from helpers.checks import WorkbookError

CONFIDENCE = 0.95


def paired_differences(
    values: xr.DataArray, *, n_resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Compare every two augmentations, image by image.

    Two means with overlapping intervals may still differ clearly: images that one augmentation
    moves far are moved far by others, too, and their differences vary less than they do.
    """
    table = values.transpose("image", "augmentation").to_pandas().dropna()
    if table.shape[1] < 2 or table.empty:
        raise WorkbookError(
            f"Values of {len(table)} complete images and {table.shape[1]} augmentations can't be"
            " compared in pairs; that takes one image and two augmentations at least."
        )
    pairs = list(combinations(table.columns, 2))
    first, second = (table[list(side)].to_numpy(float) for side in zip(*pairs, strict=True))
    differences = first - second  # images × pairs
    low, high, p = _tested(differences, n_resamples, seed)
    q = false_discovery_rates(p)
    columns = {"mean": differences.mean(axis=0), "low": low, "high": high, "p": p, "q": q}
    rows = pd.DataFrame(pairs, columns=["first", "second"]).assign(**columns)
    return rows.assign(differs=rows["q"] <= FALSE_DISCOVERY_RATE)


def differences_between(
    first: xr.DataArray,
    other: xr.DataArray,
    *,
    paired: bool = True,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare a score of two runs, image by image where they have images in common."""
    shared = np.intersect1d(first["image"], other["image"]) if paired else []
    sides = [each.sel(image=shared) if len(shared) else each for each in (first, other)]
    names = [name for name in first["augmentation"].values if name in other["augmentation"]]
    compare = _as_pairs if len(shared) else _as_samples
    rows = [
        compare(*(each.sel(augmentation=name).values for each in sides), n_resamples, seed)
        for name in names
    ]
    index = pd.Index(names, name="augmentation")
    table = pd.DataFrame(rows, index=index, columns=["mean", "low", "high", "p", "n"])
    return table.assign(paired=len(shared) > 0)


def _as_pairs(first: np.ndarray, other: np.ndarray, n_resamples: int, seed: int) -> list[float]:
    differences = (other - first)[~np.isnan(other - first)]
    if not len(differences):
        return [np.nan] * 4 + [0]
    tested = _tested(differences[:, None], n_resamples, seed)[:, 0]
    return [differences.mean(), *tested, len(differences)]


def _as_samples(first: np.ndarray, other: np.ndarray, n_resamples: int, seed: int) -> list[float]:
    samples = [each[~np.isnan(each)] for each in (other, first)]
    least = min(map(len, samples))
    if not least:
        return [np.nan] * 4 + [0]
    mean = samples[0].mean() - samples[1].mean()
    if least < 3 or not all(map(np.ptp, samples)):
        return [mean, np.nan, np.nan, np.nan, least]
    interval = stats.bootstrap(
        samples,
        lambda one, two, axis: one.mean(axis=axis) - two.mean(axis=axis),
        n_resamples=n_resamples,
        batch=100,
        confidence_level=CONFIDENCE,
        method="BCa",
        rng=seed,
    ).confidence_interval
    p = stats.ttest_ind(*samples, equal_var=False).pvalue
    return [mean, interval.low, interval.high, p, least]


def _tested(differences: np.ndarray, n_resamples: int, seed: int) -> np.ndarray:
    """Interval and p value of each column's mean; where nothing varies the mean is certain."""
    result = np.full((3, differences.shape[1]), np.nan)
    if len(differences) < 3:
        return result
    varies = np.ptp(differences, axis=0) > 0
    constant = differences[0, ~varies]
    result[:, ~varies] = constant, constant, constant == 0
    if varies.any():
        chosen = differences[:, varies]
        interval = stats.bootstrap(
            (chosen,),
            np.mean,
            n_resamples=n_resamples,
            batch=100,
            confidence_level=CONFIDENCE,
            method="BCa",
            rng=seed,
        ).confidence_interval
        result[:, varies] = interval.low, interval.high, stats.ttest_1samp(chosen, 0).pvalue
    return result
