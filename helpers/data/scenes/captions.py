"""Sentences about a scene, and what each of them claims."""

from dataclasses import dataclass

import numpy as np

from helpers.data.scenes.vocabulary import COUNT_WORDS, COUNTS, MEDIUM_WORDS, PLACES

LONGEST = 22  # words: what a context of 24 tokens holds between its start and its end
MEDIUM_OPENINGS = ("a {} of ", "this is a {} of ", "{} of ")
HELD_OUT_MEDIUM_OPENINGS = ("here is a {} of ", "the {} of ")
OPENINGS = ("", "a picture of ", "there is ", "this is ")
HELD_OUT_OPENINGS = ("here is ", "a picture with ")


@dataclass(frozen=True)
class Caption:
    """A sentence and its claims."""

    text: str  # the sentence
    scene: dict[str, str]  # what it says about the picture: any of medium, background and count
    # what it says of each object that it mentions: any of shape, colour, fill, size, position
    objects: tuple[dict[str, str], ...]


def _article(phrase: str) -> str:
    return f"an {phrase}" if phrase[0] in "aeiou" else f"a {phrase}"


def noun_phrase(claims: dict[str, str], thing: str = "object") -> str:
    """Write what is claimed of an object; without its shape it is a thing of that name."""
    words = [claims[name] for name in ("size", "colour", "fill") if name in claims]
    if "shape" not in claims and thing == "something":
        phrase = " ".join([thing, *words])
    else:
        phrase = _article(" ".join([*words, claims.get("shape", "object")]))
    return f"{phrase} {PLACES[claims['position']]}" if "position" in claims else phrase


def sentence(
    scene: dict[str, str], objects: list[dict], opening: int = 0, held_out: bool = False
) -> str:
    """Put claims into words."""
    if "medium" in scene:
        openings = HELD_OUT_MEDIUM_OPENINGS if held_out else MEDIUM_OPENINGS
        start = openings[opening % len(openings)]
        start = start.format(MEDIUM_WORDS.get(scene["medium"], scene["medium"]))
    else:
        openings = HELD_OUT_OPENINGS if held_out else OPENINGS
        start = openings[opening % len(openings)]
    things = [noun_phrase(claims) for claims in objects] or [
        COUNT_WORDS[scene["count"]] if "count" in scene else "objects"
    ]
    end = f" on a {scene['background']} background" if "background" in scene else ""
    return start + " and ".join(things) + end


# Most that each mentioned object can say in LONGEST words: by the number of objects mentioned
_ROOM = {
    1: ("shape", "colour", "fill", "size", "position"),
    2: ("shape", "colour", "fill", "size"),
    3: ("shape", "colour"),
    4: ("shape", "colour"),
}


def full_caption(
    objects: list[dict],
    medium: str,
    background: str,
    rng: np.random.Generator,
    held_out: bool = False,
) -> Caption:
    """Write what fits: every object, the medium and, for up to three objects, the background."""
    claims = [{name: item[name] for name in _ROOM[len(objects)]} for item in objects]
    scene = {"medium": medium}
    if len(objects) < 4:
        scene["background"] = background
    opening = int(rng.integers(1 << 16))
    return Caption(sentence(scene, claims, opening, held_out), scene, tuple(claims))


def random_caption(
    objects: list[dict], medium: str, background: str, rng: np.random.Generator
) -> Caption:
    """Write a random part of what is true of a scene."""
    opening, chance = int(rng.integers(1 << 16)), rng.random(4)
    scene = {}
    if chance[0] < 0.5:
        scene["medium"] = medium
    if chance[1] < 0.25:
        claims = []
        scene["count"] = COUNTS[len(objects) - 1]
    else:
        mentioned = rng.permutation(len(objects))[: rng.integers(1, len(objects) + 1)]
        claims = [_some(objects[index], len(mentioned), rng) for index in mentioned]
    if chance[2] < 0.4 and len(claims) < 4:
        scene["background"] = background
    return Caption(sentence(scene, claims, opening), scene, tuple(claims))


def _some(item: dict, mentioned: int, rng: np.random.Generator) -> dict[str, str]:
    """Choose what to say of one object: mostly shape and colour, sometimes the rest."""
    room = _ROOM[mentioned]
    if mentioned == 2 and rng.random() < 0.4:
        room = ("shape", "position")
    share = {"shape": 0.8, "colour": 0.8}
    claims = {name: item[name] for name in room if rng.random() < share.get(name, 0.4)}
    return claims or {"shape": item["shape"]}
