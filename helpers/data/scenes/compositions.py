"""Captions that say how objects and their properties go together.

Unlike those of `captions`, they relate two objects to each other ("a red star left of a blue
circle"), and a thing whose shape isn't mentioned may be "something red".
"""

from collections.abc import Callable, Sequence

import numpy as np

from helpers.data.scenes.captions import MEDIUM_OPENINGS, OPENINGS, noun_phrase
from helpers.data.scenes.vocabulary import COUNT_WORDS, COUNTS, MEDIUM_WORDS

RELATIONS = ("left of", "right of", "above", "below")
OF_FEW = ("size", "colour", "fill", "shape", "position")  # what captions say of one or two objects
OF_MANY = ("colour", "shape")  # and of three or four
COUNTED, ONE_OF_SEVERAL = 0.25, 0.4  # shares of the partial captions that count, or say one thing
MENTIONED = {1: 0.45, 2: 0.6}  # chance of each property of one object, alone or among several
WITH_MEDIUM, WITH_BACKGROUND = 0.5, 0.4  # of the partial captions


def relation(first: dict, second: dict) -> str:
    """Return where an object lies from another, along the axis on which they are farther apart."""
    across, down = first["x"] - second["x"], first["y"] - second["y"]
    along = RELATIONS[:2] if abs(across) > abs(down) else RELATIONS[2:]
    return along[0] if max(across, down, key=abs) < 0 else along[1]


def full_caption(
    objects: Sequence[dict], medium: str, background: str, rng: np.random.Generator
) -> str:
    """Write as much as fits: every object, the medium and mostly the background."""
    things, has_room = _every_thing(_shuffled(objects, rng), rng)
    return _opening(medium, rng) + things + (_ending(background) if has_room else "")


def partial_caption(
    objects: Sequence[dict], medium: str, background: str, rng: np.random.Generator
) -> str:
    """Write a random part of what is true; parameters and result as for `full_caption`."""
    things, has_room = _some_things(_shuffled(objects, rng), rng)
    opening = _opening(medium if rng.random() < WITH_MEDIUM else None, rng)
    has_room &= rng.random() < WITH_BACKGROUND
    return opening + things + (_ending(background) if has_room else "")


def _shuffled(objects: Sequence[dict], rng: np.random.Generator) -> list[dict]:
    return [objects[number] for number in rng.permutation(len(objects))]


def _opening(medium: str | None, rng: np.random.Generator) -> str:
    if medium is None:
        return OPENINGS[rng.integers(len(OPENINGS))]
    opening = MEDIUM_OPENINGS[rng.integers(len(MEDIUM_OPENINGS))]
    return opening.format(MEDIUM_WORDS.get(medium, medium))


def _ending(background: str) -> str:
    return f" on a {background} background"


def _phrase(item: dict, names: Sequence[str]) -> str:
    return noun_phrase({name: item[name] for name in names})


def _every_thing(objects: list[dict], rng: np.random.Generator) -> tuple[str, bool]:
    """Mention all objects; also return whether there is room for the background."""
    if len(objects) == 1:
        return _phrase(objects[0], OF_FEW), True
    if len(objects) == 2:
        return PAIRS[rng.integers(len(PAIRS))](*objects)
    return " and ".join(_phrase(item, OF_MANY) for item in objects), len(objects) < 4


def _related(first: dict, second: dict) -> tuple[str, bool]:
    names = ("colour", "fill", "shape")
    return f"{_phrase(first, names)} {relation(first, second)} {_phrase(second, names)}", True


def _placed(first: dict, second: dict) -> tuple[str, bool]:
    names = ("colour", "shape", "position")
    return f"{_phrase(first, names)} and {_phrase(second, names)}", False


def _sized(first: dict, second: dict) -> tuple[str, bool]:
    names = ("size", "colour", "fill", "shape")
    return f"{_phrase(first, names)} and {_phrase(second, names)}", True


PAIRS: tuple[Callable[[dict, dict], tuple[str, bool]], ...] = (_related, _placed, _sized)


def _some_things(objects: list[dict], rng: np.random.Generator) -> tuple[str, bool]:
    if rng.random() < COUNTED:
        return COUNT_WORDS[COUNTS[len(objects) - 1]], True
    if len(objects) == 1 or rng.random() < ONE_OF_SEVERAL:
        return _one_thing(objects[0], MENTIONED[min(len(objects), 2)], rng), True
    return _every_thing(objects[: rng.integers(2, len(objects) + 1)], rng)


def _one_thing(item: dict, share: float, rng: np.random.Generator) -> str:
    names = [name for name in OF_FEW if rng.random() < share] or ["shape"]
    thing = "something" if rng.random() < 0.5 else "object"
    return noun_phrase({name: item[name] for name in names}, thing)
