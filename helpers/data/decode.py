"""From an image file of any kind to 8-bit RGB."""

from collections.abc import Mapping
from os import PathLike
from types import MappingProxyType
from typing import BinaryIO

import numpy as np
from PIL import Image as pillow
from PIL import ImageOps, UnidentifiedImageError

from helpers.checks import WorkbookError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""What the names of image files end in, in lower case."""

# Levels of a 16-bit grey value per level of an 8-bit one: 65535 / 255.
_LEVELS_PER_8_BIT_LEVEL = 257

_REASONS: Mapping[type[Exception], str] = MappingProxyType(
    {
        FileNotFoundError: "there is no such file",
        IsADirectoryError: "it is a folder",
        PermissionError: "this user may not read the file",
        UnidentifiedImageError: "it is empty or in no image format that Pillow reads",
        pillow.DecompressionBombError: (
            f"it has more than {2 * pillow.MAX_IMAGE_PIXELS:,} pixels, Pillow's guard against "
            "files that fill the memory"
        ),
    }
)


class UnreadableImage(WorkbookError):
    """An image whose pixels can't be had; a run reports it and goes on with the others.

    Parameters
    ----------
    image_id : str
        The image's id.
    reason : str
        Why, as a clause without a full stop.
    """

    def __init__(self, image_id: str, reason: str):
        super().__init__(f"Image {image_id!r} can't be read: {reason}.")
        self.image_id = image_id
        self.reason = reason

    def __reduce__(self):
        # An exception is pickled by its message, which is not what __init__ takes.
        return type(self), (self.image_id, self.reason)


def decode(file: str | PathLike | BinaryIO, image_id: str) -> np.ndarray:
    """Decode an image file to upright 8-bit RGB.

    EXIF orientation is applied; of several frames or pages the first is taken; 16-bit grey is
    scaled from its full range, transparency composited on white. Colour profiles are not applied,
    as in CLIP's own preprocessing.

    Parameters
    ----------
    file : path or binary file
        What Pillow opens; the format is told from the bytes, not from the name.
    image_id : str
        The image's id, for the error.

    Returns
    -------
    ndarray of uint8, height × width × 3

    Raises
    ------
    UnreadableImage
        If the file is missing, empty, truncated, corrupt, too large or no image.
    """
    try:
        with pillow.open(file) as image:
            # TIFF is turned upright by load itself, which then drops the tag: load first.
            image.load()
            return np.array(_as_rgb(_upright(image)))
    # Pillow's plugins let errors of many kinds through for corrupt files; each means the same here.
    except Exception as error:
        raise UnreadableImage(image_id, _reason(error)) from error


def _upright(image: pillow.Image) -> pillow.Image:
    """Apply EXIF orientation; a broken EXIF block counts as none, as Pillow has it for JPEG."""
    try:
        return ImageOps.exif_transpose(image)
    except SyntaxError:
        return image


def _as_rgb(image: pillow.Image) -> pillow.Image:
    """Convert any of Pillow's modes to RGB."""
    if image.mode.startswith("I"):
        return _from_16_bit(image).convert("RGB")
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, which have no agreed white")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = pillow.new("RGBA", image.size, "white")
        return pillow.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _from_16_bit(image: pillow.Image) -> pillow.Image:
    """Scale grey of 16 bits to 8; Pillow's own conversion clips it at 255."""
    grey = np.asarray(image).astype(np.int64)
    if grey.min() < 0 or grey.max() > np.iinfo(np.uint16).max:
        raise ValueError("its pixels are 32-bit integers, which have no agreed white")
    return pillow.fromarray(np.rint(grey / _LEVELS_PER_8_BIT_LEVEL).astype(np.uint8))


def _reason(error: Exception) -> str:
    """Say in a clause why Pillow failed, without the memory addresses that its messages carry."""
    for kind, reason in _REASONS.items():
        if isinstance(error, kind):
            return reason
    return str(error).rstrip(".") or type(error).__name__
