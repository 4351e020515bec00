"""Where the geometric augmentations take each pixel from, and what they put beyond the image.

A draw that is applied to coordinates in place of colours tells where each pixel of the view comes
from. So nothing here repeats the mathematics of a transform, and a map is that of the view exactly.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from helpers.checks import one_of
from helpers.data.change import SIZE
from helpers.data.changes import redraw
from helpers.data.opencv import cv2

GEOMETRIC = ("shift_scale_rotate", "horizontal_flip", "elastic", "perspective")
"""Augmentations that move pixels and keep their colours."""

BORDERED = ("shift_scale_rotate", "elastic")
"""Those that may show what lies beyond the image; `perspective` only ever enlarges."""

SMALLEST_CROP = 32


def origins(name: str, image_id: str, seed: int = 0, severity: float = 1.0) -> np.ndarray:
    """Tell where each pixel of a view comes from.

    Parameters
    ----------
    name : str
        One of `GEOMETRIC`.
    image_id, seed, severity
        What the draw depends on; see `helpers.data.views`.

    Returns
    -------
    ndarray of float32, 224 × 224 × 2
        Column and row in the resized original, in pixels from 0 to 223; NaN where the pixel lies
        beyond the image.

    Raises
    ------
    WorkbookError
        If the augmentation is not geometric.
    """
    one_of("geometric augmentation", name, GEOMETRIC)
    row, column = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    inside = np.full_like(row, SIZE)
    coordinates = np.stack([column, row, inside], axis=-1) / SIZE
    drawn = redraw(coordinates, name, image_id, seed, severity)
    # Pixels at the edge that are blended with the border count as beyond it.
    known = drawn[..., 2:] > 1 - 1e-4
    return np.where(known, drawn[..., :2] * SIZE, np.nan).astype(np.float32)


def moved_as(maps: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Move a map of the original as a view moved its pixels.

    Parameters
    ----------
    maps : ndarray, 224 × 224 or 224 × 224 × channels
        Pixels, or anything known at each pixel of the original.
    origin : ndarray, 224 × 224 × 2
        As of `origins`.

    Returns
    -------
    ndarray of float32
        As `maps`, interpolated bilinearly; NaN beyond the image.
    """
    column, row = (np.ascontiguousarray(axis) for axis in np.moveaxis(np.nan_to_num(origin), -1, 0))
    moved = cv2.remap(np.asarray(maps, np.float32), column, row, cv2.INTER_LINEAR)
    moved[np.isnan(origin[..., 0])] = np.nan
    return moved


def with_border(
    original: np.ndarray,
    name: str,
    border: str,
    image_id: str,
    seed: int = 0,
    severity: float = 1.0,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Draw a view with another border, and what it is to be compared with.

    Parameters
    ----------
    original : ndarray of uint8, 224 × 224 × 3
        The resized image.
    name : str
        One of `BORDERED`.
    border : str
        One of `BORDERS`: "black" as published; "reflect", the image mirrored at its edge; or
        "crop", original and view cut to the largest square about the centre in which the view has
        no border, and enlarged to 224 × 224.
    image_id, seed, severity
        What the draw depends on, which is the same for all borders; see `helpers.data.views`.

    Returns
    -------
    tuple of ndarray, or None
        Original and view, each 224 × 224 × 3; the same array as `original` where that is not cut.
        None where a crop would leave a square of less than `SMALLEST_CROP` pixels.

    Raises
    ------
    WorkbookError
        If the border or the augmentation is unknown, or the transform fails.
    """
    draw = BORDERS[one_of("border", border, BORDERS)]
    one_of("augmentation with a border", name, BORDERED)
    return draw(original, name, image_id, seed, severity)


def _as_published(original: np.ndarray, *draw: object) -> tuple[np.ndarray, np.ndarray]:
    return original, redraw(original, *draw)


def _reflected(original: np.ndarray, *draw: object) -> tuple[np.ndarray, np.ndarray]:
    return original, redraw(original, *draw, border_mode=cv2.BORDER_REFLECT_101)


def _cropped(original: np.ndarray, *draw: object) -> tuple[np.ndarray, np.ndarray] | None:
    half = _half_without_border(np.isnan(origins(*draw)[..., 0]))
    if 2 * half < SMALLEST_CROP:
        return None
    window = slice(SIZE // 2 - half, SIZE // 2 + half)
    return tuple(
        cv2.resize(pixels[window, window], (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        for pixels in (original, redraw(original, *draw))
    )


def _half_without_border(beyond: np.ndarray) -> int:
    """Half the side of the largest square about the centre without a pixel beyond the image."""
    rows, columns = np.nonzero(beyond)
    middle = (SIZE - 1) / 2
    distance = np.maximum(np.abs(rows - middle), np.abs(columns - middle))
    return int(min(distance, default=SIZE / 2))


BORDERS: Mapping[str, Callable] = MappingProxyType(
    {"black": _as_published, "reflect": _reflected, "crop": _cropped}
)
"""What lies beyond the image, by name."""
