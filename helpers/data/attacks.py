"""Attacks as rows of the table of changes: made to mislead a model, not met by accident.

A wrong word is written on the image (*typographic*: G. Goh et al., "Multimodal Neurons in
Artificial Neural Networks", Distill 2021), something small that is not there is pasted on it, or
every colour of every pixel is changed by a few grey levels so that the embedding leaves its place:
*adversarial*, by projected gradient descent (A. Madry et al., ICLR 2018, arXiv 1706.06083). Only
the last needs the model. Beside it stands noise of the same largest size, which knows no model.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as pillow
from PIL import ImageDraw, ImageFont

from helpers.data.change import MODEL, OF_PIXELS, SUBJECT, Change, Draw, change_in
from helpers.data.decode import UnreadableImage
from helpers.data.images import Image
from helpers.data.opencv import cv2
from helpers.data.pixels import resized
from helpers.data.sources import PHOTOS, SCENE, open_photos

if TYPE_CHECKING:
    from helpers.clip import Model

LABEL_WIDTH, PATCH_SIDE = 0.19, 0.1
"""How wide a label is at severity 1, in shorter sides of the image; and a patch, in sides."""

OBJECT_RADIUS = 11.0
"""Radius in pixels of 224 of a pasted object at severity 1; those of small ones begin at 22."""

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

PADDING = 0.35
"""Room around a word, in heights of its letters."""

ATTACKS: dict[str, Change] = {}
"""Attacks by name."""

_LEVELS = "grey levels of 255, in whole numbers: below 1 nothing changes"
_attack = partial(change_in, ATTACKS)


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
    """Return what is known of an image of a run whose images have some classes."""
    try:
        captions, label = image.captions, image.label
    except UnreadableImage:  # a run reports it when it reads the pixels
        captions, label = (), None
    right = _words(*captions, label or "")
    # A user's file that is called like a scene need not be one.
    is_scene = image.path is None and SCENE.fullmatch(image.id) is not None
    others = tuple(name for name in classes if name != label)
    wrong = tuple(name for name in others or WORDS if not _words(name) & right)
    return Subject(is_scene, captions, wrong or WORDS)


def _words(*texts: str) -> set[str]:
    return {word for text in texts for word in re.findall(r"\w+", text.lower())}


@_attack("width of the label: a fifth of the image's each", label="Wrong word", needs=SUBJECT)
def typographic(pixels: np.ndarray, severity: float, rng: Draw, subject: Subject) -> np.ndarray:
    """A word for something else on a white label: another class of the run's, or one of a list."""
    word = subject.wrong_words[rng.integers(len(subject.wrong_words))]
    height, width = pixels.shape[:2]
    wanted = LABEL_WIDTH * severity * min(height, width)
    # Letters grow with their size: how wide they are at 100 says which size is wanted.
    size = wanted / (_font(100.0).getlength(word) / 100 + 2 * PADDING)
    size = max(1.0, min(size, height / (1 + 2 * PADDING)))
    font = _font(size)
    box = (round(font.getlength(word) + 2 * PADDING * size), round(size * (1 + 2 * PADDING)))
    box = tuple(map(min, box, (width, height)))
    left, top = _corner(rng, box, (width, height))
    image = pillow.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    draw.rectangle((left, top, left + box[0] - 1, top + box[1] - 1), fill="white")
    draw.text((left + box[0] / 2, top + box[1] / 2), word, "black", font, anchor="mm")
    return np.array(image)


def _font(size: float) -> ImageFont.FreeTypeFont:
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def _corner(rng: Draw, box: Sequence[int], sides: Sequence[int]) -> list[int]:
    """Place a box somewhere within an image: at the same part of the room, whatever its size."""
    return [
        round(part * (side - length))
        for part, length, side in zip(rng.random(2), box, sides, strict=True)
    ]


@_attack(
    "radius 11 of 224 pixels; of a photograph, a tenth of the side",
    label="Pasted object",
    needs=SUBJECT,
)
def pasted(pixels: np.ndarray, severity: float, rng: Draw, subject: Subject) -> np.ndarray:
    """An object of the scenes' world that the scene hasn't; on others a photograph's middle."""
    paste = _object if subject.is_scene else _patch
    return paste(pixels, severity, rng, subject)


def _object(pixels: np.ndarray, severity: float, rng: Draw, subject: Subject) -> np.ndarray:
    # A run on photographs need not load what draws scenes.
    from helpers.data.scenes.drawing import SIDE, object_alone
    from helpers.data.scenes.vocabulary import COLOURS, FILLS, SHAPES

    captions = " ".join(subject.captions)
    choices = {
        "shape": [name for name in SHAPES if name not in captions] or SHAPES,
        "colour": [name for name in COLOURS if name not in captions] or list(COLOURS),
        "fill": FILLS,
    }
    item = {name: of[rng.integers(len(of))] for name, of in choices.items()}
    radius = OBJECT_RADIUS * severity
    x, y = radius + rng.random(2) * (SIDE - 1 - 2 * radius)
    placed = {"x": x, "y": y, "radius": radius, "angle": rng.uniform(-12, 12)}
    tone, cover = object_alone(item | placed)
    size = pixels.shape[1::-1]
    if size != (SIDE, SIDE):
        tone, cover = cv2.resize(tone, size), cv2.resize(cover, size)
    return np.rint(pixels + cover[..., None] * (tone - pixels)).clip(0, 255).astype(np.uint8)


def _patch(pixels: np.ndarray, severity: float, rng: Draw, subject: Subject) -> np.ndarray:
    others = [caption for caption in PHOTOS.values() if caption not in subject.captions]
    photo = _square(others[rng.integers(len(others))])
    height, width = pixels.shape[:2]
    box = [max(1, round(PATCH_SIDE * severity * side)) for side in (width, height)]
    left, top = _corner(rng, box, (width, height))
    patch = resized(photo, box[::-1], pillow.Resampling.BOX)
    pixels[top : top + box[1], left : left + box[0]] = patch
    return pixels


@cache
def _square(caption: str) -> np.ndarray:
    """Return the middle of a bundled photograph, as large as the largest patch needs."""
    photo = next(image.pixels for image in open_photos("photos") if image.caption == caption)
    side = min(photo.shape[:2])
    top, left = ((length - side) // 2 for length in photo.shape[:2])
    return resized(photo[top : top + side, left : left + side], (224, 224), pillow.Resampling.BOX)


@_attack(_LEVELS, OF_PIXELS, needs=MODEL)
def adversarial(pixels: np.ndarray, severity: float, rng: Draw, model: "Model") -> np.ndarray:
    """Ten steps of projected gradient descent away from the original's embedding."""
    start = rng.uniform(-1, 1, pixels.shape).astype(np.float32)
    return model.adversarial(pixels, int(severity), start)


@_attack(_LEVELS, OF_PIXELS, label="Noise of its size")
def adversarial_noise(pixels: np.ndarray, severity: float, rng: Draw) -> np.ndarray:
    """As many grey levels up or down as the adversarial view may take, by chance."""
    signs = 2 * rng.integers(0, 2, pixels.shape) - 1
    return (pixels + int(severity) * signs).clip(0, 255).astype(np.uint8)
