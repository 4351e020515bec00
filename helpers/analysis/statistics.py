"""Means with intervals, ranks and correlations over a sample of images.

Uncertainty is always that of the images: a bootstrap resample draws as many images as there are,
with replacement, and keeps the augmentations of an image together. NaN marks a score that an
equation leaves undefined; it is left out and n counts what remains. A few images give intervals
that are too narrow, whatever the method; one image gives none, and no agreement either: NaN.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from scipy import stats

from helpers.analysis import ties
from helpers.analysis.scores import SCORES
from helpers.checks import WorkbookError, one_of

# What the study says about which augmentations move embeddings most. Within a group it states no
# order, and it makes no statement about elastic.
PUBLISHED_GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "most": ("noise",),
        "strongly": ("perspective", "shift_scale_rotate"),
        "moderately": ("blur", "coarse_dropout", "color_jitter"),
        "least": ("horizontal_flip", "random_brightness_contrast"),
    }
)
# The scores that the study found to correlate with embedding similarity.
PUBLISHED_CORRELATES = ("edge_similarity", "detail_similarity")

FALSE_DISCOVERY_RATE = 0.05
"""What families of tests are held to (Benjamini and Hochberg)."""

NOTHING_MOVED = "Nothing moved: severity 0 changes no pixel."
"""What findings say in place of a winner where `anything_moved` is false."""


def anything_moved(differences: ArrayLike, *, tolerance: float = 1e-6) -> bool:
    """Tell whether any view differs from its original by more than rounding.

    Without a shift every rank, cluster and direction is that of rounding, and names no winner.

    Parameters
    ----------
    differences : array_like
        Distances, or 1 less similarities; NaN where they are undefined.
    tolerance : float
        What rounding may leave.

    Returns
    -------
    bool
        False also where there is no defined difference.
    """
    return bool((np.abs(np.asarray(differences)) > tolerance).any())


def mean_with_interval(
    values: xr.DataArray | pd.DataFrame | ArrayLike,
    *,
    confidence: float = 0.95,
    n_resamples: int = 1000,
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
    n_resamples : int
        Number of bootstrap resamples.
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
    """
    table = _image_table(values)
    intervals = [
        _interval_of_mean(column.dropna().to_numpy(), confidence, n_resamples, seed)
        for _, column in table.items()
    ]
    low, high = np.transpose(intervals)
    return pd.DataFrame(
        {"mean": table.mean(), "low": low, "high": high, "sd": table.std(), "n": table.count()}
    )


def summarise(scores: xr.Dataset, **options: float) -> pd.DataFrame:
    """Mean and interval of every score and augmentation, as one tidy table.

    Parameters
    ----------
    scores : xarray.Dataset
        A variable per score, each (image, augmentation).
    **options
        Options of `mean_with_interval`.

    Returns
    -------
    pandas.DataFrame
        Columns `score`, `augmentation`, `mean`, `low`, `high`, `sd`, `n`.
    """
    parts = {name: mean_with_interval(values, **options) for name, values in scores.items()}
    return pd.concat(parts, names=["score", "augmentation"]).reset_index()


@dataclass(frozen=True)
class Ranking:
    """Augmentations ordered by how far they move images, and how sure that order is.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per augmentation, furthest first: `mean`, `rank` (1 moves furthest; ties share the
        smaller rank) and `agreement`, the share of bootstrap resamples with the same rank.
    distribution : pandas.DataFrame, (augmentations, ranks)
        Share of resamples in which the augmentation has the rank.
    order_agreement : float
        Share of resamples with the same rank for every augmentation.
    """

    table: pd.DataFrame
    distribution: pd.DataFrame
    order_agreement: float


def rank_augmentations(
    values: xr.DataArray | pd.DataFrame | ArrayLike,
    *,
    higher_is_closer: bool,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Ranking:
    """Rank augmentations by a score's mean, with how often bootstrap resamples agree.

    Parameters
    ----------
    values : xarray.DataArray, pandas.DataFrame or array_like, (images, augmentations)
        A score; NaN where it is undefined.
    higher_is_closer : bool
        As in `helpers.analysis.scores.SCORES`: true for similarities, false for distances.
    n_resamples, seed : int
        Number of bootstrap resamples and their seed.

    Returns
    -------
    Ranking
        Furthest from the original first.

    Raises
    ------
    WorkbookError
        If the values have no image, aren't two-dimensional, or one is infinite.
    """
    table = _image_table(values)
    sign = 1 if higher_is_closer else -1
    ranks = _ranks(sign * table.mean().to_numpy())  # (augmentations,)
    resampled = _ranks(sign * resampled_means(table.to_numpy(), n_resamples, seed))
    places = np.arange(1, table.shape[1] + 1)
    known = 1 if len(table) > 1 else np.nan
    same = known * (resampled == ranks)  # (resamples, augmentations)
    shares = known * (resampled[:, :, None] == places).mean(axis=0)  # (augmentations, ranks)
    rows = pd.DataFrame(
        {"mean": table.mean(), "rank": ranks, "agreement": same.mean(axis=0)}
    ).sort_values("rank", kind="stable")
    distribution = pd.DataFrame(shares, index=table.columns, columns=pd.Index(places, name="rank"))
    return Ranking(rows, distribution.loc[rows.index], float(same.min(axis=1).mean()))


def correlate_scores(
    scores: xr.Dataset,
    *,
    method: str = "spearman",
    across: str = "pairs",
    confidence: float = 0.95,
    n_resamples: int = 200,
    seed: int = 0,
) -> xr.Dataset:
    """Correlation of every score with every other, with bootstrap intervals.

    Parameters
    ----------
    scores : xarray.Dataset
        A variable per score, each (image, augmentation).
    method : {"spearman", "pearson"}
        Correlation of ranks or of values.
    across : {"pairs", "means", "within"}
        Across all pairs of image and augmentation, leaving out pairs with an undefined score;
        across the augmentations' means, where much smaller samples say much less; or within
        augmentations, where a score counts by its rank among the images of its augmentation, so
        that only differences between images take part, and every augmentation counts equally.
    confidence : float
        Level of the interval.
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
        If the method or `across` has no such value.
    """
    transform = _CORRELATIONS[one_of("method", method, _CORRELATIONS)]
    rows_of = _ROWS_ACROSS[one_of("across", across, _ROWS_ACROSS)]
    cube = scores.to_array("score").transpose("image", "augmentation", "score").to_numpy()
    rows = rows_of(cube)
    draws = np.random.default_rng(seed).integers(len(cube), size=(n_resamples, len(cube)))
    known = 1 if len(cube) > 1 else np.nan
    resampled = known * np.stack([_correlation(transform(rows_of(cube[drawn]))) for drawn in draws])
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(resampled, tails, axis=0)
    names, axes = list(scores.data_vars), ("score", "other")
    matrices = {"estimate": _correlation(transform(rows)), "low": low, "high": high}
    return xr.Dataset(
        {name: (axes, matrix) for name, matrix in matrices.items()} | {"n": len(rows)},
        coords=dict.fromkeys(axes, names),
    )


def rank_by_each_score(scores: xr.Dataset, **options: int) -> dict[str, Ranking]:
    """Rank augmentations by every score.

    Parameters
    ----------
    scores : xarray.Dataset
        A variable per score of `SCORES`, each (image, augmentation).
    **options
        Options of `rank_augmentations`; the direction is that of `SCORES`.

    Returns
    -------
    dict of str to Ranking
        In the order of the dataset.

    Raises
    ------
    WorkbookError
        If a variable is no score.
    """
    return {
        name: rank_augmentations(
            values,
            higher_is_closer=SCORES[one_of("score", name, SCORES)].higher_is_closer,
            **options,
        )
        for name, values in scores.items()
    }


def false_discovery_rates(p: ArrayLike) -> np.ndarray:
    """Adjust the p-values of a family of tests (Benjamini and Hochberg 1995)."""
    p = np.asarray(p, dtype=np.float64)
    rates, known = np.full(p.shape, np.nan), ~np.isnan(p)
    if known.any():
        rates[known] = stats.false_discovery_control(p[known])
    return rates


def resample_counts(n_images: int, n_resamples: int, seed: int) -> np.ndarray:
    """How often each bootstrap resample holds each image: (n_resamples, n_images)."""
    even = np.full(n_images, 1 / n_images)
    return np.random.default_rng(seed).multinomial(n_images, even, size=n_resamples)


def resampled_means(values: np.ndarray, n_resamples: int, seed: int) -> np.ndarray:
    """Take the mean over images of every bootstrap resample, leaving out NaN.

    Of shape (resamples, augmentations).
    """
    counts = resample_counts(len(values), n_resamples, seed)
    with np.errstate(invalid="ignore"):
        return counts @ np.nan_to_num(values) / (counts @ ~np.isnan(values))


def _image_table(values: xr.DataArray | pd.DataFrame | ArrayLike) -> pd.DataFrame:
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


def _interval_of_mean(
    values: np.ndarray, confidence: float, n_resamples: int, seed: int
) -> tuple[float, float]:
    if len(values) < 2:
        return np.nan, np.nan
    result = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=confidence,
        n_resamples=n_resamples,
        batch=100,
        method="percentile",
        rng=seed,
    )
    return tuple(result.confidence_interval)


def _ranks(values: np.ndarray) -> np.ndarray:
    return stats.rankdata(ties.merged(values), method="min", axis=-1, nan_policy="omit")


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
    return _defined_pairs(stats.rankdata(known, axis=0, nan_policy="omit"))


def _correlation(rows: np.ndarray) -> np.ndarray:
    """Pearson's correlation of the columns; NaN where a column doesn't vary, or has one value."""
    if len(rows) < 2:
        return np.full((rows.shape[1],) * 2, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.corrcoef(rows, rowvar=False)


_CORRELATIONS = {"spearman": lambda rows: stats.rankdata(rows, axis=0), "pearson": np.asarray}
_ROWS_ACROSS = {
    "pairs": _defined_pairs,
    "means": _augmentation_means,
    "within": _ranked_within,
}
