"""The nine augmentations of the embedding-shift study, and the views that they make of an image."""

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from numbers import Real
from types import MappingProxyType

# albumentations asks a server for newer versions when it is imported, and warns without one.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2
import numpy as np
from albumentations.augmentations.geometric import functional as geometric

from helpers.checks import WorkbookError

SIZE = 224
"""Height and width of every view in pixels: what CLIP reads."""

MAX_SEVERITY = 5.0
"""The largest severity: there the factors of brightness and contrast reach down to 0."""

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


class _CommonRandom(random.Random):
    """Python's generator, with integers that grow with their range.

    The library draws integers by rejection, which spends other bits for other ranges; by inversion
    the same state gives the same quantile of every range, so that one draw is shared by all
    severities.
    """

    def randint(self, a: int, b: int) -> int:
        return a + int((b - a + 1) * self.random())


@dataclass(frozen=True)
class Augmentation:
    """One row of the table of augmentations.

    Attributes
    ----------
    name : str
        The view's name, in arrays and tables.
    label : str
        Its name in figures.
    parameters : str
        The study's parameters (Dahal et al. 2025, Algorithm 1; where it is silent, the defaults of
        albumentations 2.0.8).
    scaled : str
        What severity multiplies, and where that ends.
    transform : callable
        From a severity above 0 to a new albumentations transform that always applies.
    """

    name: str
    label: str
    parameters: str
    scaled: str
    transform: Callable[[float], A.BasicTransform]


def _noise(severity: float) -> A.GaussNoise:
    return A.GaussNoise(std_range=(min(0.44 * severity, 1), min(0.88 * severity, 1)), p=1)


def _blur(severity: float) -> A.GaussianBlur:
    sizes = (max(1, round(3 * severity)), max(1, round(7 * severity)))
    return A.GaussianBlur(blur_limit=sizes, sigma_limit=(0.5 * severity, 3 * severity), p=1)


def _color_jitter(severity: float) -> A.ColorJitter:
    limit = 0.2 * severity
    hue = min(limit, _HALF_TURN_OF_HUE)
    return A.ColorJitter(brightness=limit, contrast=limit, saturation=limit, hue=hue, p=1)


def _shift_scale_rotate(severity: float) -> A.Affine:
    # ShiftScaleRotate is this transform under a deprecated name, which warns at each construction.
    shift, scale, angle = 0.0625 * severity, 0.1 * severity, 15 * severity
    return A.Affine(
        translate_percent={"x": (-shift, shift), "y": (-shift, shift)},
        scale=(1 - scale, 1 + scale),
        rotate=(-angle, angle),
        p=1,
    )


def _horizontal_flip(severity: float) -> A.HorizontalFlip:
    return A.HorizontalFlip(p=1)


def _elastic(severity: float) -> A.ElasticTransform:
    return A.ElasticTransform(alpha=30 * severity, sigma=60, p=1)


def _perspective(severity: float) -> A.Perspective:
    return _Perspective(severity, scale=(0.05, 0.1), p=1)


def _random_brightness_contrast(severity: float) -> A.RandomBrightnessContrast:
    limit = 0.2 * severity
    return A.RandomBrightnessContrast(brightness_limit=limit, contrast_limit=limit, p=1)


def _coarse_dropout(severity: float) -> A.CoarseDropout:
    side = max(1, round(16 * severity**0.5))
    return A.CoarseDropout(
        num_holes_range=(6, 8),
        hole_height_range=(side, side),
        hole_width_range=(side, side),
        fill="random",
        p=1,
    )


_ROWS = (
    Augmentation(
        "noise",
        "Noise",
        "Gaussian, standard deviation 0.44–0.88 of full scale",
        "the standard deviation, up to full scale",
        _noise,
    ),
    Augmentation(
        "blur",
        "Blur",
        "Gaussian, sigma 0.5–3 pixels, kernel 3–7 pixels",
        "sigma and the size of the kernel",
        _blur,
    ),
    Augmentation(
        "color_jitter",
        "Colour jitter",
        "factors of brightness, contrast, saturation 0.8–1.2, hue ± 0.2 turns, in random order",
        "the four limits; hue up to half a turn",
        _color_jitter,
    ),
    Augmentation(
        "shift_scale_rotate",
        "Shift, scale, rotate",
        "shift ± 6.25 %, scale 0.9–1.1 per axis, rotation ± 15°, black outside",
        "the three limits",
        _shift_scale_rotate,
    ),
    Augmentation(
        "horizontal_flip",
        "Horizontal flip",
        "left and right exchanged",
        "nothing: every severity above 0 flips",
        _horizontal_flip,
    ),
    Augmentation(
        "elastic",
        "Elastic",
        "displacement field alpha 30, sigma 60 pixels, black outside",
        "alpha, hence every displacement",
        _elastic,
    ),
    Augmentation(
        "perspective",
        "Perspective",
        "corners moved in by |N(0, 0.05–0.1)| of the side, what they enclose enlarged twice",
        "each corner's way, up to 0.32 of the side",
        _perspective,
    ),
    Augmentation(
        "random_brightness_contrast",
        "Brightness, contrast",
        "contrast factor 0.8–1.2, brightness ± 0.2 of full scale",
        "both limits",
        _random_brightness_contrast,
    ),
    Augmentation(
        "coarse_dropout",
        "Coarse dropout",
        "6–8 squares of 16 × 16 pixels filled with random colours",
        "the squares' area, hence the share of pixels lost",
        _coarse_dropout,
    ),
)

AUGMENTATIONS: Mapping[str, Augmentation] = MappingProxyType({row.name: row for row in _ROWS})
"""The nine augmentations by name, in the order of all arrays and figures."""

VIEWS: tuple[str, ...] = ("original", *AUGMENTATIONS)
"""The names of all views: the original, then the augmentations."""


def views(
    pixels: np.ndarray, image_id: str, seed: int = 0, severity: float = 1.0
) -> dict[str, np.ndarray]:
    """Draw the original and the nine augmented views of an image.

    The image is resized to 224 × 224 without keeping its aspect ratio (bilinear, the default of
    albumentations' `Resize`, as in the study); each augmentation is then applied to the resized
    image.

    A view's random draw depends on the seed, the image's id and the view's name alone, so its
    pixels are the same in any batch, order, thread and process. The draw is shared by all
    severities, which only scale it (common random numbers): a shift grows in its own direction.
    Severity 0 changes nothing at all. A flip has no magnitude: a blend of an image and its mirror
    image is a double exposure and no weaker flip, so every severity above 0 flips.

    Parameters
    ----------
    pixels : ndarray of uint8, height × width × 3
        The image, RGB.
    image_id : str
        The image's id.
    seed : int
        Of all random draws.
    severity : float
        From 0 to `MAX_SEVERITY`; 1 gives the study's parameters. What it multiplies is said in
        each row's `scaled`.

    Returns
    -------
    dict of str to ndarray of uint8, 224 × 224 × 3
        By name, in the order of `VIEWS`.

    Raises
    ------
    WorkbookError
        If the pixels, the seed or the severity are invalid, or a transform fails.
    """
    _check(pixels, image_id, seed, severity)
    original = cv2.resize(pixels, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    return {"original": original} | {
        row.name: _augment(original, row, image_id, seed, severity)
        for row in AUGMENTATIONS.values()
    }


def _augment(
    original: np.ndarray, row: Augmentation, image_id: str, seed: int, severity: float
) -> np.ndarray:
    """Draw one augmented view; each call owns its transform, so that threads don't share one."""
    if severity == 0:
        return original.copy()
    state = _state(seed, image_id, row.name)
    try:
        transform = row.transform(severity)
        transform.set_random_state(np.random.default_rng(state), _CommonRandom(state))
        return transform(image=original)["image"]
    # Whatever a library may raise, no view may be missing or replaced without a word.
    except Exception as error:
        raise WorkbookError(
            f"View {row.name!r} of image {image_id!r} at severity {severity:g} can't be drawn: "
            f"{error}."
        ) from error


def _state(seed: int, image_id: str, name: str) -> int:
    """Hash what a draw depends on; Python's own hash differs between processes."""
    text = f"{int(seed)}\0{image_id}\0{name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=16).digest(), "big")


def _check(pixels: np.ndarray, image_id: str, seed: int, severity: float) -> None:
    """Check the arguments of `views`."""
    array = np.asarray(pixels)
    if array.dtype != np.uint8 or array.shape[2:] != (3,) or array.size == 0:
        raise WorkbookError(
            f"Image {image_id!r} has pixels of type {array.dtype} and shape {array.shape}; views "
            "takes uint8 of shape (height, width, 3)."
        )
    if not isinstance(seed, (int, np.integer)):
        raise WorkbookError(f"seed has no value {seed!r}; choose a whole number.")
    if not isinstance(severity, Real) or not 0 <= severity <= MAX_SEVERITY:
        raise WorkbookError(
            f"severity has no value {severity!r}; choose a number from 0 (no change) over 1 (the "
            f"study's parameters) to {MAX_SEVERITY:g}."
        )
