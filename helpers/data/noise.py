"""Random fields and blurs of the corruptions, by arithmetic that every processor does alike."""

import math
from collections.abc import Sequence

import numpy as np

from helpers.data.change import SIZE, Draw
from helpers.data.opencv import cv2

REACH = 12
"""Deviations from a mean beyond which no count has a chance."""


def poisson(uniform: np.ndarray, levels: np.ndarray, means: Sequence[float]) -> np.ndarray:
    """Draw counts by inversion: one uniform draw gives the same quantile of every mean."""
    reach = math.ceil(REACH * math.sqrt(max(means))) + REACH
    first = np.array([max(0, int(mean) - reach) for mean in means])
    counts = first[:, None] + np.arange(2 * reach)
    cumulated = np.array([_cumulated(*pair) for pair in zip(means, counts, strict=True)])
    # One ascending list of all: the level before the point, the probability behind it.
    flat = (np.arange(len(means))[:, None] + cumulated).ravel()
    places = np.searchsorted(flat, levels + uniform, side="right")
    return first[levels] + places - levels.astype(int) * 2 * reach


def _cumulated(mean: float, counts: np.ndarray) -> np.ndarray:
    """Probabilities of at most each of some consecutive counts; the last is 1."""
    # From the likeliest count both ways: the chance of none of many counts is too small a number.
    likeliest = int(mean) - counts[0]
    rising, falling = np.split(counts[1:], [likeliest])
    below = np.cumprod(rising[::-1] / mean)[::-1] if len(rising) else []
    cumulated = np.cumsum([*below, 1.0, *np.cumprod(mean / falling)])
    return cumulated / cumulated[-1]


def enlarged(field: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Resize a field that was drawn for 224 × 224 to a view, bilinearly; there, it stays as it is.

    Of shape height × width.
    """
    height, width = shape[:2]
    same = field.shape == (height, width)
    return field if same else cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR)


def plasma(rng: Draw, decay: float) -> np.ndarray:
    """Draw a fractal cloud by the diamond-square algorithm on a torus: 224 × 224."""
    side = 1 << (SIZE - 1).bit_length()
    cloud, step, wobble = np.zeros((side, side)), side, 100.0
    while step >= 2:
        half, reach = step // 2, wobble * wobble
        corners = cloud[::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=0)
        middles = (pairs + np.roll(pairs, -1, axis=1)) / 4
        cloud[half::step, half::step] = middles + reach * rng.uniform(-1, 1, middles.shape)
        middles = cloud[half::step, half::step]
        for axis, target in ((0, np.s_[::step, half::step]), (1, np.s_[half::step, ::step])):
            around = middles + np.roll(middles, 1, axis=axis)
            around = around + corners + np.roll(corners, -1, axis=1 - axis)
            cloud[target] = around / 4 + reach * rng.uniform(-1, 1, around.shape)
        step, wobble = half, wobble / decay
    cloud -= cloud.min()
    return (cloud / cloud.max())[:SIZE, :SIZE]


def motion_blurred(values: np.ndarray, radius: float, sigma: float, angle: float) -> np.ndarray:
    """Blur along a line to one side, with normal weights, as ImageMagick's motion blur does."""
    taps = 2 * math.ceil(radius) + 1
    weights = [math.exp(-((tap / sigma) ** 2) / 2) if tap else 1.0 for tap in range(taps)]
    kernel = np.zeros((2 * taps + 1, 2 * taps + 1), np.float32)
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    for tap, weight in enumerate(weights):
        row, column = math.ceil(tap * sine - 0.5), math.ceil(tap * cosine - 0.5)
        kernel[taps + row, taps + column] += weight / sum(weights)
    return cv2.filter2D(values, -1, kernel, borderType=cv2.BORDER_REPLICATE)


def zoomed(values: np.ndarray, factor: float) -> np.ndarray:
    """Enlarge what a whole number of central pixels shows, bilinearly, and cut to the old size.

    As ImageNet-C does: the outermost pixels stay the outermost ones, so that the enlargement is a
    little less than `factor` and not quite about the centre.
    """
    height, width = values.shape[:2]
    (down, top), (across, left) = (_seen_from(side, factor) for side in (height, width))
    matrix = np.array([[across, 0, left], [0, down, top]])
    look = {"flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, "borderMode": cv2.BORDER_REPLICATE}
    return cv2.warpAffine(values, matrix, (width, height), **look)


def _seen_from(side: int, factor: float) -> tuple[float, float]:
    """Return how far apart the pixels of an enlarged side are in the old one, and the first."""
    seen = math.ceil(side / factor)
    longer = round(seen * factor)
    step = (seen - 1) / (longer - 1)
    return step, (side - seen) // 2 + (longer - side) // 2 * step
