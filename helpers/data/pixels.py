"""Small operations on pixels that several changes share."""

from collections.abc import Callable
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
    """Write pixels as JPEG of a quality from 1 to 95 and read them again."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


def resized(pixels: np.ndarray, shape: tuple[int, int], kernel: Image.Resampling) -> np.ndarray:
    """Resize to a height and width by a kernel of Pillow's, which widens to reduce an image."""
    height, width = shape
    return np.array(Image.fromarray(pixels).resize((width, height), kernel))


def reduced(
    pixels: np.ndarray, part: float, kernel: Image.Resampling, whole: Callable[[float], int] = round
) -> np.ndarray:
    """Reduce an image to a part of its height and width, in whole pixels, and enlarge it again."""
    shape = pixels.shape[:2]
    height, width = (max(1, whole(side * part)) for side in shape)
    return resized(resized(pixels, (height, width), kernel), shape, kernel)
