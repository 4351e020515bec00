"""Augmentations of the same images are compared image by image."""

from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from helpers.analysis.statistics import FALSE_DISCOVERY_RATE
from helpers.checks import WorkbookError

CONFIDENCE = 0.95


def paired_differences(
    values: xr.DataArray, *, n_resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Compare every two augmentations, image by image.

    Two means with overlapping intervals may still differ clearly: images that one augmentation
    moves far are moved far by others, too, and their differences vary less than they do.

    Parameters
    ----------
    values : DataArray, (image, augmentation)
        A score. Images where any is undefined are left out.
    n_resamples, seed : int
        Number of bootstrap resamples of the images, and their seed.

    Returns
    -------
    DataFrame
        A row per pair: `first`, `second`, `mean` (first less second), `low`, `high` (95 %, BCa;
        Efron 1987), `p` (paired t test), `q` (p with the false discovery rate controlled over all
        pairs; Benjamini and Hochberg 1995) and `differs`: q of at most 5 %. Intervals and p are NaN
        for fewer than three images, and nothing differs.

    Raises
    ------
    WorkbookError
        If there are fewer than two augmentations, or no image has all values.
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
    q = false_discovery(p)
    columns = {"mean": differences.mean(axis=0), "low": low, "high": high, "p": p, "q": q}
    rows = pd.DataFrame(pairs, columns=["first", "second"]).assign(**columns)
    return rows.assign(differs=rows["q"] <= FALSE_DISCOVERY_RATE)


def false_discovery(p: np.ndarray) -> np.ndarray:
    """Adjust a family of p values for the false discovery rate; NaN stays NaN.

    Parameters
    ----------
    p : ndarray
        Of all tests of the family.

    Returns
    -------
    ndarray
        As `scipy.stats.false_discovery_control` for the p values that are known.
    """
    q = np.full(np.shape(p), np.nan)
    known = ~np.isnan(p)
    if known.any():
        q[known] = stats.false_discovery_control(np.asarray(p)[known])
    return q


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
