"""Where the geometric augmentations take each pixel from, and what fills what they don't show.

A draw that is applied to coordinates in place of colours shows where each pixel of the view comes
from. So nothing here repeats the mathematics of a transform, and a map is that of the view exactly.
"""

from collections.abc import Callable, Mapping

import numpy as np

from helpers.checks import one_of
from helpers.data.change import SIZE
from helpers.data.changes import redraw
from helpers.data.opencv import cv2

GEOMETRIC = ("shift_scale_rotate", "horizontal_flip", "elastic", "perspective")
"""Augmentations that move pixels and keep their colours."""

BORDERED = ("shift_scale_rotate", "elastic")
"""Those that may show what lies beyond the image; `perspective` only ever enlarges."""

FILLED = (*BORDERED, "coarse_dropout")
"""Augmentations that put something in place of the image: black, or in dropout's squares noise."""


def origins(
    name: str,
    image_id: str,
    seed: int = 0,
    severity: float = 1.0,
    shape: tuple[int, int] = (SIZE, SIZE),
) -> np.ndarray:
    """Return where each pixel of a view comes from: height × width × 2."""
    one_of("geometric augmentation", name, GEOMETRIC)
    (height, width), side = shape, max(shape)
    row, column = np.mgrid[:height, :width].astype(np.float32)
    inside = np.full_like(row, side)
    coordinates = np.stack([column, row, inside], axis=-1) / side
    drawn = redraw(coordinates, name, image_id, seed, severity)
    # Pixels at the edge that are blended with the border count as beyond it.
    known = drawn[..., 2:] > 1 - 1e-4
    return np.where(known, drawn[..., :2] * side, np.nan).astype(np.float32)


def moved_as(maps: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Move a map of the original as a view moved its pixels."""
    column, row = (np.ascontiguousarray(axis) for axis in np.moveaxis(np.nan_to_num(origin), -1, 0))
    moved = cv2.remap(np.asarray(maps, np.float32), column, row, cv2.INTER_LINEAR)
    moved[np.isnan(origin[..., 0])] = np.nan
    return moved


def refilled(
    original: np.ndarray,
    name: str,
    filling: str,
    image_id: str,
    seed: int = 0,
    severity: float = 1.0,
) -> np.ndarray:
    """Draw a view with one of `FILLINGS` where it shows nothing of the image.

    These are black, the image's mean colour and, beyond an image's edge, the image mirrored there.
    The draw is the same for all of them.
    """
    one_of("augmentation that fills", name, FILLED)
    settings = FILLINGS[one_of("filling", filling, FILLINGS)](original)
    return redraw(original, name, image_id, seed, severity, **settings)


def _mean_colour(original: np.ndarray) -> tuple[int, ...]:
    return tuple(map(int, original.mean(axis=(0, 1)).round()))


FILLINGS: Mapping[str, Callable[[np.ndarray], dict[str, object]]] = {
    "black": lambda original: {"fill": 0},
    "mean": lambda original: {"fill": _mean_colour(original)},
    "reflect": lambda original: {"border_mode": cv2.BORDER_REFLECT_101},
}
"""What may be shown in place of what is beyond the image or cut out of it, by name."""
