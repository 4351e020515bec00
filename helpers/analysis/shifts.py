"""Shifts of embeddings: how far, in which common direction, and whether images draw together.

Let Δᵢ be the shift of image i, m the mean shift and cᵢ = eᵢ - ē the original about the mean of the
originals. Then Δᵢ = m - a cᵢ + rᵢ, where a is the same for all images and leaves least. The energy,
the mean of ‖Δᵢ‖², is the sum of three parts: *translation* ‖m‖² moves all images alike,
*contraction* a² mean ‖cᵢ‖² moves each towards the mean, and the *rest* moves each in its own way.
An exchange of every image for another one would be half contraction and half rest, and leave the
variance as it is. A *collapse* has more of the first two than that, and takes most of the variance.

A turned image has black corners, and dropout puts noise into its squares. A view of the same draw
with another *filling* shows how much of a shift is the filling's.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis.proximity import normalised, unit_vectors
from helpers.analysis.scores import embedding_similarity
from helpers.analysis.statistics import (
    FALSE_DISCOVERY_RATE,
    RESAMPLES,
    TAILS,
    false_discovery_rates,
    percentile_interval,
    resample_counts,
    resampled_means,
)
from helpers.checks import WorkbookError
from helpers.data.changes import ORIGINAL
from helpers.ties import first_largest

ONE_DIRECTION = 1e-9
"""Images whose mean cosine distance is below this have one direction, up to rounding."""
ENERGY_RESAMPLES = 500
PARTS = ("translation", "contraction", "rest")
LEAST_IMAGES = 3
ANOTHER_IMAGE = 0.5
"""Translation and contraction together, where every image is exchanged for another one."""
COMPONENTS = 2
PUBLISHED = "as published"


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


def _relative(counts: np.ndarray, shift: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Relative shifts (resamples, augmentations); pairs of one image with itself don't count."""
    same = np.square(counts).sum(axis=1)
    together = np.square(counts @ units).sum(axis=1) - same
    pairs = np.square(counts.sum(axis=1)) - same
    apart = 1 - together / np.where(pairs > 0, pairs, np.nan)
    apart = np.where(apart > ONE_DIRECTION, apart, np.nan)
    return counts @ shift / counts.sum(axis=1, keepdims=True) / apart[:, None]


# How energy divides


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
    counts = np.vstack(
        [np.ones(len(originals)), resample_counts(len(originals), ENERGY_RESAMPLES, seed)]
    )
    tables = {
        str(name): _with_intervals(_measures(originals, changed, counts), len(originals))
        for name, changed in zip(values["view"].values, values.to_numpy(), strict=True)
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
    same = squares @ (first * other).sum(axis=1)
    with np.errstate(invalid="ignore"):  # a resample that holds one image alone has no pair
        return (products - same) / (np.square(counts.sum(axis=1)) - squares.sum(axis=1))


# Common directions


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

    def distinct(self) -> pd.DataFrame:
        """Say which cosines are distinguished from 0.

        Both mean shifts and their product are more than chance, and no interval holds 0.

        Returns
        -------
        DataFrame of bool, (augmentation, other)
        """
        surely = (self.common["q"] <= FALSE_DISCOVERY_RATE).to_numpy()
        holds_0 = (self.cosines["low"] <= 0) & (self.cosines["high"] >= 0)
        pairs = ((self.cosines["q"] <= FALSE_DISCOVERY_RATE) & ~holds_0).to_pandas()
        return pairs & np.logical_and.outer(surely, surely)


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
    products = values @ values.swapaxes(1, 2)  # images × augmentations × augmentations
    same = (np.square(counts) @ products.reshape(n, -1)).reshape(-1, augmentations, augmentations)
    pairs = np.square(counts.sum(axis=1)) - np.square(counts).sum(axis=1)
    squares = products.diagonal(axis1=1, axis2=2)
    lengths = counts @ squares / counts.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # a resample that holds one image alone has no pair
        return (sums @ sums.swapaxes(1, 2) - same) / pairs[:, None, None], lengths


def _p_of_random_signs(values: np.ndarray, actual: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Share of draws of random signs with at least the product found, (augmentations, …)."""
    rng = np.random.default_rng(seed)
    n, augmentations, _ = values.shape
    products = values @ values.swapaxes(1, 2)
    reached = np.zeros_like(actual)
    for _ in range(draws):
        signs = rng.choice([-1.0, 1.0], (n, augmentations))
        sums = np.einsum("ia,iad->ad", signs, values)
        same = np.einsum("ia,ib,iab->ab", signs, signs, products, optimize=True)
        product = (sums @ sums.T - same) / max(n * (n - 1), 1)
        reached += np.abs(product) >= np.abs(actual) * (1 - 1e-9)
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
    low, high = percentile_interval(_cosines(resampled))
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


def _cosines(products: np.ndarray) -> np.ndarray:
    squares = products.diagonal(axis1=1, axis2=2)
    lengths = np.sqrt(np.where(squares > 0, squares, np.nan))
    return np.clip(products / (lengths[:, :, None] * lengths[:, None]), -1, 1)


# A plane to look at


def principal_plane(embeddings: xr.DataArray) -> xr.DataArray:
    """Project the embeddings of all views onto their first principal components.

    Parameters
    ----------
    embeddings : xarray.DataArray, (image, view, feature)
        Embeddings of every view, in any order of the axes.

    Returns
    -------
    xarray.DataArray, (image, view, component)
        Coordinates in the units of the embedding, about the mean of all views; the coordinate
        `explained` holds each component's share of the variance. A component's sign is chosen so
        that its largest loading is positive, and so doesn't depend on the linear algebra library.

    Raises
    ------
    WorkbookError
        If there are fewer features or embeddings than components.
    """
    flat = embeddings.transpose("image", "view", "feature")
    points = flat.to_numpy().reshape(-1, flat.sizes["feature"]).astype(np.float64)
    if min(points.shape) < COMPONENTS:
        raise WorkbookError(
            f"{points.shape[0]} embeddings of {points.shape[1]} features have no plane to be drawn"
            f" in; give {COMPONENTS} of each at least."
        )
    points -= points.mean(axis=0)
    values, axes = _principal_axes(points)
    total = np.square(points).sum()
    coordinates = (points @ axes).reshape(*flat.shape[:2], COMPONENTS)
    explained = values / total if total > 0 else np.full(COMPONENTS, np.nan)
    return xr.DataArray(
        coordinates,
        dims=("image", "view", "component"),
        coords={name: flat[name] for name in ("image", "view") if name in flat.coords}
        | {"component": np.arange(1, COMPONENTS + 1), "explained": ("component", explained)},
    )


def _principal_axes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of the scatter matrix and its axes (features, components), largest first."""
    # The scatter matrix stays small however many images there are, unlike the SVD of the points.
    values, axes = np.linalg.eigh(points.T @ points)
    values, axes = values[::-1][:COMPONENTS], axes[:, ::-1][:, :COMPONENTS]
    largest = first_largest(np.abs(axes), axis=0)
    return values, axes * np.sign(axes[largest, np.arange(COMPONENTS)])


# Other fillings


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
    originals = original.sel(image=refilled["image"]).transpose("image", "feature")
    similarity = embedding_similarity(originals.values[:, None], refilled.values)
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
        filled = refilled.sel(view=view)
        name = str(filled["augmentation"].item())
        pair = np.stack([filled.values, published.sel(augmentation=name).values], axis=1)
        share = _share(np.nanmean(pair, axis=0, keepdims=True))[0]
        known = 1 if len(pair) > 1 else np.nan
        low, high = known * np.quantile(_share(resampled_means(pair, RESAMPLES, seed)), TAILS)
        rows.append([name, str(filled["filling"].item()), share, low, high])
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
        Options of `mean_shift_directions`.

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
            cosine = directions.cosines.sel(augmentation=pair[0], other=pair[1])
            squared[filling] = _squared_in_common(both, directions)
            left = (squared[filling] / squared[PUBLISHED]).min()
            numbers = [cosine[n].item() for n in ("estimate", "low", "high")]
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
    is_side = (refilled["augmentation"].values == name) & (refilled["filling"].values == filling)
    if is_side.any():
        result = refilled.isel(view=int(is_side.argmax()))
        return result.drop_vars(["view", "augmentation", "filling"])
    return shift.sel(augmentation=name, drop=True)
