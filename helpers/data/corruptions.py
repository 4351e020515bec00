"""The fifteen corruptions of ImageNet-C, written from their published definitions.

D. Hendrycks and T. Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", ICLR 2019, arXiv 1903.12261: noise, blur, weather and digital corruptions of images
of 224 × 224 pixels at the severities 1 to 5, whose settings are the tables below.

Where the published code departs from the definition, this follows the code, which made the images
that models are compared on. The README of this folder says, corruption by corruption, what differs
from it. In all of them:

- Between two published severities, and below the first, settings are on a straight line, so that
  a response can be measured over severity; the settings at 0 change nothing. The draw at random is
  the same at every severity.
- Random fields are filtered by OpenCV and drawn by inversion of one uniform draw. Nothing uses
  functions whose last digit depends on the processor (`helpers.data.opencv`).
"""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from PIL.Image import Resampling

from helpers.data.change import OF_PIXELS, SCALED, SIZE, Change, Draw, change_in, enlargement
from helpers.data.opencv import cv2
from helpers.data.pixels import grey, jpeg, levels, reduced, unit

GREY_LEVELS = 256

CORRUPTIONS: dict[str, Change] = {}
"""The fifteen corruptions by name, in the published order."""

_corruption = partial(change_in, CORRUPTIONS)


def _at(severity: float, *settings: float) -> float:
    """Interpolate a setting; the first is that of severity 0, which changes nothing."""
    return float(np.interp(severity, range(len(settings)), settings))


def _unit(pixels: np.ndarray) -> np.ndarray:
    return pixels / 255.0


def _levels(values: np.ndarray) -> np.ndarray:
    """Return values from 0 to 1, clipped, as grey levels; the published code cuts decimals off."""
    return (np.clip(values, 0, 1) * 255).astype(np.uint8)


@_corruption("standard deviation 0.08, 0.12, 0.18, 0.26, 0.38 of full scale", OF_PIXELS)
def gaussian_noise(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Normal noise on every colour of every pixel (ImageNet-C)."""
    scale = _at(severity, 0, 0.08, 0.12, 0.18, 0.26, 0.38)
    return _levels(_unit(pixels) + scale * rng.standard_normal(pixels.shape))


@_corruption("60, 25, 12, 5, 3 photons for white", OF_PIXELS)
def shot_noise(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Poisson noise of counted photons (ImageNet-C)."""
    # The number of photons of white; its reciprocal, the variance, grows evenly from 0.
    photons = 1 / _at(severity, 0, 1 / 60, 1 / 25, 1 / 12, 1 / 5, 1 / 3)
    means = [level / 255 * photons for level in range(GREY_LEVELS)]
    return _levels(poisson(rng.random(pixels.shape), pixels, means) / photons)


@_corruption("3, 6, 9, 17, 27 % of them", OF_PIXELS)
def impulse_noise(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Colours set to 0 or 255 (ImageNet-C)."""
    amount = _at(severity, 0, 0.03, 0.06, 0.09, 0.17, 0.27)
    hit, salt = rng.random(pixels.shape) < amount, rng.random(pixels.shape) < 0.5
    return np.where(hit, np.where(salt, 255, 0), pixels).astype(np.uint8)


@_corruption("radius 3, 4, 6, 8, 10 pixels", SCALED)
def defocus_blur(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """A disk (ImageNet-C)."""
    radius = _at(severity, 0, 3, 4, 6, 8, 10)
    alias = _at(severity, 0.1, 0.1, 0.5, 0.5, 0.5, 0.5)
    size = 3 if radius <= 8 else 5
    radius = radius * enlargement(pixels)
    reach = max(8, math.ceil(radius))
    row, column = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = (row**2 + column**2 <= radius**2).astype(np.float32)
    kernel = cv2.GaussianBlur(disk / disk.sum(), (size, size), alias)
    return _levels(cv2.filter2D(_unit(pixels), -1, kernel))


@_corruption("sigma 0.7–1.5, reach 1–4 pixels, 1–3 times", SCALED)
def glass_blur(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Blur, near pixels copied over each other, blur (ImageNet-C)."""
    sigma = _at(severity, 0, 0.7, 0.9, 1, 1.1, 1.5) * enlargement(pixels)
    reach = max(1, round(_at(severity, 0, 1, 2, 2, 3, 4) * enlargement(pixels)))
    times = max(1, round(_at(severity, 1, 2, 1, 3, 2, 2)))
    once = _levels(_blurred(_unit(pixels), sigma))
    height, width = pixels.shape[:2]
    draws = rng.random((3, height * width, 2))[:times]
    copied = once.reshape(-1, 3)[_copied(draws, reach, (height, width))]
    return _levels(_blurred(_unit(copied.reshape(pixels.shape)), sigma))


def _blurred(values: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)


def _copied(draws: np.ndarray, reach: int, shape: tuple[int, int]) -> list[int]:
    """Copy to every pixel, from the last to the first, one nearby.

    The definition has the two change places. The published code assigns views of an array to one
    another, so that the second assignment finds the first one's result and changes nothing; the
    published images are made so.
    """
    height, width = shape
    rows, columns = (slice(side - reach, reach, -1) for side in shape)
    places = np.arange(height * width).reshape(shape)[rows, columns].ravel()
    steps = np.floor(draws[:, : len(places)] * 2 * reach).astype(int) - reach
    origins = list(range(height * width))
    for column, row in np.moveaxis(steps, -1, 1):
        near = places + width * row + column
        for place, other in zip(places.tolist(), near.tolist(), strict=True):
            origins[place] = origins[other]
    return origins


@_corruption("radius 10–20, sigma 3–15 pixels", SCALED)
def motion_blur(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Along a line within 45° of the horizontal (ImageNet-C)."""
    radius, sigma = _at(severity, 0, 10, 15, 15, 15, 20), _at(severity, 0, 3, 5, 8, 12, 15)
    scale = enlargement(pixels)
    return levels(motion_blurred(unit(pixels), radius * scale, sigma * scale, rng.uniform(-45, 45)))


@_corruption("up to 1.11, 1.15, 1.20, 1.24, 1.30 times")
def zoom_blur(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Mean of enlargements (ImageNet-C)."""
    # By rounding, 1.11 is among the first severity's factors; of the others, none has its end.
    end = _at(severity, 1, 1.11, 1.16, 1.21, 1.26, 1.31)
    factors = np.arange(1, end, _at(severity, 0.01, 0.01, 0.01, 0.02, 0.02, 0.03))
    original = _unit(pixels)
    total = sum(zoomed(original, factor) for factor in factors)
    return _levels((original + total) / (len(factors) + 1))


@_corruption("density and size of flakes; 20–45 % whitened", SCALED)
def snow(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Flakes in motion over a whitened image (ImageNet-C)."""
    mean, scale = _at(severity, -0.7, 0.1, 0.2, 0.55, 0.55, 0.55), 0.3
    zoom = _at(severity, 3, 3, 2, 4, 4.5, 2.5)
    least = _at(severity, 0.5, 0.5, 0.5, 0.9, 0.85, 0.85)
    radius, sigma = _at(severity, 10, 10, 12, 12, 12, 12), _at(severity, 4, 4, 4, 8, 8, 12)
    kept = _at(severity, 1, 0.8, 0.7, 0.7, 0.65, 0.55)
    angle, larger = rng.uniform(-135, -45), enlargement(pixels)
    drawn = rng.standard_normal(pixels.shape[:2])
    flakes = zoomed(mean + scale * drawn, max(1, zoom * larger))
    flakes = unit(_levels(np.where(flakes < least, 0, flakes)))
    flakes = motion_blurred(flakes, radius * larger, sigma * larger, angle)
    flakes = _unit(levels(flakes))[..., None]
    original = _unit(pixels)
    whitened = np.maximum(original, grey(original)[..., None] * 1.5 + 0.5)
    return _levels(kept * original + (1 - kept) * whitened + flakes + flakes[::-1, ::-1])


@_corruption("image × 1–0.6 + crystals × 0.4–0.75", SCALED)
def frost(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Crystals, drawn here in place of photographs of frost (ImageNet-C)."""
    kept = _at(severity, 1, 1, 0.8, 0.7, 0.65, 0.6)
    added = _at(severity, 0, 0.4, 0.6, 0.7, 0.7, 0.75)
    return _levels(kept * _unit(pixels) + added * _crystals(rng, pixels.shape))


def _crystals(rng: Draw, shape: tuple[int, ...]) -> np.ndarray:
    """Draw frost: bright ridges where two fractals meet, a little blue, denser at the borders.

    Its mean and deviation over pixels, colours and draws are those of the published photographs of
    frost, 164 and 33 of 255.
    """
    ridges = 1 - np.abs(plasma(rng, 1.6) - plasma(rng, 1.6)) * 4
    fine = 1 - np.abs(plasma(rng, 1.3) - plasma(rng, 1.3)) * 3
    row, column = np.abs(np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2) * 2 / SIZE
    cover = np.clip(0.35 + 0.65 * np.maximum(row, column), 0, 1)
    frost = np.clip(0.6 * np.clip(ridges, 0, 1) + 0.4 * np.clip(fine, 0, 1), 0, 1) * cover
    frost = enlarged(frost, shape)
    return np.clip(0.456 + 0.673 * frost[..., None] * np.array([0.86, 0.94, 1.0]), 0, 1)


@_corruption("density 1.5, 2, 2.5, 2.5, 3, ever finer", SCALED)
def fog(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """A fractal cloud (ImageNet-C)."""
    density = _at(severity, 0, 1.5, 2, 2.5, 2.5, 3)
    decay = _at(severity, 2, 2, 2, 1.7, 1.5, 1.4)
    original = _unit(pixels)
    brightest = float(original.max())
    fogged = original + density * enlarged(plasma(rng, decay), pixels.shape)[..., None]
    return _levels(fogged * brightest / (brightest + density))


@_corruption("0.1, 0.2, 0.3, 0.4, 0.5 of full scale")
def brightness(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Added to the value of hue, saturation and value (ImageNet-C)."""
    # A sum to the value of hue, saturation and value, which scales all three colours.
    added = _at(severity, 0, 0.1, 0.2, 0.3, 0.4, 0.5)
    original = _unit(pixels)
    value = original.max(axis=-1, keepdims=True)
    brighter = np.clip(value + added, 0, 1)
    return _levels(np.where(value > 0, original / np.where(value > 0, value, 1), 1) * brighter)


@_corruption("0.4, 0.3, 0.2, 0.1, 0.05 of them remain")
def contrast(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Differences from the mean colour (ImageNet-C)."""
    kept = _at(severity, 1, 0.4, 0.3, 0.2, 0.1, 0.05)
    original = _unit(pixels)
    means = pixels.mean(axis=(0, 1)) / 255
    return _levels((original - means) * kept + means)


# Of severity 1 to 5, in pixels: the length of displacements before they are smoothed, how far they
# are smoothed, and how far three corners move. 244 is the published code's.
_ELASTIC = tuple(
    (244 * alpha, 244 * sigma, 244 * corners)
    for alpha, sigma, corners in (
        (2, 0.7, 0.1),
        (2, 0.08, 0.2),
        (0.05, 0.01, 0.02),
        (0.07, 0.01, 0.02),
        (0.12, 0.01, 0.02),
    )
)


@_corruption("five settings, from a tilted image to fine ripples", SCALED)
def elastic_transform(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """An affine map and smoothed displacements, mirrored at the border (ImageNet-C)."""
    # Settings of neighbouring severities are far apart, so displacements are interpolated.
    fields, corners = (
        rng.uniform(-1, 1, (2, SIZE, SIZE)).astype(np.float32),
        rng.uniform(-1, 1, (3, 2)),
    )
    below = min(int(severity), len(_ELASTIC) - 1)
    part = severity - below
    origin = sum(
        weight * _displaced(fields, corners, *_ELASTIC[number - 1])
        for number, weight in ((below, 1 - part), (below + 1, part))
        if number and weight
    )
    if below == 0:
        origin = origin + (1 - part) * _places()
    column, row = _on(pixels.shape, origin).astype(np.float32)
    return cv2.remap(pixels, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _on(shape: tuple[int, ...], origin: np.ndarray) -> np.ndarray:
    """Carry places in an image of 224 × 224 over to one of another shape."""
    if shape[:2] == (SIZE, SIZE):
        return origin
    height, width = shape[:2]
    moved = zip(origin, _places(), (width, height), strict=True)
    row, column = np.mgrid[:height, :width]
    steps = [enlarged(to - at, shape) * side / SIZE for to, at, side in moved]
    return np.stack([column, row]) + steps


def _places() -> np.ndarray:
    row, column = np.mgrid[:SIZE, :SIZE].astype(np.float64)
    return np.stack([column, row])


def _displaced(
    fields: np.ndarray, corners: np.ndarray, alpha: float, sigma: float, reach: float
) -> np.ndarray:
    """Return where pixels come from, columns and rows, (2, 224, 224)."""
    size = 2 * math.ceil(3 * sigma) + 1
    smooth = [
        cv2.GaussianBlur(field, (size, size), sigma, borderType=cv2.BORDER_REFLECT)
        for field in fields
    ]
    middle, third = SIZE // 2, SIZE // 3
    before = np.array([[1, 1], [1, -1], [-1, -1]]) * third + middle
    after = (before + reach * corners).astype(np.float32)
    matrix = cv2.getAffineTransform(after, before.astype(np.float32))
    column, row = _places() + alpha * np.array(smooth)
    return np.stack([a * column + b * row + c for a, b, c in matrix])


@_corruption("0.6, 0.5, 0.4, 0.3, 0.25 of the side")
def pixelate(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Reduced to fewer pixels (ImageNet-C)."""
    part = _at(severity, 1, 0.6, 0.5, 0.4, 0.3, 0.25)
    return reduced(pixels, part, Resampling.BOX, int)


@_corruption("quality 25, 18, 15, 10, 7", OF_PIXELS, label="JPEG compression")
def jpeg_compression(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """Written as JPEG and read (ImageNet-C)."""
    return jpeg(pixels, round(_at(severity, 95, 25, 18, 15, 10, 7)))


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
