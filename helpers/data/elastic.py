"""The smooth random field of the study's elastic transform, the same on every processor.

albumentations blurs normal noise with a Gaussian of 60 pixels, 481 taps along each axis. What such
a blur leaves is so smooth that its values at few points determine it. Here it is computed at
16 × 16 Chebyshev points of each component, and interpolated by the polynomial through them: four
products with small fixed matrices. Displacements differ from albumentations' by less than 1e-4
pixels; OpenCV's own maps are rounded to 1/32 pixel. Views of another size than 224 show the same
field, interpolated at their pixels.

The products are exact, so the order of their sums doesn't matter: any library gives the same bits
on any processor. All matrices hold whole numbers in float64, which is exact up to 2^53. Noise and
intermediate results are in units of 2^-24, weights of the blur in units of 2^-27, values of the
polynomials in units of 2^-25. No sum, partial or complete, can exceed 2^53:

- Noise is at most 1 in size. A row of weights is positive and adds up to 1, with a rounding error
  of at most 2^-28 in each of 448 weights: below 1 + 2^-19. Both products that blur therefore stay
  below 2^24 · 2^27 · (1 + 2^-17) < 2^52, and their results below 1 + 2^-17.
- At any pixel the sizes of the polynomials add up to less than 2.8. The first product with them
  stays below 2.8 · 2^24 · 2^25 · (1 + 2^-16) < 2^51, the second below
  2.8² · 2^24 · 2^25 · (1 + 2^-15) < 2^52.
"""

import math
from functools import cache

import numpy as np

from helpers.data.change import SIZE, Draw

SIGMA = 60
"""Of the blur in pixels."""

_REACH = 4 * SIGMA  # where OpenCV cuts the Gaussian off
_POINTS = 16
_NOISE, _WEIGHTS, _POLYNOMIALS = 2.0**24, 2.0**27, 2.0**25


def smooth_noise(draw: Draw, shape: tuple[int, int] = (SIZE, SIZE)) -> np.ndarray:
    """Draw normal noise, divide it by its largest size and blur it: 2 × height × width.

    The two components lie one below the other when they are blurred, so that they mix where they
    meet; beyond the border the last value continues. Both are as in albumentations 2.0.8.
    """
    noise = draw.standard_normal((2 * SIZE, SIZE), dtype=np.float32)
    noise /= max(noise.max(), -noise.min())
    whole = np.multiply(noise, _NOISE, dtype=np.float64)
    down, across = _blurs()
    rows, columns = map(_polynomials, shape)
    blurred = _divided(np.rint(whole, out=whole) @ across.T, _WEIGHTS)
    blurred = _divided(down @ blurred, _WEIGHTS).reshape(2, _POINTS, _POINTS)
    smooth = _divided(rows @ blurred, _POLYNOMIALS) @ columns.T
    smooth /= _NOISE * _POLYNOMIALS
    return smooth


def _divided(product: np.ndarray, unit: float) -> np.ndarray:
    """Return a product in units of the noise, in whole numbers again."""
    return np.rint(product / unit)


@cache
def _blurs() -> tuple[np.ndarray, np.ndarray]:
    """Make the matrices that blur down to the points, and across."""
    points = _points()
    both = [*points, *(SIZE + point for point in points)]
    return _blur(both, 2 * SIZE), _blur(points, SIZE)


def _points() -> list[int]:
    """Return the pixels that are next to the Chebyshev points."""
    half = (SIZE - 1) / 2
    angles = (math.pi * number / (_POINTS - 1) for number in range(_POINTS))
    return [round(half - half * math.cos(angle)) for angle in angles]


def _blur(points: list[int], length: int) -> np.ndarray:
    """Return the weights with which a blurred value at each point sums the values of a line."""
    steps = np.arange(-_REACH, _REACH + 1)
    # In whole numbers, for the last digit of exp is not the same everywhere; sums are exact.
    gaussian = np.rint(2.0**30 * np.exp(-((steps / SIGMA) ** 2) / 2))
    sums = [
        np.bincount(np.clip(point + steps, 0, length - 1), gaussian, length) for point in points
    ]
    return np.rint(np.array(sums) / gaussian.sum() * _WEIGHTS)


@cache
def _polynomials(length: int) -> np.ndarray:
    """Return, for each pixel of a side, the polynomials that are 1 at one point, 0 at others."""
    points = _points()
    others = [[other for other in points if other != point] for point in points]
    # Twice as many units as the side has pixels make a place a whole number; edges are repeated.
    unit, last = 2 * length, SIZE - 1
    places = (SIZE * (2 * pixel + 1) - length for pixel in range(length))
    places = [min(max(place, 0), last * unit) for place in places]
    # Python divides whole numbers of any length with a single rounding.
    values = [
        [
            math.prod(place - other * unit for other in of)
            / math.prod((point - other) * unit for other in of)
            for point, of in zip(points, others, strict=True)
        ]
        for place in places
    ]
    return np.rint(np.array(values) * _POLYNOMIALS)
