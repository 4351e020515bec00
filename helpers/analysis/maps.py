"""Maps on a grid of patches, and their size as an image."""

import numpy as np
from numpy.typing import ArrayLike

from helpers.checks import WorkbookError


def enlarge(maps: ArrayLike, size: int) -> np.ndarray:
    """Resize maps on a grid of patches bilinearly to an image; their scale stays as it is.

    Parameters
    ----------
    maps : array_like, (…, rows, columns)
        A value per patch.
    size : int
        Height and width of the image in pixels.

    Returns
    -------
    ndarray, (…, size, size)
        Pixel centres lie at half-integers, and edges are repeated.

    Raises
    ------
    WorkbookError
        If the maps have fewer than two axes or the size is below 1.
    """
    maps = np.asarray(maps, dtype=np.float64)
    if maps.ndim < 2 or size < 1:
        raise WorkbookError(
            f"Maps of shape {maps.shape} can't be resized to {size} pixels; they need the axes"
            " (…, rows, columns) and a size of at least 1."
        )
    down, across = (bilinear_weights(n, size) for n in maps.shape[-2:])
    return down @ maps @ across.T


def bilinear_weights(n: int, size: int) -> np.ndarray:
    """Return weights, size × n, that interpolate n samples at the centres of `size` pixels."""
    centres = (np.arange(size) + 0.5) * n / size - 0.5
    return np.stack([np.interp(centres, np.arange(n), sample) for sample in np.eye(n)], axis=1)
