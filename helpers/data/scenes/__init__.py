"""A small world of captioned pictures in which everything is known.

One to four objects, each with a shape, colour, fill, size and position, on a background, in a
medium. `scene(index, seed)` is always the same picture, and `draw(n, seed)` is n of them. Seed
`HELD_OUT_SEED` is never trained on, and only there the `HELD_OUT_COMBINATIONS` of shape and colour
occur.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from helpers.checks import WorkbookError, one_of
from helpers.data.scenes.captions import Caption, full_caption, random_caption, sentence
from helpers.data.scenes.drawing import draw_scene
from helpers.data.scenes.layout import appearances, placed_at_random, placement
from helpers.data.scenes.vocabulary import (
    BACKGROUNDS,
    COUNTS,
    HELD_OUT_COMBINATIONS,
    HELD_OUT_SEED,
    MEDIA,
    PROPERTIES,
    Property,
)

__all__ = [
    "HELD_OUT_COMBINATIONS",
    "HELD_OUT_SEED",
    "PROPERTIES",
    "Caption",
    "Property",
    "Scene",
    "Scenes",
    "draw",
    "full_caption",
    "random_caption",
    "scene",
    "sentence",
]

COUNT_SHARES = (0.4, 0.2, 0.2, 0.2)  # single objects are what most zero-shot questions are about


@dataclass(frozen=True)
class Scene:
    """One captioned picture.

    Attributes
    ----------
    index, seed : int
        What the picture is drawn from.
    pixels : numpy.ndarray
        224 × 224 × 3, uint8.
    masks : numpy.ndarray
        Objects × 224 × 224, bool: where each object is visible.
    caption : str
        A sentence with a random part of the attributes.
    medium, background, count : str
        Attributes of the picture.
    objects : list of dict
        Attributes of each object, in drawing order: shape, colour, fill, size, position; centre x
        and y and radius in pixels; angle in degrees.
    """

    index: int
    seed: int
    pixels: np.ndarray
    masks: np.ndarray
    caption: str
    medium: str
    background: str
    objects: list[dict]

    @property
    def count(self) -> str:
        """How many objects there are, as a word."""
        return COUNTS[len(self.objects) - 1]

    @property
    def full_caption(self) -> str:
        """A sentence with as many of the attributes as fit; of the held-out seed, in its words."""
        rng, held_out = np.random.default_rng((self.seed, self.index)), self.seed == HELD_OUT_SEED
        return full_caption(self.objects, self.medium, self.background, rng, held_out).text

    @cached_property
    def attributes(self) -> pd.DataFrame:
        """One row per object; see `draw`."""
        return pd.DataFrame(_rows(self))


def _rows(scene: Scene) -> list[dict]:
    whole = {"medium": scene.medium, "background": scene.background, "count": scene.count}
    return [
        {"scene": scene.index, "object": number, **item, "visible": int(mask.sum()), **whole}
        for number, (item, mask) in enumerate(zip(scene.objects, scene.masks, strict=True))
    ]


@dataclass(frozen=True)
class Scenes:
    """Several scenes; unpacks into pixels, attributes, captions and masks."""

    pixels: np.ndarray  # scenes × 224 × 224 × 3, uint8
    attributes: pd.DataFrame  # one row per object; see `draw`
    captions: list[str]  # one sentence per scene
    masks: list[np.ndarray]  # per scene objects × 224 × 224, bool

    def __iter__(self) -> Iterator:
        return iter((self.pixels, self.attributes, self.captions, self.masks))


def _check_fixed(fixed: dict[str, str]) -> None:
    for name, value in fixed.items():
        one_of(name, value, PROPERTIES[one_of("a fixed property", name, PROPERTIES)].values)


def scene(index: int, seed: int = HELD_OUT_SEED, **fixed: str) -> Scene:
    """Draw one scene; the same arguments always give the same one.

    Parameters
    ----------
    index : int
        Number of the scene.
    seed : int
        Which world the scene is from.
    **fixed : str
        Values for any of `PROPERTIES`, in place of those drawn at random; properties of objects
        are given to every object. The rest of the scene stays as it is.

    Returns
    -------
    Scene
        Its pixels, masks, caption and attributes.

    Raises
    ------
    WorkbookError
        If a property or value is unknown, or index or seed is negative.
    """
    if index < 0 or seed < 0:
        raise WorkbookError(
            f"scene {index} of seed {seed} does not exist; both must be 0 or greater."
        )
    _check_fixed(fixed)
    # A stream of its own for each step keeps the rest of a scene when one property is fixed.
    whole, looks, places, paint, words = (
        np.random.Generator(np.random.PCG64(child))
        for child in np.random.SeedSequence((seed, index)).spawn(5)
    )
    kind = {
        "count": COUNTS[whole.choice(len(COUNTS), p=COUNT_SHARES)],
        "medium": MEDIA[whole.integers(len(MEDIA))],
        "background": BACKGROUNDS[whole.integers(len(BACKGROUNDS))],
    } | fixed
    count = COUNTS.index(kind["count"]) + 1
    shared = {name: value for name, value in fixed.items() if PROPERTIES[name].of == "object"}
    looked = appearances(count, looks, held_out=seed == HELD_OUT_SEED)
    placed = placement(lambda: placed_at_random(count, places, shared))
    objects = [look | place | shared for look, place in zip(looked, placed, strict=True)]
    pixels, masks = draw_scene(objects, kind["medium"], kind["background"], paint)
    caption = random_caption(objects, kind["medium"], kind["background"], words).text
    return Scene(index, seed, pixels, masks, caption, kind["medium"], kind["background"], objects)


def draw(n: int, seed: int = HELD_OUT_SEED, start: int = 0) -> Scenes:
    """Draw scenes `start` to `start + n - 1` of a seed.

    Parameters
    ----------
    n : int
        How many.
    seed : int
        Which world they are from.
    start : int
        Number of the first.

    Returns
    -------
    Scenes
        Unpacks into pixels, attributes, captions, masks. The attributes have one row per object:
        the numbers of its scene and, within that, of the object in drawing order; shape, colour,
        fill, size, position; centre x and y and radius in pixels; angle in degrees; visible
        pixels; and the scene's medium, background and count.

    Raises
    ------
    WorkbookError
        If n is less than 1, or start or seed is negative.
    """
    if n < 1:
        raise WorkbookError(f"{n} scenes cannot be drawn; ask for 1 or more.")
    drawn = [scene(index, seed) for index in range(start, start + n)]
    return Scenes(
        np.stack([item.pixels for item in drawn]),
        pd.DataFrame([row for item in drawn for row in _rows(item)]),
        [item.caption for item in drawn],
        [item.masks for item in drawn],
    )
