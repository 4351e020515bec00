"""The nine augmentations as transforms of albumentations, at any severity."""

import os
import random
from collections.abc import Callable, Mapping
from copy import copy
from functools import lru_cache

# albumentations asks a server for newer versions when it is imported, and warns without one.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import numpy as np
from albumentations.augmentations.geometric import functional as geometric

from helpers.data import elastic
from helpers.data.change import SIZE, Draw, enlargement
from helpers.data.opencv import cv2

# With a corner moved further than a third of the side the four corners may stop being convex, and
# the perspective map divides by zero inside the image. albumentations stays below it too.
_MAX_CORNER_JITTER = 0.32
_HALF_TURN_OF_HUE = 0.5


class _Perspective(A.Perspective):
    """The study's draw of the four corners, with their way into the image multiplied by severity.

    A larger `scale` would not do: albumentations takes corner jitter modulo 0.32, so that beyond
    severity 1 ever more corners would come back to where they started. Here they stop at 0.32
    instead.

    What albumentations 2.0.8 does with the corners is kept, for it is what the study's parameters
    give: with `keep_size` it enlarges the chosen quadrangle to the image's size twice, so that
    more is cut off on the right and below than the corners say.
    """

    def __init__(self, severity: float, scale: tuple[float, float], p: float):
        super().__init__(scale=scale, p=p)
        self.severity = severity

    def get_params_dependent_on_data(self, params: dict, data: dict) -> dict:
        """Draw the corners and return the map that takes them to the corners of the image."""
        height, width = params["shape"][:2]
        size = np.array([width, height])
        corners = size * np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
        scale = self.py_random.uniform(*self.scale)
        drawn = geometric.generate_perspective_points((height, width), scale, self.random_generator)
        limit = _MAX_CORNER_JITTER * size
        points = corners + np.clip(self.severity * (drawn - corners), -limit, limit)
        matrix, max_width, max_height = geometric.compute_perspective_params(
            geometric.order_points(points), (height, width)
        )
        return {"matrix": matrix, "max_width": max_width, "max_height": max_height}


class _Noise(A.GaussNoise):
    """albumentations' transform, a few rows at a time: what fits into a cache needs no memory."""

    _ROWS = 16

    def get_params_dependent_on_data(self, params: dict, data: dict) -> dict:
        """Draw the deviation, from 0 to 1, and the seed of OpenCV's generator."""
        deviation, _ = self.py_random.uniform(*self.std_range), self.py_random.uniform(0, 0)
        return {"deviation": deviation, "seed": int(self.random_generator.integers(0, 2**16))}

    def apply(self, img: np.ndarray, deviation: float, seed: int, **params: object) -> np.ndarray:
        """Add noise in whole levels, rounded towards 0, to an image of uint8."""
        noisy, drawn = np.empty_like(img), np.empty((self._ROWS, *img.shape[1:]))
        mean, deviations = np.zeros(3, np.float32), np.full(3, deviation, np.float32)
        cv2.setRNGSeed(seed)
        for start in range(0, len(img), self._ROWS):
            rows = slice(start, start + self._ROWS)
            levels = drawn[: len(img[rows])]
            cv2.randn(levels, mean, deviations)
            levels = levels.astype(np.float32)
            levels *= 255
            np.trunc(levels, out=levels)
            levels += img[rows]
            noisy[rows] = np.clip(levels, 0, 255, out=levels)
        return noisy


class _Elastic(A.ElasticTransform):
    """albumentations' transform with its displacements from `helpers.data.elastic`."""

    def get_params_dependent_on_data(self, params: dict, data: dict) -> dict:
        """Draw the displacements and return where each pixel comes from."""
        height, width = params["shape"][:2]
        places = elastic.smooth_noise(self.random_generator, (height, width))
        places[0] *= self.alpha * (width / SIZE)
        places[1] *= self.alpha * (height / SIZE)
        places[0] += np.arange(width)
        places[1] += np.arange(height)[:, None]
        map_x, map_y = places.astype(np.float32)
        return {"map_x": map_x, "map_y": map_y}


class CommonRandom(random.Random):
    """Python's generator, with integers that grow with their range.

    The library draws integers by rejection, which spends other bits for other ranges; by inversion
    the same state gives the same quantile of every range, so that one draw is shared by all
    severities.
    """

    def randint(self, a: int, b: int) -> int:
        """Return a whole number from a to b."""
        return a + int((b - a + 1) * self.random())


def _noise(severity: float, scale: float = 1.0) -> A.GaussNoise:
    return _Noise(std_range=(min(0.44 * severity, 1), min(0.88 * severity, 1)), p=1)


def _blur(severity: float, scale: float = 1.0) -> A.GaussianBlur:
    times = severity * scale
    sizes = (max(1, round(3 * times)), max(1, round(7 * times)))
    return A.GaussianBlur(blur_limit=sizes, sigma_limit=(0.5 * times, 3 * times), p=1)


def _color_jitter(severity: float, scale: float = 1.0) -> A.ColorJitter:
    limit = 0.2 * severity
    hue = min(limit, _HALF_TURN_OF_HUE)
    return A.ColorJitter(brightness=limit, contrast=limit, saturation=limit, hue=hue, p=1)


def _shift_scale_rotate(severity: float, scale: float = 1.0) -> A.Affine:
    # ShiftScaleRotate is this transform under a deprecated name, which warns at each construction.
    shift, scale, angle = 0.0625 * severity, 0.1 * severity, 15 * severity
    return A.Affine(
        translate_percent={"x": (-shift, shift), "y": (-shift, shift)},
        scale=(1 - scale, 1 + scale),
        rotate=(-angle, angle),
        p=1,
    )


def _horizontal_flip(severity: float, scale: float = 1.0) -> A.HorizontalFlip:
    return A.HorizontalFlip(p=1)


def _elastic(severity: float, scale: float = 1.0) -> A.ElasticTransform:
    return _Elastic(alpha=30 * severity, sigma=elastic.SIGMA, p=1)


def _perspective(severity: float, scale: float = 1.0) -> A.Perspective:
    return _Perspective(severity, scale=(0.05, 0.1), p=1)


def _random_brightness_contrast(severity: float, scale: float = 1.0) -> A.RandomBrightnessContrast:
    limit = 0.2 * severity
    return A.RandomBrightnessContrast(brightness_limit=limit, contrast_limit=limit, p=1)


def _coarse_dropout(severity: float, scale: float = 1.0) -> A.CoarseDropout:
    side = max(1, round(16 * severity**0.5 * scale))
    return A.CoarseDropout(
        num_holes_range=(6, 8),
        hole_height_range=(side, side),
        hole_width_range=(side, side),
        fill="random",
        p=1,
    )


TRANSFORMS: Mapping[str, Callable[..., A.BasicTransform]] = {
    "noise": _noise,
    "blur": _blur,
    "color_jitter": _color_jitter,
    "shift_scale_rotate": _shift_scale_rotate,
    "horizontal_flip": _horizontal_flip,
    "elastic": _elastic,
    "perspective": _perspective,
    "random_brightness_contrast": _random_brightness_contrast,
    "coarse_dropout": _coarse_dropout,
}
"""By name: from a severity above 0, and a factor of lengths, to a transform that always applies."""


def transformed(
    name: str, pixels: np.ndarray, severity: float, draw: Draw, **settings: object
) -> np.ndarray:
    """Apply an augmentation of the study."""
    # Each call owns its transform, so that threads don't share one.
    transform = copy(_checked(name, severity, enlargement(pixels)))
    for attribute, value in settings.items():
        setattr(transform, attribute, value)
    transform.set_random_state(draw, CommonRandom(draw.key))
    # What calling the transform comes to, but for its book-keeping.
    parameters = {"shape": pixels.shape, **transform.get_params()}
    parameters |= transform.get_params_dependent_on_data(parameters, {"image": pixels})
    return np.ascontiguousarray(transform.apply(pixels, **parameters))


@lru_cache(maxsize=256)
def _checked(name: str, severity: float, scale: float) -> A.BasicTransform:
    """Make a transform once, for albumentations' check of its arguments takes longer than some."""
    return TRANSFORMS[name](severity, scale)
