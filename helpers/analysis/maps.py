"""Maps on a grid of patches, and their size as an image."""

import numpy as np
from numpy.typing import ArrayLike

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
