"""Small operations on pixels that several changes share."""

from io import BytesIO

import numpy as np
from PIL import Image


def unit(pixels: np.ndarray) -> np.ndarray:
    """Return grey levels as float32 from 0 to 1."""
    return pixels.astype(np.float32) / np.float32(255)


def levels(values: np.ndarray) -> np.ndarray:
    """Return values from 0 to 1, clipped, as grey levels of uint8, rounded."""
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def grey(values: np.ndarray) -> np.ndarray:
    """Return the luma of colours, (…, 3) to (…)."""
    return 0.299 * values[..., 0] + 0.587 * values[..., 1] + 0.114 * values[..., 2]


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Write pixels as JPEG and read them again.

    Parameters
    ----------
    pixels : ndarray of uint8, height × width × 3
    quality : int
        From 1 to 95, as of Pillow.

    Returns
    -------
    ndarray of uint8, height × width × 3
    """
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


def box_resized(pixels: np.ndarray, side: int) -> np.ndarray:
    """Resize to a square by the mean of the pixels that fall into each, as Pillow's BOX does."""
    return resized(pixels, side, Image.Resampling.BOX)


def resized(pixels: np.ndarray, side: int, kernel: Image.Resampling) -> np.ndarray:
    """Resize to a square by one of Pillow's kernels, which widen when an image is reduced."""
    return np.array(Image.fromarray(pixels).resize((side, side), kernel))
