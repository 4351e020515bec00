"""Maps on a grid of patches: as images, and the regions that they mark.

A topic map is the inner product of patches' contributions with a text's embedding, and a contrast
the difference of two texts' maps (CLIP-InterpreT; Gandelsman, Efros and Steinhardt, ICLR 2024,
arXiv 2310.05916, section 5). Both are signed: below zero, a patch speaks against the text.
"""

import numpy as np
from numpy.typing import ArrayLike
from skimage.filters import threshold_otsu

from helpers.checks import WorkbookError


def enlarge(maps: ArrayLike, size: int | tuple[int, int]) -> np.ndarray:
    """Resize maps on a grid of patches bilinearly to an image; their scale stays as it is.

    Of shape (…, height, width).
    """
    maps = np.asarray(maps, dtype=np.float64)
    sides = np.broadcast_to(size, 2).tolist()
    if maps.ndim < 2 or min(sides) < 1:
        raise WorkbookError(
            f"Maps of shape {maps.shape} can't be resized to {size} pixels; they need the axes"
            " (…, rows, columns) and a size of at least 1."
        )
    down, across = map(bilinear_weights, maps.shape[-2:], sides)
    return down @ maps @ across.T


def bilinear_weights(n: int, size: int) -> np.ndarray:
    """Return weights, size × n, that interpolate n samples at the centres of `size` pixels."""
    centres = (np.arange(size) + 0.5) * n / size - 0.5
    return np.stack([np.interp(centres, np.arange(n), sample) for sample in np.eye(n)], axis=1)


def foreground(maps: ArrayLike) -> np.ndarray:
    """Choose the pixels that speak for a text, without knowing the truth: (…, height, width).

    What lies below zero speaks against the text and is set to zero; Otsu's threshold then divides
    each map by itself.
    """
    maps = np.maximum(np.asarray(maps, dtype=np.float64), 0)
    flat = maps.reshape(-1, *maps.shape[-2:])
    return np.stack([_above_otsu(one) for one in flat]).reshape(maps.shape)


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
