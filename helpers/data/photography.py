"""What a camera or the web does to photographs, as rows of the table of changes.

None of it is meant as damage: files are compressed, pictures are made smaller for a page, a camera
chooses exposure and white balance. Severity 1 is what one sees every day, 5 what one notices.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from PIL.Image import Resampling

from helpers.data.change import OF_PIXELS, SCALED, Change, Draw, enlargement
from helpers.data.opencv import cv2
from helpers.data.pixels import grey, jpeg, levels, reduced, unit

GAMMA = 2.2


def _jpeg(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    return jpeg(pixels, max(5, round(95 - 18 * severity)))


def _reduced_by(kernel: Resampling) -> Callable[[np.ndarray, float, Draw], np.ndarray]:
    def smaller(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
        return reduced(pixels, 1 / (1 + severity / 2), kernel)

    return smaller


def _in_light(pixels: np.ndarray, gains: list[float]) -> np.ndarray:
    """Multiply the light of red, green and blue; levels are its power of 1 / `GAMMA`."""
    # By Python's pow, level for level: NumPy's depends on the processor.
    tables = [[255 * (gain ** (1 / GAMMA)) * level / 255 for level in range(256)] for gain in gains]
    tables = np.rint(np.clip(tables, 0, 255)).astype(np.uint8)
    return np.stack([tables[colour][pixels[..., colour]] for colour in range(3)], axis=-1)


def _exposure(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    stops = math.copysign(severity / 2, rng.uniform(-1, 1))
    return _in_light(pixels, [2.0**stops] * 3)


def _white_balance(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    stops = math.copysign(severity / 5, rng.uniform(-1, 1))
    return _in_light(pixels, [2.0**stops, 1.0, 2.0**-stops])


def _grain(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    drawn = rng.standard_normal(pixels.shape[:2]).astype(np.float32)
    grains = cv2.GaussianBlur(drawn, (0, 0), 0.7)[..., None]
    original = unit(pixels)
    # Film is grainiest in middle tones.
    light = grey(original)[..., None]
    return levels(original + 0.3 * severity * grains * light * (1 - light))


def _sharpening(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    original = unit(pixels)
    blurred = cv2.GaussianBlur(original, (0, 0), 1.5 * enlargement(pixels))
    return levels(original + severity * (original - blurred))


def _cropping(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    sides = pixels.shape[:2]
    kept = [round(side * (1 - 0.1 * severity)) for side in sides]
    starts = (
        int(d * (side - own + 1)) for d, side, own in zip(rng.random(2), sides, kept, strict=True)
    )
    rows, columns = (slice(first, first + own) for first, own in zip(starts, kept, strict=True))
    window = np.ascontiguousarray(pixels[rows, columns])
    return cv2.resize(window, sides[::-1], interpolation=cv2.INTER_LINEAR)


_SMALLER = "made smaller and enlarged again, by"
_SIDE = "side divided by 1 + severity / 2"

_ROWS = (
    Change(
        "jpeg",
        "JPEG quality",
        _jpeg,
        "written as JPEG of quality 77 and read",
        "quality: 95 less 18 × severity, at least 5",
        at_other_sizes=OF_PIXELS,
    ),
    Change(
        "resize_nearest",
        "Resize: nearest",
        _reduced_by(Resampling.NEAREST),
        f"{_SMALLER} the nearest pixel",
        _SIDE,
    ),
    Change(
        "resize_bilinear",
        "Resize: bilinear",
        _reduced_by(Resampling.BILINEAR),
        f"{_SMALLER} a triangle",
        _SIDE,
    ),
    Change(
        "resize_lanczos",
        "Resize: Lanczos",
        _reduced_by(Resampling.LANCZOS),
        f"{_SMALLER} Lanczos' kernel of three lobes",
        _SIDE,
    ),
    Change(
        "exposure",
        "Exposure",
        _exposure,
        "light half a stop more or less",
        "stops",
    ),
    Change(
        "white_balance",
        "White balance",
        _white_balance,
        "red a fifth of a stop up and blue down, or the other way round",
        "stops",
    ),
    Change(
        "grain",
        "Grain",
        _grain,
        "of film, the same in all colours, most in middle tones",
        "its contrast",
        at_other_sizes=OF_PIXELS,
    ),
    Change(
        "sharpening",
        "Sharpening",
        _sharpening,
        "unsharp mask of sigma 1.5 pixels, amount 1",
        "the amount",
        at_other_sizes=SCALED,
    ),
    Change(
        "cropping",
        "Cropping",
        _cropping,
        "a window of 90 % of the side somewhere, enlarged",
        "the part of the side that is cut off",
    ),
)

PHOTOGRAPHY: Mapping[str, Change] = {row.name: row for row in _ROWS}
"""Changes of cameras and the web by name."""
