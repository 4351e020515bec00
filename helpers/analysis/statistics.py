"""Means with intervals, tests and correlations over a sample of images.

Uncertainty is always that of the images: a bootstrap resample draws as many images as there are,
with replacement, and keeps the augmentations of an image together. NaN marks a score that an
equation leaves undefined; it is left out and n counts what remains. A few images give intervals
that are too narrow, whatever the method; one image gives none, and no agreement either: NaN.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import scipy
import xarray as xr
from numpy.typing import ArrayLike

from helpers.checks import WorkbookError, one_of

CONFIDENCE = 0.95
"""Level of all intervals that say no other."""
TAILS = (0.025, 0.975)
"""The quantiles that such an interval of resamples lies between."""
RESAMPLES = 1000
"""Bootstrap resamples, where no module says otherwise."""
ROUNDING = 1e-6
"""What rounding may leave of a difference."""
FALSE_DISCOVERY_RATE = 0.05
"""What families of tests are held to (Benjamini and Hochberg)."""


def anything_moved(differences: ArrayLike) -> bool:
    """Check whether any view differs from its original by more than rounding.

    Without a shift every rank, cluster and direction is that of rounding, and names no winner.

    Parameters
    ----------
    differences : array_like
        Distances, or 1 less similarities; NaN where they are undefined.

    Returns
    -------
    bool
        False also where there is no defined difference.
    """
    return bool((np.abs(np.asarray(differences)) > ROUNDING).any())


def mean_with_interval(
    values: xr.DataArray | pd.DataFrame | ArrayLike,
    *,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean of every augmentation with a percentile bootstrap interval.

    Percentiles of the resampled means are defined where the values are all equal, need memory in
    proportion to the images, and never leave the range of the data.

    Parameters
    ----------
    values : xarray.DataArray, pandas.DataFrame or array_like, (images, augmentations)
        A score; NaN where it is undefined. A DataArray's axes may come in either order.
    confidence : float
        Level of the interval.
    seed : int
        Seed of the resamples.

    Returns
    -------
    pandas.DataFrame
        A row per augmentation with `mean`, `low`, `high`, `sd` (sample standard deviation over
        images) and `n`. The interval is NaN where n < 2.

    Raises
    ------
    WorkbookError
        If the values have no image, aren't two-dimensional, or one is infinite.

    Examples
    --------
    >>> import pandas as pd
    >>> similarity = pd.DataFrame({"noise": [0.1, 0.2, 0.3], "blur": [0.7, 0.8, 0.9]})
    >>> mean_with_interval(similarity).round(2)
           mean  low  high   sd  n
    noise   0.2  0.1   0.3  0.1  3
    blur    0.8  0.7   0.9  0.1  3
    """
    table = image_table(values)
    intervals = [
        _interval_of_mean(column.dropna().to_numpy(), confidence, seed)
        for _, column in table.items()
    ]
    low, high = np.transpose(intervals)
    return pd.DataFrame(
        {"mean": table.mean(), "low": low, "high": high, "sd": table.std(), "n": table.count()}
    )


def summarise(scores: xr.Dataset) -> pd.DataFrame:
    """Mean and interval of every score and augmentation, as one tidy table.

    Parameters
    ----------
    scores : xarray.Dataset
        A variable per score, each (image, augmentation).

    Returns
    -------
    pandas.DataFrame
        Columns `score`, `augmentation`, `mean`, `low`, `high`, `sd`, `n`.
    """
    parts = {name: mean_with_interval(values) for name, values in scores.items()}
    return pd.concat(parts, names=["score", "augmentation"]).reset_index()


def correlate_scores(
    scores: xr.Dataset,
    *,
    across: str = "pairs",
    n_resamples: int = 200,
    seed: int = 0,
) -> xr.Dataset:
    """Spearman's correlation of every score with every other, with bootstrap intervals.

    Parameters
    ----------
    scores : xarray.Dataset
        A variable per score, each (image, augmentation).
    across : {"pairs", "means", "within"}
        Across all pairs of image and augmentation, leaving out pairs with an undefined score;
        across the augmentations' means, where much smaller samples say much less; or within
        augmentations, where a score counts by its rank among the images of its augmentation, so
        that only differences between images take part, and every augmentation counts equally.
    n_resamples, seed : int
        Number of bootstrap resamples of the images and their seed.

    Returns
    -------
    xarray.Dataset
        `estimate`, `low` and `high`, each (score, other), and the scalar `n`: how many pairs or
        augmentations. A score that doesn't vary has no correlation: NaN.

    Raises
    ------
    WorkbookError
        If `across` has no such value.
    """
    rows_of = _ROWS_ACROSS[one_of("across", across, _ROWS_ACROSS)]
    cube = scores.to_array("score").transpose("image", "augmentation", "score").to_numpy()
    rows = rows_of(cube)
    draws = np.random.default_rng(seed).integers(len(cube), size=(n_resamples, len(cube)))
    known = 1 if len(cube) > 1 else np.nan
    resampled = known * np.stack([_correlation(rows_of(cube[drawn])) for drawn in draws])
    low, high = np.quantile(resampled, TAILS, axis=0)
    names, axes = list(scores.data_vars), ("score", "other")
    matrices = {"estimate": _correlation(rows), "low": low, "high": high}
    return xr.Dataset(
        {name: (axes, matrix) for name, matrix in matrices.items()} | {"n": len(rows)},
        coords=dict.fromkeys(axes, names),
    )


def paired_differences(values: xr.DataArray) -> pd.DataFrame:
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
    low, high, p = _tested(differences)
    q = false_discovery_rates(p)
    columns = {"mean": differences.mean(axis=0), "low": low, "high": high, "p": p, "q": q}
    rows = pd.DataFrame(pairs, columns=["first", "second"]).assign(**columns)
    return rows.assign(differs=rows["q"] <= FALSE_DISCOVERY_RATE)


def differences_between(
    first: xr.DataArray, other: xr.DataArray, *, paired: bool = True
) -> pd.DataFrame:
    """Compare a score of two runs, image by image where they have images in common."""
    shared = np.intersect1d(first["image"], other["image"]) if paired else []
    sides = [each.sel(image=shared) if len(shared) else each for each in (first, other)]
    names = [name for name in first["augmentation"].values if name in other["augmentation"]]
    compare = _as_pairs if len(shared) else _as_samples
    rows = [compare(*(each.sel(augmentation=name).values for each in sides)) for name in names]
    index = pd.Index(names, name="augmentation")
    table = pd.DataFrame(rows, index=index, columns=["mean", "low", "high", "p", "n"])
    return table.assign(paired=len(shared) > 0)


def false_discovery_rates(p: ArrayLike) -> np.ndarray:
    """Adjust the p-values of a family of tests (Benjamini and Hochberg 1995)."""
    p = np.asarray(p, dtype=np.float64)
    rates, known = np.full(p.shape, np.nan), ~np.isnan(p)
    if known.any():
        rates[known] = scipy.stats.false_discovery_control(p[known])
    return rates


def share_with_interval(count: int, n: int) -> dict[str, float]:
    """Give a share of n Wilson's 95 % interval."""
    interval = scipy.stats.binomtest(count, n).proportion_ci(method="wilson")
    return {"share": count / n, "low": float(interval.low), "high": float(interval.high)}


def resample_counts(n_images: int, n_resamples: int, seed: int = 0) -> np.ndarray:
    """How often each bootstrap resample holds each image: (n_resamples, n_images)."""
    even = np.full(n_images, 1 / n_images)
    return np.random.default_rng(seed).multinomial(n_images, even, size=n_resamples)


def resampled_means(values: np.ndarray, n_resamples: int, seed: int = 0) -> np.ndarray:
    """Take the mean over images of every bootstrap resample, leaving out NaN.

    Of shape (resamples, augmentations).
    """
    counts = resample_counts(len(values), n_resamples, seed)
    with np.errstate(invalid="ignore"):
        return counts @ np.nan_to_num(values) / (counts @ ~np.isnan(values))


def percentile_interval(resampled: np.ndarray, *, method: str = "linear") -> np.ndarray:
    """Return the interval (2, …) of resamples (first axis); NaN where over 5 % are undefined."""
    missing = np.isnan(resampled)
    known = np.where(missing.all(axis=0), 0, resampled)
    bounds = np.nanquantile(known, TAILS, axis=0, method=method)
    return np.where(missing.mean(axis=0) <= 1 - CONFIDENCE, bounds, np.nan)


def image_table(values: xr.DataArray | pd.DataFrame | ArrayLike) -> pd.DataFrame:
    """Turn values into a table of (images, augmentations)."""
    if isinstance(values, xr.DataArray):
        values = values.transpose("image", "augmentation").to_pandas()
    elif not isinstance(values, pd.DataFrame):
        values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or 0 in values.shape:
        raise WorkbookError(
            f"Values of shape {values.shape} can't be averaged over images; "
            "they need two axes, image and augmentation, with at least one of each."
        )
    table = pd.DataFrame(values)
    if infinite := int(np.isinf(table.to_numpy(np.float64)).sum()):
        raise WorkbookError(
            f"{infinite} of the {table.size} values are infinite, and so would their mean be; an "
            "undefined value must be NaN."
        )
    return table


def _interval_of_mean(values: np.ndarray, confidence: float, seed: int) -> tuple[float, float]:
    if len(values) < 2:
        return np.nan, np.nan
    return _bootstrapped((values,), np.mean, confidence, seed, method="percentile")


def _bootstrapped(
    samples: Sequence[np.ndarray],
    statistic: Callable,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    *,
    method: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Return SciPy's bootstrap interval of a statistic of samples, (images, …) each."""
    result = scipy.stats.bootstrap(
        samples,
        statistic,
        confidence_level=confidence,
        n_resamples=RESAMPLES,
        batch=100,
        method=method,
        rng=seed,
    )
    return tuple(result.confidence_interval)


def _as_pairs(first: np.ndarray, other: np.ndarray) -> list[float]:
    differences = (other - first)[~np.isnan(other - first)]
    if not len(differences):
        return [np.nan] * 4 + [0]
    tested = _tested(differences[:, None])[:, 0]
    return [differences.mean(), *tested, len(differences)]


def _as_samples(first: np.ndarray, other: np.ndarray) -> list[float]:
    samples = [each[~np.isnan(each)] for each in (other, first)]
    least = min(map(len, samples))
    if not least:
        return [np.nan] * 4 + [0]
    mean = samples[0].mean() - samples[1].mean()
    if least < 3 or not all(map(np.ptp, samples)):
        return [mean, np.nan, np.nan, np.nan, least]
    low, high = _bootstrapped(
        samples, lambda one, two, axis: one.mean(axis=axis) - two.mean(axis=axis), method="BCa"
    )
    p = scipy.stats.ttest_ind(*samples, equal_var=False).pvalue
    return [mean, low, high, p, least]


def _tested(differences: np.ndarray) -> np.ndarray:
    """Interval and p value of each column's mean; where nothing varies the mean is certain."""
    result = np.full((3, differences.shape[1]), np.nan)
    if len(differences) < 3:
        return result
    varies = np.ptp(differences, axis=0) > 0
    constant = differences[0, ~varies]
    result[:, ~varies] = constant, constant, constant == 0
    if varies.any():
        chosen = differences[:, varies]
        low, high = _bootstrapped((chosen,), np.mean, method="BCa")
        result[:, varies] = low, high, scipy.stats.ttest_1samp(chosen, 0).pvalue
    return result


def _defined_pairs(cube: np.ndarray) -> np.ndarray:
    """Rows of (pairs, scores) that hold no NaN."""
    rows = cube.reshape(-1, cube.shape[-1])
    return rows[~np.isnan(rows).any(axis=1)]


def _augmentation_means(cube: np.ndarray) -> np.ndarray:
    """Means over images, (augmentations, scores), of augmentations with every score defined."""
    defined = ~np.isnan(cube)
    counts = defined.sum(axis=0)
    means = np.sum(cube, axis=0, where=defined) / np.where(counts, counts, np.nan)
    return _defined_pairs(means)


def _ranked_within(cube: np.ndarray) -> np.ndarray:
    """Ranks among the images of an augmentation, (pairs, scores), of pairs with all defined."""
    known = np.where(np.isnan(cube).any(axis=-1, keepdims=True), np.nan, cube)
    return _defined_pairs(scipy.stats.rankdata(known, axis=0, nan_policy="omit"))


def _correlation(rows: np.ndarray) -> np.ndarray:
    """Spearman's correlation of the columns; NaN where one doesn't vary, or has one value."""
    if len(rows) < 2:
        return np.full((rows.shape[1],) * 2, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.corrcoef(scipy.stats.rankdata(rows, axis=0), rowvar=False)


_ROWS_ACROSS = {
    "pairs": _defined_pairs,
    "means": _augmentation_means,
    "within": _ranked_within,
}


def bias_corrected(resampled: ArrayLike, estimate: float) -> tuple[float, float]:
    """Correct a bootstrap interval for an estimate that lies off the middle of its resamples.

    Efron's bias-corrected percentile interval (1981). Resampling blurs an order, so that a count of
    pairs in the right order lies at the upper edge of its resamples. The acceleration of the BCa
    interval is taken as 0: it needs a statistic that changes when one image is left out, and a
    count hardly ever does.
    """
    resampled = np.asarray(resampled, np.float64)
    below = (resampled < estimate).mean() + (resampled == estimate).mean() / 2
    half_step = 1 / (2 * len(resampled))
    bias = scipy.stats.norm.ppf(np.clip(below, half_step, 1 - half_step))
    tails = scipy.stats.norm.ppf(TAILS)
    places = scipy.stats.norm.cdf(2 * bias + tails)
    low, high = np.quantile(resampled, places, method="inverted_cdf")
    return float(low), float(high)
