"""Attention and topic maps on a grid of patches: compared in place or aligned, and made regions.

The published scores compare pictures in place, so a mirrored image scores low although it shows
the same. Here the original is first moved as the view moved it
(`helpers.data.geometry.moved_as`); what lies beyond the image is NaN and takes no part.

A topic map is the inner product of patches' contributions with a text's embedding, and a contrast
the difference of two texts' maps (CLIP-InterpreT; Gandelsman, Efros and Steinhardt, ICLR 2024,
arXiv 2310.05916, section 5). Both are signed: below zero, a patch speaks against the text.
"""

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from skimage.filters import threshold_otsu

from helpers.analysis import scores
from helpers.analysis.scores import PATCH_GRID
from helpers.checks import WorkbookError
from helpers.data.changes import ORIGINAL

BRIGHTEST = 0.1
"""Share of the patches that count as the brightest, at least one."""
PAIRS_AT_ONCE = 64
TWO_IMAGES = "two different images"
SCORES = ("attention_similarity", "patch_similarity")


def partners(sources: ArrayLike, seed: int = 0) -> np.ndarray:
    """Pair every image with another one of its source, at random.

    What a score gives to two different images is its floor: an augmentation can hardly do worse.
    """
    sources = np.asarray(sources)
    rng = np.random.default_rng(seed)
    partner = np.full(len(sources), -1)
    for name in dict.fromkeys(sources.tolist()):
        shuffled = rng.permutation(np.flatnonzero(sources == name))
        if len(shuffled) > 1:
            partner[shuffled] = np.roll(shuffled, 1)
    return partner


def attention_in_place(
    original: ArrayLike, other: ArrayLike, size: int | tuple[int, int]
) -> np.ndarray:
    """Attention similarity as published, from grids, a few maps at a time: (images, …)."""
    original, other = np.asarray(original), np.asarray(other)
    starts = range(0, max(len(original), 1), PAIRS_AT_ONCE)
    blocks = [slice(start, start + PAIRS_AT_ONCE) for start in starts]
    return np.concatenate(
        [
            scores.attention_similarity(
                *(scores.attention_map(side[block], size) for side in (original, other))
            )
            for block in blocks
        ]
    )


def between_images(
    grids: xr.DataArray, seed: int = 0, *, size: int | tuple[int, int]
) -> xr.DataArray:
    """Attention similarity of each original and that of another image of its source.

    Parameters
    ----------
    grids : DataArray, (image, view, row, column)
        Attention as the model gives it, with the view ``original`` and the coordinate ``source``.
    seed : int
        Of the pairs; see `partners`.
    size : int or tuple of int
        Height and width of the views, to which maps are enlarged.

    Returns
    -------
    DataArray, (image, augmentation)
        Of the one augmentation ``two different images``; NaN for an image that is the only one of
        its source.
    """
    originals = grids.sel(view=ORIGINAL, drop=True).transpose("image", "row", "column")
    partner = partners(grids["source"].values, seed)
    similarity = np.full(len(partner), np.nan)
    known = np.flatnonzero(partner >= 0)
    similarity[known] = attention_in_place(
        originals.values[known], originals.values[partner[known]], size
    )
    values = originals.isel(row=0, column=0, drop=True).copy(data=similarity)
    return values.expand_dims(augmentation=[TWO_IMAGES], axis=1)


def brightest_share(grids: xr.DataArray) -> xr.DataArray:
    """Say how concentrated attention is: what the brightest patches get of it.

    Parameters
    ----------
    grids : DataArray, (image, view, row, column)
        Attention as the model gives it.

    Returns
    -------
    DataArray, (image, view)
    """
    flat = grids.stack(patch=("row", "column")).transpose("image", "view", "patch")
    count = max(1, round(BRIGHTEST * flat.sizes["patch"]))
    brightest = np.sort(flat.values, axis=-1)[..., -count:].sum(axis=-1)
    return flat.sum("patch").copy(data=brightest / flat.values.sum(axis=-1))


def attention_similarity(moved: ArrayLike, augmented: ArrayLike) -> np.ndarray:
    """Compare attention maps as equation (6) does, where both are known.

    Both maps are scaled to [0, 1] anew in the region that they share: what a view cuts off must
    not set the scale of what it shows.

    Parameters
    ----------
    moved : array_like, (…, h, w)
        The original's map, moved as the view; NaN beyond the image.
    augmented : array_like, (…, h, w)
        The view's map.

    Returns
    -------
    ndarray, (…)
        Similarity in [0.5, 1]; NaN where the two share nothing.

    Raises
    ------
    WorkbookError
        If the shapes differ.
    """
    moved, augmented = _matched(moved, augmented, 2)
    scaled = [_scaled(np.where(np.isnan(moved), np.nan, side)) for side in (moved, augmented)]
    return 1 / (1 + _known_mean(np.square(scaled[0] - scaled[1]), (-2, -1)))


def patch_similarity(moved: ArrayLike, augmented: ArrayLike) -> np.ndarray:
    """Compare pixels as equations (7) and (8) do, where both are known.

    Parameters
    ----------
    moved : array_like, (…, h, w, 3)
        The original, moved as the view, from 0 to 255; NaN beyond the image.
    augmented : array_like, (…, h, w, 3)
        The view.

    Returns
    -------
    ndarray, (…)
        Similarity in [0.5, 1], the mean over patches that hold any known pixel; NaN where none
        does.

    Raises
    ------
    WorkbookError
        If the shapes differ, or h and w are no multiples of the grid's 4.
    """
    moved, augmented = _matched(moved, augmented, 3)
    *batch, height, width, channels = moved.shape
    if height % PATCH_GRID or width % PATCH_GRID:
        raise WorkbookError(
            f"Images of {height} × {width} pixels don't split into {PATCH_GRID} × {PATCH_GRID}"
            " patches; give multiples of that, such as 224 × 224."
        )
    grid = (PATCH_GRID, height // PATCH_GRID, PATCH_GRID, width // PATCH_GRID, channels)
    squares = np.square(moved - augmented).reshape(*batch, *grid)
    error = _known_mean(squares, (-4, -2, -1))  # … × rows × columns of patches
    return _known_mean(1 / (1 + error / 255**2), (-2, -1))


def _matched(moved: ArrayLike, augmented: ArrayLike, axes: int) -> list[np.ndarray]:
    sides = [np.asarray(side, dtype=np.float64) for side in (moved, augmented)]
    if sides[0].shape != sides[1].shape or sides[0].ndim < axes:
        raise WorkbookError(
            f"The moved original has shape {sides[0].shape} and the view {sides[1].shape}; both"
            f" must be the same, with {axes} axes or more."
        )
    return sides


def _scaled(maps: np.ndarray) -> np.ndarray:
    """Scale maps to [0, 1] in their known region; a constant becomes 0."""
    known = ~np.isnan(maps)
    low = np.where(known, maps, np.inf).min(axis=(-2, -1), keepdims=True)
    high = np.where(known, maps, -np.inf).max(axis=(-2, -1), keepdims=True)
    with np.errstate(invalid="ignore"):
        reach = high - low
        return (maps - low) / np.where(reach > 0, reach, 1)


def _known_mean(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Mean of what isn't NaN, NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=axes)
    total = np.sum(values, axis=axes, where=known)
    return np.where(count, total / np.where(count, count, 1), np.nan)


# Regions


def foreground(maps: ArrayLike) -> np.ndarray:
    """Choose the pixels that speak for a text, without knowing the truth: (…, height, width).

    What lies below zero speaks against the text and is set to zero; Otsu's threshold then divides
    each map by itself.
    """
    maps = np.maximum(np.asarray(maps, dtype=np.float64), 0)
    flat = maps.reshape(-1, *maps.shape[-2:])
    return np.stack([_above_otsu(item) for item in flat]).reshape(maps.shape)


def intersection_over_union(predicted: ArrayLike, true: ArrayLike) -> np.ndarray:
    """Compare regions: pixels in both over pixels in either."""
    predicted, true = (np.asarray(side, dtype=bool) for side in (predicted, true))
    if predicted.ndim < 2 or predicted.shape[-2:] != true.shape[-2:]:
        raise WorkbookError(
            f"Regions of shapes {predicted.shape} and {true.shape} can't be compared; both need"
            " the same height and width."
        )
    both = (predicted & true).sum(axis=(-2, -1))
    either = (predicted | true).sum(axis=(-2, -1))
    return np.divide(both, either, out=np.full(both.shape, np.nan), where=either > 0)


def coarse(masks: ArrayLike, grid: tuple[int, int]) -> np.ndarray:
    """Average masks over the patches of a grid: the best map that a model of that grid can give.

    Of shape (…, rows, columns).
    """
    masks = np.asarray(masks, dtype=np.float64)
    down, across = (_area_weights(n, size) for n, size in zip(grid, masks.shape[-2:], strict=True))
    return down @ masks @ across.T


def _area_weights(n: int, size: int) -> np.ndarray:
    """Weights, n × size, that average `size` pixels over n equal patches."""
    edges = np.arange(n + 1) * size / n
    starts, ends = edges[:-1, None], edges[1:, None]
    pixels = np.arange(size)
    overlap = np.minimum(ends, pixels + 1) - np.maximum(starts, pixels)
    return np.clip(overlap, 0, None) * n / size


def _above_otsu(values: np.ndarray) -> np.ndarray:
    if np.ptp(values) == 0:
        return np.zeros(values.shape, bool)
    return values > threshold_otsu(values)
