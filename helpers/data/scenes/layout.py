"""Which objects a scene has, and where they lie."""

from collections.abc import Callable, Sequence

import numpy as np

from helpers.data.scenes.drawing import SIDE
from helpers.data.scenes.vocabulary import (
    COLOURS,
    FILLS,
    HELD_OUT_COMBINATIONS,
    POSITIONS,
    SHAPES,
    SIZES,
)

PLACEMENTS = 24  # tries at placing several objects with little overlap
CROWDING = 0.85  # least distance of two objects, as a share of the sum of their radii


def appearances(count: int, rng: np.random.Generator, held_out: bool) -> list[dict]:
    """Choose shape, colour and fill of each object; no two objects share a colour."""
    colours = list(rng.permutation(list(COLOURS)))
    items = []
    for _ in range(count):
        shape, fill = SHAPES[rng.integers(len(SHAPES))], FILLS[rng.integers(len(FILLS))]
        free = (c for c in colours if held_out or (shape, c) not in HELD_OUT_COMBINATIONS)
        colour = next(free)
        colours.remove(colour)
        items.append({"shape": shape, "colour": str(colour), "fill": fill})
    return items


def placement(place: Callable[[], list[dict]]) -> list[dict]:
    """Place objects until they hide little of each other, or take the best of some tries."""
    best, least = [], -np.inf
    for _ in range(PLACEMENTS):
        items = place()
        room = _least_distance(items)
        if room > least:
            best, least = items, room
        if room >= CROWDING:
            break
    return best


def placed_at_random(count: int, rng: np.random.Generator, fixed: dict[str, str]) -> list[dict]:
    """Place objects at positions of their own, with any size or position that is fixed."""
    names = list(POSITIONS)
    cells, chance = rng.permutation(len(names))[:count], rng.random((count, 5))
    items = []
    for cell, (of_size, *wobble) in zip(cells, chance, strict=True):
        size = fixed.get("size", list(SIZES)[int(of_size * len(SIZES))])
        items.append(put(size, fixed.get("position", names[cell]), wobble))
    return items


def put(size: str, position: str, wobble: Sequence[float]) -> dict:
    """Choose an object's radius, centre and angle, by four shares of the room that each has."""
    small, large = SIZES[size]
    radius = small + wobble[0] * (large - small)
    x, y = (
        _coordinate(at, radius, part)
        for at, part in zip(POSITIONS[position], wobble[1:3], strict=True)
    )
    angle = 24 * wobble[3] - 12
    return {"size": size, "position": position, "x": x, "y": y, "radius": radius, "angle": angle}


def _coordinate(at: int, radius: float, wobble: float) -> float:
    """Place an object's centre along one axis: within the picture, unmistakably at its place."""
    middle = (SIDE - 1) / 2
    reach = middle - radius - 3
    if at == 0:
        return middle + (wobble - 0.5) * 0.36 * reach
    return middle + at * reach * (1 - 0.26 * wobble)


def _least_distance(items: list[dict]) -> float:
    """Smallest distance of two objects over the sum of their radii."""
    pairs = [(a, b) for index, a in enumerate(items) for b in items[:index]]
    return min(
        (
            np.hypot(a["x"] - b["x"], a["y"] - b["y"]) / (a["radius"] + b["radius"])
            for a, b in pairs
        ),
        default=np.inf,
    )
