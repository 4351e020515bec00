"""What is known of an image that is attacked: whether it is a scene, and which words are wrong."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from helpers.data.decode import UnreadableImage
from helpers.data.images import Image

SCENE = re.compile(r"(?:.*/)?scene-(\d+)-(\d+)")
"""What the ids of scenes look like."""

WORDS = (
    *("anchor", "apple", "balloon", "banjo", "bicycle", "bridge", "broom", "candle", "carrot"),
    *("castle", "cello", "daisy", "dolphin", "dragon", "drum", "eagle", "elephant", "fiddle"),
    *("fox", "fridge", "giraffe", "guitar", "hammer", "harbour", "helmet", "igloo", "iPod"),
    *("jeep", "kayak", "kettle", "ladder", "lemon", "lion", "lobster", "mango", "medal"),
    *("mushroom", "onion", "ostrich", "owl", "panda", "parrot", "penguin", "piano", "pizza"),
    *("pumpkin", "rabbit", "sandal", "shark", "snail", "sofa", "teapot", "tiger", "toaster"),
    *("tractor", "train", "trumpet", "turtle", "umbrella", "violin", "wagon", "whale", "zebra"),
)
"""What is written on images that have no classes."""


@dataclass(frozen=True)
class Subject:
    """What a change may know of an image beside its pixels.

    Attributes
    ----------
    is_scene : bool
        Whether it is one of the drawn scenes.
    captions : tuple of str
        What its source says it shows.
    wrong_words : tuple of str
        Names of other classes of the run, or else `WORDS`; none occurs in its captions.
    """

    is_scene: bool = False
    captions: tuple[str, ...] = ()
    wrong_words: tuple[str, ...] = WORDS


UNKNOWN = Subject()
"""An image of which only the pixels are known."""


def subject_of(image: Image, classes: Iterable[str] = ()) -> Subject:
    """Say what is known of an image of a run whose images have some classes."""
    try:
        captions, label = image.captions, image.label
    except UnreadableImage:  # a run reports it when it reads the pixels
        captions, label = (), None
    said = _words(*captions, label or "")
    # A user's file that is called like a scene need not be one.
    is_scene = image.path is None and SCENE.fullmatch(image.id) is not None
    others = tuple(name for name in classes if name != label)
    wrong = tuple(name for name in others or WORDS if not _words(name) & said)
    return Subject(is_scene, captions, wrong or WORDS)


def _words(*texts: str) -> set[str]:
    return {word for text in texts for word in re.findall(r"\w+", text.lower())}
