"""What a camera or the web does to photographs, as rows of the table of changes.

None of it is meant as damage: files are compressed, pictures are made smaller for a page, a camera
chooses exposure and white balance. Severity 1 is what one sees every day, 5 what one notices.
"""

import math
from functools import partial

import numpy as np
from PIL.Image import Resampling

from helpers.data.change import OF_PIXELS, SCALED, Change, Draw, change_in, enlargement
from helpers.data.opencv import cv2
from helpers.data.pixels import grey, levels, reduced, unit
from helpers.data.pixels import jpeg as compressed

GAMMA = 2.2

PHOTOGRAPHY: dict[str, Change] = {}
"""Changes of cameras and the web by name."""

_SIDE = "side divided by 1 + severity / 2"
_photography = partial(change_in, PHOTOGRAPHY)


@_photography("quality: 95 less 18 × severity, at least 5", OF_PIXELS, label="JPEG quality")
def jpeg(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Written as JPEG of quality 77 and read."""
    return compressed(pixels, max(5, round(95 - 18 * severity)))


def _smaller(pixels: np.ndarray, severity: float, kernel: Resampling) -> np.ndarray:
    return reduced(pixels, 1 / (1 + severity / 2), kernel)


@_photography(_SIDE, label="Resize: nearest")
def resize_nearest(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Made smaller and enlarged again, by the nearest pixel."""
    return _smaller(pixels, severity, Resampling.NEAREST)


@_photography(_SIDE, label="Resize: bilinear")
def resize_bilinear(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Made smaller and enlarged again, by a triangle."""
    return _smaller(pixels, severity, Resampling.BILINEAR)


@_photography(_SIDE, label="Resize: Lanczos")
def resize_lanczos(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Made smaller and enlarged again, by Lanczos' kernel of three lobes."""
    return _smaller(pixels, severity, Resampling.LANCZOS)


def _in_light(pixels: np.ndarray, gains: list[float]) -> np.ndarray:
    """Multiply the light of red, green and blue; levels are its power of 1 / `GAMMA`."""
    # By Python's pow, level for level: NumPy's depends on the processor.
    tables = [[255 * (gain ** (1 / GAMMA)) * level / 255 for level in range(256)] for gain in gains]
    tables = np.rint(np.clip(tables, 0, 255)).astype(np.uint8)
    return np.stack([tables[colour][pixels[..., colour]] for colour in range(3)], axis=-1)


@_photography("stops")
def exposure(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Light half a stop more or less."""
    stops = math.copysign(severity / 2, rng.uniform(-1, 1))
    return _in_light(pixels, [2.0**stops] * 3)


@_photography("stops")
def white_balance(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Red a fifth of a stop up and blue down, or the other way round."""
    stops = math.copysign(severity / 5, rng.uniform(-1, 1))
    return _in_light(pixels, [2.0**stops, 1.0, 2.0**-stops])


@_photography("its contrast", OF_PIXELS)
def grain(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Of film, the same in all colours, most in middle tones."""
    drawn = rng.standard_normal(pixels.shape[:2]).astype(np.float32)
    grains = cv2.GaussianBlur(drawn, (0, 0), 0.7)[..., None]
    original = unit(pixels)
    # Film is grainiest in middle tones.
    light = grey(original)[..., None]
    return levels(original + 0.3 * severity * grains * light * (1 - light))


@_photography("the amount", SCALED)
def sharpening(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Unsharp mask of sigma 1.5 pixels, amount 1."""
    original = unit(pixels)
    blurred = cv2.GaussianBlur(original, (0, 0), 1.5 * enlargement(pixels))
    return levels(original + severity * (original - blurred))


@_photography("the part of the side that is cut off")
def cropping(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """A window of 90 % of the side somewhere, enlarged."""
    sides = pixels.shape[:2]
    cuts = [round(side * (1 - 0.1 * severity)) for side in sides]
    starts = (
        int(draw * (side - cut + 1))
        for draw, side, cut in zip(rng.random(2), sides, cuts, strict=True)
    )
    rows, columns = (slice(start, start + cut) for start, cut in zip(starts, cuts, strict=True))
    window = np.ascontiguousarray(pixels[rows, columns])
    return cv2.resize(window, sides[::-1], interpolation=cv2.INTER_LINEAR)
