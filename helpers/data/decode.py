"""From an image file of any kind to 8-bit RGB."""

import errno
import posixpath
import re
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from importlib import import_module
from importlib.util import find_spec
from os import PathLike
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image as pillow
from PIL import ImageOps, UnidentifiedImageError

from helpers.checks import WorkbookError
from helpers.data.reading import open_file, why


class Extra(NamedTuple):
    """A package that teaches Pillow more kinds of image: what its import names, and its kinds."""

    package: str
    module: str
    register: str
    formats: tuple[str, ...]
    suffixes: tuple[str, ...]


EXTRAS = (
    Extra("pillow-heif", "pillow_heif", "register_heif_opener", ("HEIF",), (".heic", ".heif")),
    Extra("pillow-jxl-plugin", "pillow_jxl", "", ("JXL",), (".jxl",)),
)
"""Packages that are used where they are installed; nothing needs them."""


def _use(extra: Extra) -> bool:
    if find_spec(extra.module) is None:
        return False
    module = import_module(extra.module)
    if extra.register:
        getattr(module, extra.register)()
    return True


_USED = [extra for extra in EXTRAS if _use(extra)]
_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".apng"),
    *(".avif", ".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm"),
)
IMAGE_SUFFIXES = (*_SUFFIXES, *(suffix for extra in _USED for suffix in extra.suffixes))
"""What the names of image files end in, in lower case."""

MOVING_SUFFIXES = (".gif", ".apng")
"""What the names of those end in that are often animated."""

_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
FORMATS = (*_FORMATS, *(name for extra in _USED for name in extra.formats))
"""What Pillow may take a file for: not EPS, for which it would start another program."""

_HIDDEN = re.compile(r"(^|/)\.(?!\.?(/|$))")

# Tags of TIFF, and the values of theirs that matter here.
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _UNSIGNED = 0, 1

# Errors of the machine and not of a file.
_PASSING = {
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENOTCONN,
}

_NO_WHITE = "which have no agreed white"

# Pillow reads up to twice this number of pixels, and there is nothing to warn of below that.
warnings.filterwarnings("ignore", category=pillow.DecompressionBombWarning)

_REASONS: Mapping[type[Exception], str] = {
    FileNotFoundError: "there is no such file",
    IsADirectoryError: "it is a folder",
    PermissionError: "this user may not read the file",
    UnidentifiedImageError: f"it is empty or no {', '.join(FORMATS[:-1])} or {FORMATS[-1]}",
    pillow.DecompressionBombError: (
        f"it has more than {2 * pillow.MAX_IMAGE_PIXELS:,} pixels, Pillow's guard against "
        "files that fill the memory"
    ),
}


def is_image(name: str) -> bool:
    """Return whether a name is that of an image, and not of a hidden file that systems add."""
    return not is_hidden(name) and suffix_of(name) in IMAGE_SUFFIXES


def is_hidden(name: str) -> bool:
    """Return whether the name of a file, or of a folder above it, starts with a dot."""
    return _HIDDEN.search(name) is not None


def suffix_of(name: str) -> str:
    """Return a file name's ending in lower case, with its dot."""
    return posixpath.splitext(name)[1].lower()


def kind_of(name: str) -> str:
    """Return of which kind a file that is no image is, by its name, and what would read it."""
    suffix = suffix_of(name)
    needs = [extra.package for extra in EXTRAS if suffix in extra.suffixes]
    return f"{suffix} (pip install {needs[0]})" if needs else suffix or "no ending"


class UnreadableImage(WorkbookError):
    """An image whose pixels can't be had; a run reports it and goes on with the others."""

    def __init__(self, image_id: str, reason: str):
        super().__init__(f"Image {image_id!r} can't be read: {reason}.")
        self.image_id = image_id
        self.reason = reason

    def __reduce__(self):
        # An exception is pickled by its message, which is not what __init__ takes.
        return type(self), (self.image_id, self.reason)


def decode(file: str | PathLike | BinaryIO, image_id: str) -> np.ndarray:
    """Decode an image file to upright 8-bit RGB: height × width × 3.

    EXIF orientation is applied; of several frames or pages the first is taken; grey of up to 16
    bits is scaled from its full range, transparency composited on white. Colour profiles are not
    applied, as in CLIP's own preprocessing.
    """
    is_path = isinstance(file, (str, PathLike))
    try:
        with (
            open_file(file) if is_path else nullcontext(file) as opened,
            pillow.open(opened, formats=FORMATS) as image,
        ):
            # TIFF is turned upright by load itself, which then drops the tag: load first.
            image.load()
            return np.array(_as_rgb(_upright(image), getattr(image, "tag_v2", {})))
    # Pillow's plugins let errors of many kinds through for corrupt files; each means the same here.
    except Exception as error:
        refuse_if_passing(error, image_id)
        raise UnreadableImage(image_id, _reason(error)) from error


def refuse_if_passing(error: Exception, image_id: str) -> None:
    """Refuse to call an image unreadable for ever if it is the machine that failed just now."""
    if isinstance(error, OSError) and error.errno in _PASSING:
        raise WorkbookError(
            f"Image {image_id!r} could not be read: {error.strerror}. That may pass; give the same"
            " command again, which goes on from here, or take the image away."
        ) from error


def _upright(image: pillow.Image) -> pillow.Image:
    """Apply EXIF orientation; a broken EXIF block counts as none, as Pillow has it for JPEG."""
    try:
        return ImageOps.exif_transpose(image)
    except SyntaxError:
        return image


def _as_rgb(image: pillow.Image, tiff: Mapping[int, object]) -> pillow.Image:
    """Convert any of Pillow's modes to RGB, given the tags of a TIFF file."""
    if image.mode == "F":
        raise _NoPixels(f"its pixels are floating-point numbers, {_NO_WHITE}")
    if any(kind != _UNSIGNED for kind in tiff.get(_SAMPLE_FORMAT, ())):
        raise _NoPixels(f"its pixels are numbers with a sign, {_NO_WHITE}")
    if image.mode.startswith("I"):
        return _from_16_bit(image, tiff).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = pillow.new("RGBA", image.size, "white")
        return pillow.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _from_16_bit(image: pillow.Image, tiff: Mapping[int, object]) -> pillow.Image:
    """Scale grey of 16 bits, or of 12 in TIFF, to 8; Pillow's own conversion clips it at 255."""
    white = 2 ** max(tiff.get(_BITS, (16,))) - 1
    grey = np.asarray(image).astype(np.int64)
    if white > np.iinfo(np.uint16).max or grey.max() > white:
        raise _NoPixels(f"its pixels are 32-bit integers, {_NO_WHITE}")
    if tiff.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = white - grey
    grey[grey == image.info.get("transparency")] = white
    return pillow.fromarray(np.rint(grey / white * 255).astype(np.uint8))


class _NoPixels(ValueError):
    """Why the numbers in a file are no colours, as a clause."""


def _reason(error: Exception) -> str:
    """Return a clause on why Pillow failed, without paths and addresses that messages carry."""
    for kind, reason in _REASONS.items():
        if isinstance(error, kind):
            return reason
    if isinstance(error, _NoPixels) or (isinstance(error, OSError) and error.strerror):
        return why(error)
    first_line = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    return f"it is damaged, or of a kind that Pillow can't read ({first_line})"
