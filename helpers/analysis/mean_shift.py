"""The direction that an augmentation moves all images in, and what is left without it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis.statistics import (
    FALSE_DISCOVERY_RATE,
    TAILS,
    false_discovery_rates,
    resample_counts,
)


@dataclass(frozen=True)
class Directions:
    """How far augmentations move all images in one direction, and how alike the directions are.

    Attributes
    ----------
    common : DataFrame
        By augmentation: `share`, the part of the shifts' squared length that all images have in
        common, with `low` and `high` (95 % bootstrap interval over images) and `q`.
    cosines : Dataset
        `estimate`, `low`, `high` and `q`, each (augmentation, other): the cosine of the angle
        between two mean shifts. NaN where either augmentation moves images in no common direction.

    q is the p value of a test against shifts of random sign, with the false discovery rate
    controlled over its family: all augmentations, or all pairs. Intervals and q are NaN for fewer
    than three images.
    """

    common: pd.DataFrame
    cosines: xr.Dataset

    def told(self) -> pd.DataFrame:
        """Say which cosines are told from 0.

        Both mean shifts and their product are more than chance, and no interval holds 0.

        Returns
        -------
        DataFrame of bool, (augmentation, other)
        """
        has_one = (self.common["q"] <= FALSE_DISCOVERY_RATE).to_numpy()
        holds_0 = (self.cosines["low"] <= 0) & (self.cosines["high"] >= 0)
        pairs = ((self.cosines["q"] <= FALSE_DISCOVERY_RATE) & ~holds_0).to_pandas()
        return pairs & np.logical_and.outer(has_one, has_one)


def mean_shift_directions(
    shift: xr.DataArray, *, n_resamples: int = 500, seed: int = 0
) -> Directions:
    """Compare the mean shifts of augmentations.

    The inner product of two mean shifts is estimated from different images only, ⟨Δᵃᵢ, Δᵇⱼ⟩ with
    i ≠ j: the length of a mean of few shifts without a common direction is not 0, and two shifts of
    one image resemble each other for reasons of that image.

    Parameters
    ----------
    shift : DataArray, (image, augmentation, feature)
        Augmented less original embedding.
    n_resamples, seed : int
        Number of bootstrap resamples, and of draws of random signs, and their seed.

    Returns
    -------
    Directions
        NaN throughout for a single image, which has no direction in common with others.
    """
    values = shift.transpose("image", "augmentation", "feature").to_numpy().astype(np.float64)
    products, lengths = _products(values, np.ones((1, len(values))))
    counts = resample_counts(len(values), n_resamples, seed)
    resampled, resampled_lengths = _products(values, counts)
    p = _p_of_random_signs(values, products[0], n_resamples, seed)
    known = 1 if len(values) > 2 else np.nan
    names = list(shift["augmentation"].values)
    return Directions(
        _common_table(names, products, lengths, resampled, resampled_lengths, known * p),
        _cosine_dataset(names, products, resampled, known * p),
    )


def _products(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inner products of mean shifts from different images, and mean squared lengths.

    `counts` weights images, (resamples, images); an image never meets itself.
    """
    n, augmentations, _ = values.shape
    sums = (counts @ values.reshape(n, -1)).reshape(len(counts), augmentations, -1)
    own = values @ values.swapaxes(1, 2)  # images × augmentations × augmentations
    same = (np.square(counts) @ own.reshape(n, -1)).reshape(-1, augmentations, augmentations)
    pairs = np.square(counts.sum(axis=1)) - np.square(counts).sum(axis=1)
    squares = own.diagonal(axis1=1, axis2=2)
    lengths = counts @ squares / counts.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # a resample that holds one image alone has no pair
        return (sums @ sums.swapaxes(1, 2) - same) / pairs[:, None, None], lengths


def _p_of_random_signs(values: np.ndarray, found: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Share of draws of random signs with at least the product found, (augmentations, …)."""
    rng = np.random.default_rng(seed)
    n, augmentations, _ = values.shape
    own = values @ values.swapaxes(1, 2)
    reached = np.zeros_like(found)
    for _ in range(draws):
        signs = rng.choice([-1.0, 1.0], (n, augmentations))
        sums = np.einsum("ia,iad->ad", signs, values)
        same = np.einsum("ia,ib,iab->ab", signs, signs, own, optimize=True)
        product = (sums @ sums.T - same) / max(n * (n - 1), 1)
        reached += np.abs(product) >= np.abs(found) * (1 - 1e-9)
    return (1 + reached) / (1 + draws)


def _common_table(
    names: list[str],
    products: np.ndarray,
    lengths: np.ndarray,
    resampled: np.ndarray,
    resampled_lengths: np.ndarray,
    p: np.ndarray,
) -> pd.DataFrame:
    with np.errstate(invalid="ignore", divide="ignore"):
        share, shares = (
            product.diagonal(axis1=1, axis2=2) / length
            for product, length in ((products, lengths), (resampled, resampled_lengths))
        )
    known = np.where(np.isnan(p[0, 0]), np.nan, 1)
    low, high = known * np.quantile(shares, TAILS, axis=0)
    columns = {
        "share": share[0],
        "low": low,
        "high": high,
        "q": false_discovery_rates(p.diagonal()),
    }
    return pd.DataFrame(columns, index=pd.Index(names, name="augmentation"))


def _cosine_dataset(
    names: list[str], products: np.ndarray, resampled: np.ndarray, p: np.ndarray
) -> xr.Dataset:
    estimate = _cosines(products)[0]
    low, high = _known_tails(_cosines(resampled))
    upper = np.triu_indices(len(names), k=1)
    q = np.full_like(p, np.nan)
    q[upper] = false_discovery_rates(p[upper])
    q.T[upper] = q[upper]
    known = np.where(np.isnan(p), np.nan, 1)
    matrices = {"estimate": estimate, "low": known * low, "high": known * high, "q": q}
    axes = ("augmentation", "other")
    return xr.Dataset(
        {name: (axes, matrix) for name, matrix in matrices.items()},
        coords=dict.fromkeys(axes, names),
    )


def _known_tails(resampled: np.ndarray) -> np.ndarray:
    """Percentile interval of the resamples, NaN where more than a tail of them is undefined."""
    missing = np.isnan(resampled)
    usable = missing.mean(axis=0) <= 1 - TAILS[1] + TAILS[0]
    low, high = np.nanquantile(np.where(missing.all(axis=0), 0, resampled), TAILS, axis=0)
    return np.where(usable, [low, high], np.nan)


def _cosines(products: np.ndarray) -> np.ndarray:
    squares = products.diagonal(axis1=1, axis2=2)
    lengths = np.sqrt(np.where(squares > 0, squares, np.nan))
    return np.clip(products / (lengths[:, :, None] * lengths[:, None]), -1, 1)
