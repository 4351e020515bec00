"""The nine augmentations of the embedding-shift study, and the views that they make of an image."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from helpers.checks import WorkbookError
from helpers.data.opencv import cv2

if TYPE_CHECKING:
    import albumentations as A

SIZE = 224
"""Height and width of every view in pixels: what CLIP reads."""

MAX_SEVERITY = 5.0
"""The largest severity: there the factors of brightness and contrast reach down to 0."""


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
    """

    name: str
    label: str
    parameters: str
    scaled: str

    def transform(self, severity: float) -> "A.BasicTransform":
        """Return a new albumentations transform, for a severity above 0, that always applies."""
        # albumentations imports torch, which takes seconds; tables and figures need no transform.
        from helpers.data.transforms import TRANSFORMS

        return TRANSFORMS[self.name](severity)


_ROWS = (
    Augmentation(
        "noise",
        "Noise",
        "Gaussian, standard deviation 0.44–0.88 of full scale",
        "the standard deviation, up to full scale",
    ),
    Augmentation(
        "blur",
        "Blur",
        "Gaussian, sigma 0.5–3 pixels, kernel 3–7 pixels",
        "sigma and the size of the kernel",
    ),
    Augmentation(
        "color_jitter",
        "Colour jitter",
        "factors of brightness, contrast, saturation 0.8–1.2, hue ± 0.2 turns, in random order",
        "the four limits; hue up to half a turn",
    ),
    Augmentation(
        "shift_scale_rotate",
        "Shift-scale-rotate",
        "shift ± 6.25 %, scale 0.9–1.1 per axis, rotation ± 15°, black outside",
        "the three limits",
    ),
    Augmentation(
        "horizontal_flip",
        "Horizontal flip",
        "left and right exchanged",
        "nothing: every severity above 0 flips",
    ),
    Augmentation(
        "elastic",
        "Elastic",
        "displacement field alpha 30, sigma 60 pixels, black outside",
        "alpha, hence every displacement",
    ),
    Augmentation(
        "perspective",
        "Perspective",
        "corners moved in by |N(0, 0.05–0.1)| of the side, what they enclose enlarged twice",
        "each corner's way, up to 0.32 of the side",
    ),
    Augmentation(
        "random_brightness_contrast",
        "Brightness-contrast",
        "contrast factor 0.8–1.2, brightness ± 0.2 of full scale",
        "both limits",
    ),
    Augmentation(
        "coarse_dropout",
        "Coarse dropout",
        "6–8 squares of 16 × 16 pixels filled with random colours",
        "the squares' area, hence the share of pixels lost",
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
        name: redraw(original, name, image_id, seed, severity) for name in AUGMENTATIONS
    }


def redraw(
    pixels: np.ndarray,
    name: str,
    image_id: str,
    seed: int = 0,
    severity: float = 1.0,
    **settings: object,
) -> np.ndarray:
    """Apply the draw of an image's view to other pixels, or with another setting.

    Parameters
    ----------
    pixels : ndarray of uint8 or float32, 224 × 224 × channels
        What to transform in place of the resized image; float32 from 0 to 1.
    name : str
        One of `AUGMENTATIONS`.
    image_id, seed, severity
        What the draw depends on; see `views`.
    **settings
        Attributes of the albumentations transform that are to differ, such as its `border_mode`.
        None of them may take part in the draw.

    Returns
    -------
    ndarray
        As `pixels`.

    Raises
    ------
    WorkbookError
        If the transform fails.
    """
    if severity == 0:
        return pixels.copy()
    from helpers.data.transforms import CommonRandom

    state = _state(seed, image_id, name)
    try:
        # Each call owns its transform, so that threads don't share one.
        transform = AUGMENTATIONS[name].transform(severity)
        for attribute, value in settings.items():
            setattr(transform, attribute, value)
        transform.set_random_state(np.random.default_rng(state), CommonRandom(state))
        return transform(image=pixels)["image"]
    # Whatever a library may raise, no view may be missing or replaced without a word.
    except Exception as error:
        raise WorkbookError(
            f"View {name!r} of image {image_id!r} at severity {severity:g} can't be drawn: {error}."
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
