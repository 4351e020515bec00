"""What a scene can contain, and the words for it.

Prompts and caption templates come in two sets: the first is for training, the second
(`held_out`) is only ever seen by evaluations.
"""

from dataclasses import dataclass

COLOURS = {
    "red": (214, 36, 40),
    "orange": (250, 132, 10),
    "yellow": (248, 222, 40),
    "green": (36, 150, 62),
    "turquoise": (52, 205, 205),
    "blue": (34, 74, 205),
    "purple": (128, 48, 168),
    "pink": (250, 132, 190),
    "white": (244, 244, 244),
    "black": (24, 24, 26),
}

SHAPES = ("circle", "square", "triangle", "star", "cross", "crescent")
FILLS = ("solid", "striped", "dotted")
SIZES = {"small": (22, 28), "large": (42, 54)}  # radius of the circumscribed circle, pixels
POSITIONS = {  # column and row, from -1 (left, top) to 1 (right, bottom)
    "top left": (-1, -1),
    "top": (0, -1),
    "top right": (1, -1),
    "left": (-1, 0),
    "centre": (0, 0),
    "right": (1, 0),
    "bottom left": (-1, 1),
    "bottom": (0, 1),
    "bottom right": (1, 1),
}
MEDIA = ("drawing", "photo", "sketch", "chalk")
BACKGROUNDS = ("plain", "gradient", "textured")
COUNTS = ("one", "two", "three", "four")

HELD_OUT_SEED = 20_260
"""Scenes of this seed are for looking and testing: the embedded model never trained on them."""

HELD_OUT_COMBINATIONS = frozenset(
    {
        ("circle", "turquoise"),
        ("square", "yellow"),
        ("triangle", "pink"),
        ("star", "purple"),
        ("cross", "orange"),
        ("crescent", "green"),
    }
)
"""(shape, colour) pairs that are drawn for `HELD_OUT_SEED` only."""


@dataclass(frozen=True)
class Property:
    """One thing that a caption can say, with its values and the prompts that name them."""

    values: tuple[str, ...]  # the values, as they stand in the attributes table
    of: str  # "object" where every object has a value of its own, "scene" where the picture has one
    # prompts that the embedded model is trained on; each has one place for a value
    prompts: tuple[str, ...]
    held_out: tuple[str, ...]  # prompts kept for zero-shot evaluation
    # how a value is written in a sentence, where that is not the value itself
    words: dict[str, str] | None = None

    def write(self, template: str, value: str) -> str:
        """Fill a prompt with a value."""
        return template.format((self.words or {}).get(value, value))


PLACES = {name: f"at the {name}" for name in POSITIONS} | {
    "left": "on the left",
    "right": "on the right",
    "centre": "in the centre",
}
MEDIUM_WORDS = {"sketch": "pencil sketch", "chalk": "chalk picture"}
COUNT_WORDS = {name: f"{name} objects" for name in COUNTS} | {"one": "one object"}

PROPERTIES = {
    "colour": Property(
        tuple(COLOURS),
        "object",
        ("a {} object", "something {}", "a picture of a {} shape", "there is a {} object"),
        ("a picture with a {} object", "here is something {}"),
    ),
    "shape": Property(
        SHAPES,
        "object",
        ("a {}", "a picture of a {}", "an object with the shape of a {}", "there is a {}"),
        ("this is a {}", "a picture with a {} here"),
    ),
    "fill": Property(
        FILLS,
        "object",
        ("a {} object", "something {}", "a picture of a {} shape", "there is a {} object"),
        ("a picture with a {} object", "here is something {}"),
    ),
    "size": Property(
        tuple(SIZES),
        "object",
        ("a {} object", "something {}", "a picture of a {} shape", "there is a {} object"),
        ("a picture with a {} object", "here is something {}"),
    ),
    "position": Property(
        tuple(POSITIONS),
        "object",
        ("an object {}", "something {}", "a picture of a shape {}", "there is an object {}"),
        ("a picture with an object {}", "here is something {}"),
        PLACES,
    ),
    "medium": Property(
        MEDIA,
        "scene",
        ("a {}", "this is a {}", "a {} of objects", "the picture is a {}"),
        ("here is a {}", "a picture: a {} of something"),
        MEDIUM_WORDS,
    ),
    "background": Property(
        BACKGROUNDS,
        "scene",
        ("a {} background", "objects on a {} background", "the background is {}"),
        ("a picture with a {} background", "something on a {} background"),
    ),
    "count": Property(
        COUNTS,
        "scene",
        ("{}", "a picture of {}", "there are {}", "{} on a background"),
        ("a picture with {}", "here are {}"),
        COUNT_WORDS,
    ),
}
"""The eight properties of a scene: name → `Property`."""
