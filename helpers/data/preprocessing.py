"""From an image of any size to the pixels that a model reads: the study's way, and models' own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL.Image import Resampling

from helpers.checks import one_of
from helpers.data.change import SIZE
from helpers.data.opencv import cv2
from helpers.data.pixels import resized

Shape = tuple[int, int]


@dataclass(frozen=True)
class Preprocessing:
    """How images are brought to the size of views.

    Attributes
    ----------
    size : tuple of int
        Height and width of the views in pixels.
    mode : str
        One of `MODES`.
    interpolation : str
        One of `INTERPOLATIONS`.
    edge : int or None
        Of the mode ``shortest``, the length of the shorter side before the crop; None is that of
        the view, so that nothing is cropped from it.

    Raises
    ------
    WorkbookError
        If the mode or the interpolation is unknown.
    """

    size: Shape
    mode: str
    interpolation: str
    edge: int | None = None

    def __post_init__(self):
        one_of("resize mode", self.mode, MODES)
        one_of("interpolation", self.interpolation, INTERPOLATIONS)
        object.__setattr__(self, "size", tuple(self.size))  # a list where JSON was read

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Bring an image to the size of views: `size` × 3."""
        return MODES[self.mode](pixels, self)

    def __str__(self) -> str:
        height, width = self.size
        return f"{_IN_WORDS[self.mode]} {height} × {width}, {self.interpolation}"


def _squashed(pixels: np.ndarray, to: Preprocessing) -> np.ndarray:
    return INTERPOLATIONS[to.interpolation](pixels, to.size)


def _cropped(pixels: np.ndarray, to: Preprocessing) -> np.ndarray:
    """Resize by the side that needs it most, and cut the centre out, as torchvision does."""
    sides, size = pixels.shape[:2], to.size
    wanted, scaled = max(zip(size, sides, strict=True), key=lambda pair: pair[0] / pair[1])
    wanted = to.edge or wanted
    # Rounded down as torchvision does, but never below what is cut out.
    shape = tuple(max(side * wanted // scaled, cut) for side, cut in zip(sides, size, strict=True))
    whole = INTERPOLATIONS[to.interpolation](pixels, shape)
    starts = (round((side - cut) / 2) for side, cut in zip(shape, size, strict=True))
    rows, columns = (slice(start, start + cut) for start, cut in zip(starts, size, strict=True))
    return np.ascontiguousarray(whole[rows, columns])


def _padded(pixels: np.ndarray, to: Preprocessing) -> np.ndarray:
    """Resize the whole image into the view, in black bars, as open_clip does."""
    sides, size = pixels.shape[:2], to.size
    factor = min(wanted / side for wanted, side in zip(size, sides, strict=True))
    shape = tuple(max(1, round(side * factor)) for side in sides)
    view = np.zeros((*size, 3), np.uint8)
    starts = ((wanted - side) // 2 for wanted, side in zip(size, shape, strict=True))
    rows, columns = (slice(start, start + side) for start, side in zip(starts, shape, strict=True))
    view[rows, columns] = INTERPOLATIONS[to.interpolation](pixels, shape)
    return view


def _by_opencv(pixels: np.ndarray, shape: Shape) -> np.ndarray:
    return cv2.resize(pixels, shape[::-1], interpolation=cv2.INTER_LINEAR)


MODES: Mapping[str, Callable[[np.ndarray, Preprocessing], np.ndarray]] = {
    "squash": _squashed,
    "shortest": _cropped,
    "longest": _padded,
}
"""What becomes of an image that isn't as wide as the view: open_clip's names."""

_IN_WORDS = {
    "squash": "squashed to",
    "shortest": "resized and cropped to the central",
    "longest": "resized, with bars around them, to",
}

NOT_ANTIALIASED = "bilinear without antialiasing"
INTERPOLATIONS: Mapping[str, Callable[[np.ndarray, Shape], np.ndarray]] = {
    "nearest": partial(resized, kernel=Resampling.NEAREST),
    "bilinear": partial(resized, kernel=Resampling.BILINEAR),
    "bicubic": partial(resized, kernel=Resampling.BICUBIC),
    "lanczos": partial(resized, kernel=Resampling.LANCZOS),
    NOT_ANTIALIASED: _by_opencv,
}
"""How pixels are interpolated: Pillow's kernels, which widen to reduce an image, and OpenCV's."""

STUDY_PREPROCESSING = Preprocessing((SIZE, SIZE), "squash", NOT_ANTIALIASED)
"""The published study's: the default of albumentations' `Resize`."""
