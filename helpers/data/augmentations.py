"""The nine augmentations of the embedding-shift study, as rows of the table of changes."""

import numpy as np

from helpers.data.change import OF_PIXELS, SCALED, Change, Draw, row_of

AUGMENTATIONS: dict[str, Change] = {}
"""The nine augmentations by name, in the order of all arrays and figures."""


def _augmentation(name: str, parameters: str, *columns: str, **more: str) -> None:
    def augmented(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
        # albumentations imports torch, which takes seconds; tables and figures need no transform.
        from helpers.data.transforms import transformed

        return transformed(name, pixels, severity, rng)

    augmented.__name__ = name
    AUGMENTATIONS[name] = row_of(augmented, parameters, *columns, **more)


# The study's parameters are those of Dahal et al. 2025, Algorithm 1; where it is silent, the
# defaults of albumentations 2.0.8.
_augmentation(
    "noise",
    "Gaussian, standard deviation 0.44–0.88 of full scale",
    "the standard deviation, up to full scale",
    OF_PIXELS,
)
_augmentation(
    "blur",
    "Gaussian, sigma 0.5–3 pixels, kernel 3–7 pixels",
    "sigma and the size of the kernel",
    SCALED,
)
_augmentation(
    "color_jitter",
    "factors of brightness, contrast, saturation 0.8–1.2, hue ± 0.2 turns, in random order",
    "the four limits; hue up to half a turn",
    label="Colour jitter",
)
_augmentation(
    "shift_scale_rotate",
    "shift ± 6.25 %, scale 0.9–1.1 per axis, rotation ± 15°, black outside",
    "the three limits",
    label="Shift-scale-rotate",
)
_augmentation(
    "horizontal_flip", "left and right exchanged", "nothing: every severity above 0 flips"
)
_augmentation(
    "elastic",
    "displacement field alpha 30, sigma 60 pixels, black outside",
    "alpha, hence every displacement",
    SCALED,
)
_augmentation(
    "perspective",
    "corners moved in by |N(0, 0.05–0.1)| of the side, what they enclose enlarged twice",
    "each corner's way, up to 0.32 of the side",
)
_augmentation(
    "random_brightness_contrast",
    "contrast factor 0.8–1.2, brightness ± 0.2 of full scale",
    "both limits",
    label="Brightness-contrast",
)
_augmentation(
    "coarse_dropout",
    "6–8 squares of 16 × 16 pixels filled with random colours",
    "the squares' area, hence the share of pixels lost",
    SCALED,
)
