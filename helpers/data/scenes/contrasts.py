"""Contrast sets: scenes alike but for a property, an object, or which object has which colour.

In a batch made of them, CLIP's contrastive loss has to distinguish a scene from its nearest
relatives: a star from a square of the same colour at the same place, "a red star left of a blue
circle" from "a blue star left of a red circle". The hard negatives are in the data, and the loss
stays what it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, permutations, product

import numpy as np

from helpers.data.scenes import Scene, compositions
from helpers.data.scenes.compositions import OF_FEW, OF_MANY
from helpers.data.scenes.drawing import draw_scene
from helpers.data.scenes.layout import appearances, placement, put
from helpers.data.scenes.vocabulary import (
    BACKGROUNDS,
    COUNTS,
    HELD_OUT_COMBINATIONS,
    MEDIA,
    POSITIONS,
    PROPERTIES,
    SIZES,
)

SET_SIZE = 6
STREAM = 5  # a stream of random numbers that `scene` does not draw from
OF_ONE = {  # what varies in a set of single objects, and how often: most often what is hard to see
    ("shape",): 0.30,
    ("shape", "fill"): 0.25,
    ("fill", "size"): 0.15,
    ("shape", "colour"): 0.05,
    ("colour",): 0.05,
    ("position",): 0.05,
    ("medium", "background"): 0.15,
}
OF_SEVERAL = {  # likewise, of one among several objects; None: objects exchange properties
    None: 0.45,
    ("count",): 0.15,
    ("shape",): 0.20,
    ("colour",): 0.10,
    ("shape", "colour"): 0.10,
}
EXCHANGED = ("colour", "position", "fill")  # between two objects


@dataclass(frozen=True)
class Content:
    """What a picture shows, before it is known where precisely."""

    objects: tuple[dict[str, str], ...]  # shape, colour, fill, size and position of each
    whole: dict[str, str]  # medium and background

    def varied(self, values: dict[str, str]) -> "Content":
        """Give the first object, or the picture, other values."""
        looks = {n: value for n, value in values.items() if PROPERTIES[n].of == "object"}
        first, *others = self.objects
        whole = {name: values.get(name, value) for name, value in self.whole.items()}
        return Content((first | looks, *others), whole)

    @property
    def describable(self) -> tuple:
        """All that a caption can say of it: where there are more than two objects, not much."""
        names = OF_FEW if len(self.objects) <= 2 else OF_MANY
        objects = sorted(tuple(item[name] for name in names) for item in self.objects)
        return (*objects, *self.whole.values())

    def exchanged(self, name: str, order: Sequence[int]) -> "Content":
        """Let objects exchange the values of a property: each gets that of another's number."""
        values = [self.objects[number][name] for number in order]
        changed = [item | {name: v} for item, v in zip(self.objects, values, strict=False)]
        return Content((*changed, *self.objects[len(order) :]), self.whole)

    @property
    def is_allowed(self) -> bool:
        """Whether no two objects share a colour, and no combination is held out."""
        looks = [(item["shape"], item["colour"]) for item in self.objects]
        colours = {colour for _, colour in looks}
        return len(colours) == len(looks) and HELD_OUT_COMBINATIONS.isdisjoint(looks)


def contrast_set(index: int, seed: int, count: int, easy: bool = False) -> list[Scene]:
    """Draw a contrast set; the same arguments always give the same one."""
    rng = np.random.default_rng((seed, index, STREAM))
    shares = OF_ONE if count == 1 else OF_SEVERAL
    varied = list(shares)[rng.choice(len(shares), p=list(shares.values()))]
    base = _content(len(COUNTS) if varied == ("count",) else count, easy, rng)
    members = list(_members(base, varied))
    order = rng.permutation(len(members))
    allowed = (members[number] for number in order if members[number].is_allowed)
    distinct = {content.describable: content for content in allowed}.values()
    return [_drawn(content, index, seed, rng) for content in islice(distinct, SET_SIZE)]


def _content(count: int, easy: bool, rng: np.random.Generator) -> Content:
    positions = rng.permutation(list(POSITIONS))[:count]
    sizes = ["large" if easy else size for size in rng.choice(list(SIZES), count)]
    objects = tuple(
        look | {"size": str(size), "position": str(position)}
        for look, size, position in zip(
            appearances(count, rng, held_out=False), sizes, positions, strict=True
        )
    )
    background = "plain" if easy else BACKGROUNDS[rng.integers(len(BACKGROUNDS))]
    return Content(objects, {"medium": MEDIA[rng.integers(len(MEDIA))], "background": background})


def _members(base: Content, varied: Sequence[str] | None) -> Iterator[Content]:
    if varied is None:
        return _exchanges(base)
    return _prefixes(base) if varied == ("count",) else _variations(base, varied)


def _prefixes(base: Content) -> Iterator[Content]:
    """Leave out none of the objects, one, two and so on, down to the first alone."""
    for count in range(1, len(base.objects) + 1):
        yield Content(base.objects[:count], base.whole)


def _variations(base: Content, names: Sequence[str]) -> Iterator[Content]:
    for values in product(*(PROPERTIES[name].values for name in names)):
        yield base.varied(dict(zip(names, values, strict=True)))


def _exchanges(base: Content) -> Iterator[Content]:
    """Let two objects exchange any of `EXCHANGED`, or three their colours.

    Captions of more than two objects have room for shape and colour alone.
    """
    if len(base.objects) > 2:
        yield from (base.exchanged("colour", order) for order in permutations(range(3)))
        return
    for choice in product((False, True), repeat=len(EXCHANGED)):
        changed = base
        for name in (name for name, chosen in zip(EXCHANGED, choice, strict=True) if chosen):
            changed = changed.exchanged(name, (1, 0))
        yield changed


def _drawn(content: Content, index: int, seed: int, rng: np.random.Generator) -> Scene:
    places = placement(
        lambda: [put(item["size"], item["position"], rng.random(4)) for item in content.objects]
    )
    objects = [item | place for item, place in zip(content.objects, places, strict=True)]
    medium, background = content.whole["medium"], content.whole["background"]
    pixels, masks = draw_scene(objects, medium, background, rng)
    caption = compositions.full_caption(objects, medium, background, rng)
    return Scene(index, seed, pixels, masks, caption, medium, background, objects)
