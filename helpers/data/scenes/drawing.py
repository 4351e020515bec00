"""Turning the attributes of a scene into pixels and masks."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from helpers.data.opencv import cv2
from helpers.data.scenes.vocabulary import COLOURS

SIDE = 224
STRIPE_PERIOD = 13.0
DOT_PERIOD = 14.0
BACKDROPS = np.array(  # muted, so that a background is never mistaken for an object's colour
    [
        (128, 128, 128),
        (188, 188, 188),
        (205, 192, 164),
        (98, 112, 130),
        (142, 158, 136),
        (152, 134, 150),
        (168, 144, 116),
        (146, 166, 188),
    ],
    np.float32,
)
BOARD = np.array((38, 50, 46), np.float32)
PAPER = np.array((240, 236, 226), np.float32)
CLEAR_CONTRAST = 95.0  # distance in RGB between a background and every object


def _circle() -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _regular(corners: int) -> np.ndarray:
    angle = -np.pi / 2 + 2 * np.pi * np.arange(corners) / corners
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _star() -> np.ndarray:
    angle = -np.pi / 2 + np.pi * np.arange(10) / 5
    radius = np.where(np.arange(10) % 2, 0.42, 1.0)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)


def _cross() -> np.ndarray:
    a, b = 0.30, 0.95
    right = [(a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b)]
    return np.array(right + [(-x, -y) for x, y in right])


def _crescent() -> np.ndarray:
    """Two arcs through the same tips: the rim of the disc, and a flatter one to hollow it out."""
    tip = np.deg2rad(50)
    rim = np.linspace(tip, 2 * np.pi - tip, 40)
    outer = np.stack([np.cos(rim), np.sin(rim)], 1)
    bend = np.linspace(-np.pi / 2, np.pi / 2, 24)[1:-1]
    depth, height = 0.85, np.sin(tip)
    inner = np.stack([np.cos(tip) - depth * np.cos(bend), height * np.sin(bend)], 1)
    return np.concatenate([outer, inner]) + np.array([0.1, 0])


OUTLINES = {  # within the unit circle, y downwards
    "circle": _circle() * 0.92,
    "square": np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * 0.78,
    "triangle": _regular(3),
    "star": _star(),
    "cross": _cross(),
    "crescent": _crescent(),
}


@cache
def _grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    return x, y


@cache
def _grain() -> np.ndarray:
    """One large sheet of noise, from which pictures take windows: cheaper than drawing anew."""
    rng = np.random.default_rng(0)
    sheet = rng.standard_normal((4 * SIDE, 4 * SIDE), np.float32)
    return 0.8 * sheet + 1.2 * cv2.GaussianBlur(sheet, (0, 0), 1.0)


def _window(rng: np.random.Generator) -> np.ndarray:
    x, y = rng.integers(0, 3 * SIDE, 2)
    return _grain()[y : y + SIDE, x : x + SIDE]


def _backdrop_colour(colours: list[str], medium: "Medium", rng: np.random.Generator) -> np.ndarray:
    """Choose a background, as the medium shows it, that every object stands out from."""
    shades = medium.backdrop(BACKDROPS)
    inks = np.array([COLOURS[colour] for colour in colours], np.float32)
    contrast = np.linalg.norm(shades[:, None] - inks, axis=2).min(1)
    clear = np.flatnonzero(contrast >= CLEAR_CONTRAST)
    choice = rng.integers(1 << 30)
    return shades[clear[choice % len(clear)] if len(clear) else contrast.argmax()]


def _plain(angle: float, blotches: np.ndarray) -> np.ndarray:
    return np.zeros((SIDE, SIDE), np.float32)


def _gradient(angle: float, blotches: np.ndarray) -> np.ndarray:
    x, y = _grid()
    ramp = np.cos(angle) * (x / 112 - 1) + np.sin(angle) * (y / 112 - 1)
    return 52 * ramp.astype(np.float32)


def _textured(angle: float, blotches: np.ndarray) -> np.ndarray:
    return 22 * cv2.resize(blotches, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


RELIEFS = {"plain": _plain, "gradient": _gradient, "textured": _textured}


def _background(kind: str, colour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the background, SIDE × SIDE × 3 float32."""
    angle, blotches = rng.uniform(0, 2 * np.pi), rng.standard_normal((20, 20), np.float32)
    return colour + RELIEFS[kind](angle, blotches)[..., None]


def _second_tone(ink: np.ndarray) -> np.ndarray:
    """Tone of stripes and dots: the colour's own pale version, or its dark one if it is pale."""
    pale = ink.mean() > 150
    return ink * 0.58 if pale else ink + 0.5 * (255 - ink)


PATTERNS = {  # where the second tone is, at coordinates (u, v) that turn with the object
    "solid": lambda u, v: np.zeros(u.shape, bool),
    "striped": lambda u, v: np.sin(2 * np.pi * u / STRIPE_PERIOD) > 0,
    "dotted": lambda u, v: (
        np.cos(2 * np.pi * u / DOT_PERIOD) + np.cos(2 * np.pi * v / DOT_PERIOD) > 0.75
    ),
}


def _as_is(tone: np.ndarray, *_) -> np.ndarray:
    return tone


def _lit(tone: np.ndarray, across: np.ndarray, grain: np.ndarray) -> np.ndarray:
    """Shade an object as if lit from the upper left."""
    return tone * (1 - 0.16 * across).astype(np.float32)[..., None]


def _faded(tone: np.ndarray, across: np.ndarray, grain: np.ndarray) -> np.ndarray:
    return tone + 0.22 * (PAPER - tone)


def _dusty(tone: np.ndarray, across: np.ndarray, grain: np.ndarray) -> np.ndarray:
    return tone * (0.88 + 0.12 * np.clip(grain, -1.5, 1.0))[..., None]


@dataclass(frozen=True)
class Medium:
    """How a medium looks."""

    backdrop: Callable = _as_is  # from the muted background colours to those of the medium
    # from an object's tone, its position across the light (-2 to 2) and the grain, to the tone as
    # the medium shows it
    ink: Callable = _as_is
    contour: tuple[np.ndarray, int] | None = None  # colour and width of the line around an object
    grain: float = 0.0  # strength of the grain over the whole picture
    lit: bool = False  # whether objects cast shadows and the corners are darker


LOOKS = {
    "drawing": Medium(),
    "photo": Medium(ink=_lit, grain=7, lit=True),
    "sketch": Medium(
        backdrop=lambda shades: PAPER + 0.3 * (shades - 168),
        ink=_faded,
        contour=(np.array((52, 50, 58), np.float32), 3),
        grain=3,
    ),
    "chalk": Medium(
        backdrop=lambda shades: BOARD + 0.12 * (shades - 128),
        ink=_dusty,
        contour=(PAPER - 12, 3),
        grain=4,
    ),
}


def _stencil(
    item: dict, contour: tuple | None
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """Find where an object lies: its window, its coverage there and that of its contour, 0–1."""
    turn = np.deg2rad(item["angle"])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centre = np.array([item["x"], item["y"]])
    reach = int(item["radius"]) + 4
    low = np.maximum(centre.astype(int) - reach, 0)
    high = np.minimum(centre.astype(int) + reach + 1, SIDE)
    corners = OUTLINES[item["shape"]] @ rotation.T * item["radius"] + centre - low
    points = np.round(corners * 16).astype(np.int32)[None]
    body, rim = np.zeros((2, *(high - low)[::-1]), np.uint8)
    cv2.fillPoly(body, points, 255, cv2.LINE_AA, 4)
    if contour:
        cv2.polylines(rim, points, True, 255, contour[1], cv2.LINE_AA, 4)
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    return window, np.maximum(body, rim) / np.float32(255), rim / np.float32(255)


def _shadow(canvas: np.ndarray, window: tuple[slice, slice], cover: np.ndarray) -> None:
    """Darken the background to the lower right of an object."""
    drop = 6
    rows, columns = (slice(s.start + drop, min(s.stop + drop, SIDE)) for s in window)
    soft = cv2.GaussianBlur(cover, (0, 0), 3.0)
    soft = soft[: rows.stop - rows.start, : columns.stop - columns.start, None]
    canvas[rows, columns] *= 1 - 0.4 * soft


def _tone(item: dict, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Colour of an object at coordinates from its centre, ... × 3."""
    turn = np.deg2rad(item["angle"])
    u, v = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    ink = np.array(COLOURS[item["colour"]], np.float32)
    return np.where(PATTERNS[item["fill"]](u, v)[..., None], _second_tone(ink), ink)


def _paint(canvas: np.ndarray, item: dict, medium: Medium, grain: np.ndarray) -> np.ndarray:
    """Draw one object onto the canvas and return its mask, SIDE × SIDE bool."""
    window, cover, rim = _stencil(item, medium.contour)
    if medium.lit:
        _shadow(canvas, window, cover)
    x, y = (grid[window] for grid in _grid())
    x, y = x - np.float32(item["x"]), y - np.float32(item["y"])
    tone = medium.ink(_tone(item, x, y), (x + y) / item["radius"], grain[window])
    if medium.contour:
        tone = tone + rim[..., None] * (medium.contour[0] - tone)
    canvas[window] += cover[..., None] * (tone - canvas[window])
    mask = np.zeros((SIDE, SIDE), bool)
    mask[window] = cover >= 0.5
    return mask


def object_alone(item: dict) -> tuple[np.ndarray, np.ndarray]:
    """Draw one object on nothing: its colours, SIDE × SIDE × 3, and how much it covers, 0–1."""
    window, cover, _ = _stencil(item, None)
    x, y = (grid[window] for grid in _grid())
    tones, covered = np.zeros((SIDE, SIDE, 3), np.float32), np.zeros((SIDE, SIDE), np.float32)
    tones[window] = _tone(item, x - np.float32(item["x"]), y - np.float32(item["y"]))
    covered[window] = cover
    return tones, covered


def _finish(canvas: np.ndarray, medium: Medium, grain: np.ndarray) -> np.ndarray:
    """Give the whole picture the look of its medium."""
    if medium.lit:
        x, y = _grid()
        fall = 1.06 - 0.22 * ((x / 112 - 1) ** 2 + (y / 112 - 1) ** 2) / 2
        canvas = canvas * fall[..., None]
    if medium.grain:
        canvas = canvas + medium.grain * grain[..., None]
    return np.clip(canvas, 0, 255).astype(np.uint8)


def draw_scene(
    objects: list[dict], medium: str, background: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a scene, later objects over earlier ones."""
    look, grain = LOOKS[medium], _window(rng)
    colour = _backdrop_colour([item["colour"] for item in objects], look, rng)
    canvas = _background(background, colour, rng)
    masks = np.stack([_paint(canvas, item, look, grain) for item in objects])
    for index in range(len(objects) - 1):
        masks[index] &= ~masks[index + 1 :].any(0)
    return _finish(canvas, look, grain), masks
