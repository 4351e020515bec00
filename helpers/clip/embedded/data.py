"""Batches for training: a window that slides over the scenes, and crops of the photographs.

The batch of a step depends on the step and the seed alone, so that training can stop and resume.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.utils.data import IterableDataset

from helpers.clip.embedded.settings import Settings
from helpers.clip.embedded.text import PHOTO_PROMPTS, tokenize
from helpers.data import photos, scenes
from helpers.data.scenes import HELD_OUT_COMBINATIONS, PROPERTIES, captions

SIDE = 224
SUBJECTS = tuple(photos.PHOTOS.values())
OBJECT_PROPERTIES = tuple(name for name, one in PROPERTIES.items() if one.of == "object")
SCENE_PROPERTIES = tuple(name for name, one in PROPERTIES.items() if one.of == "scene")
PAIRS = (
    ("colour", "shape"),
    ("shape", "position"),
    ("colour", "position"),
    ("shape", "fill"),
    ("colour", "size"),
)
MIRRORED = {"left": "right", "right": "left"}
SINGLE = {"count": "one"}
EASY = SINGLE | {"size": "large", "background": "plain"}


@dataclass(frozen=True)
class Example:
    """One picture, with all that is true of it.

    `scene` and `objects` are as in `helpers.data.scenes.Caption`, but complete; `subject` is the
    caption of a photograph.
    """

    pixels: np.ndarray
    scene: dict[str, str]
    objects: tuple[dict[str, str], ...] = ()
    subject: str | None = None


def mirror(example: Example) -> Example:
    """Mirror a picture left to right, and what is said of its objects' positions."""
    objects = tuple(
        item | {"position": " ".join(MIRRORED.get(w, w) for w in item["position"].split())}
        for item in example.objects
    )
    return Example(example.pixels[:, ::-1], example.scene, objects, example.subject)


def scene_example(index: int, settings: Settings) -> Example:
    """Draw the scene of an index, at the stage of the curriculum that the index has reached."""
    chance, stage = np.random.default_rng((settings.seed, index)).random(), settings.stage(index)
    fixed = {}
    if chance < stage.easy:
        fixed = EASY
    elif chance > 1 - stage.single:
        fixed = SINGLE
    one = scenes.scene(index, settings.seed, **fixed)
    whole = {"medium": one.medium, "background": one.background, "count": one.count}
    objects = tuple({name: item[name] for name in OBJECT_PROPERTIES} for item in one.objects)
    return Example(one.pixels, whole, objects)


def crop(picture: np.ndarray, rng: np.random.Generator, held_out: bool = False) -> np.ndarray:
    """Cut a random square out of a photograph and resize it to 224 × 224.

    Parameters
    ----------
    picture : numpy.ndarray
        Height × width × 3, uint8.
    rng : numpy.random.Generator
        Chooses side (0.5 to 0.95 of the shorter one) and place.
    held_out : bool
        Held-out crops lie towards the lower right of the room that there is to move, by more than
        0.6 of it both ways; crops for training never do.

    Returns
    -------
    numpy.ndarray
        224 × 224 × 3, uint8.
    """
    height, width = picture.shape[:2]
    side = int(min(height, width) * rng.uniform(0.5, 0.95))
    place = rng.uniform(0.6, 1, 2) if held_out else rng.random(2)
    while not held_out and place.min() > 0.6:
        place = rng.random(2)
    top, left = (place * (height - side, width - side)).astype(int)
    cut = picture[top : top + side, left : left + side]
    return cv2.resize(cut, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def read_photographs() -> list[np.ndarray]:
    """Read the bundled photographs, height × width × 3, in the order of `SUBJECTS`."""
    return [photo.pixels for photo in photos.open_photos("photos")]


def caption_of(example: Example, rng: np.random.Generator, full: bool) -> captions.Caption:
    """Write a caption: a full one or one that mentions a random part."""
    if example.subject is not None:
        template = PHOTO_PROMPTS[rng.integers(len(PHOTO_PROMPTS))]
        said = {"subject": example.subject}
        return captions.Caption(template.format(example.subject), said, ())
    told = (list(example.objects), example.scene["medium"], example.scene["background"], rng)
    return (captions.full_caption if full else captions.random_caption)(*told)


def is_true(caption: captions.Caption, example: Example) -> bool:
    """Tell whether everything that a caption says is true of a picture."""
    if "subject" in caption.scene:
        return caption.scene["subject"] == example.subject
    if caption.scene.items() - example.scene.items():
        return False
    return all(
        any(claims.items() <= item.items() for item in example.objects)
        for claims in caption.objects
    )


def pair_values(pair: tuple[str, str]) -> list[dict[str, str]]:
    """List the combinations of two properties, without those held out."""
    first, second = pair
    return [
        {first: a, second: b}
        for a in PROPERTIES[first].values
        for b in PROPERTIES[second].values
        if (b, a) not in HELD_OUT_COMBINATIONS
    ]


def _pair_prompts(pair: tuple[str, str], opening: int) -> list[str]:
    return [captions.sentence({}, [claims], opening) for claims in pair_values(pair)]


def _prompts(name: str, choice: int) -> list[str]:
    one = PROPERTIES[name]
    return [one.write(one.prompts[choice % len(one.prompts)], value) for value in one.values]


def _present(name: str, examples: list[Example]) -> np.ndarray:
    """Mark the values of a property that each picture has, pictures × values."""
    values = PROPERTIES[name].values
    if name in SCENE_PROPERTIES:
        return np.array([[one.scene.get(name) == v for v in values] for one in examples])
    return np.array(
        [[any(item[name] == v for item in one.objects) for v in values] for one in examples]
    )


def _questions(examples: list[Example], rng: np.random.Generator) -> dict[str, tuple]:
    """Ask for every property: name → prompts (tokens) and the values present."""
    choice, pair = int(rng.integers(1 << 16)), PAIRS[rng.integers(len(PAIRS))]
    asked = {name: (_prompts(name, choice), _present(name, examples)) for name in PROPERTIES}
    asked["subject"] = (
        [PHOTO_PROMPTS[choice % len(PHOTO_PROMPTS)].format(subject) for subject in SUBJECTS],
        np.array([[one.subject == subject for subject in SUBJECTS] for one in examples]),
    )
    claims = pair_values(pair)
    held = [[any(c.items() <= o.items() for o in one.objects) for c in claims] for one in examples]
    asked["pair"] = (_pair_prompts(pair, choice), np.array(held))
    return {
        name: (torch.from_numpy(tokenize(prompts)), torch.from_numpy(present))
        for name, (prompts, present) in asked.items()
    }


class Batches(IterableDataset):
    """The batches of training, from a given step on.

    A batch is a dict of pixels (pictures × 3 × 224 × 224, uint8), captions (tokens of two captions
    a picture), truth (captions × pictures, bool) and questions (`_questions`).

    Parameters
    ----------
    settings : Settings
        The recipe.
    start : int
        First step.
    """

    def __init__(self, settings: Settings, start: int = 0):
        self.settings, self.start = settings, start

    def __iter__(self) -> Iterator[dict]:
        cv2.setNumThreads(0)
        size, fresh = self.settings.scenes_in_memory, self.settings.fresh_scenes_per_step
        photographs, first = read_photographs(), self.start * fresh
        drawn = {i % size: scene_example(i, self.settings) for i in range(first, first + size)}
        for step in range(self.start, self.settings.steps):
            yield self._batch(step, drawn, photographs)
            for index in range(step * fresh + size, (step + 1) * fresh + size):
                drawn[index % size] = scene_example(index, self.settings)

    def _batch(self, step: int, drawn: dict[int, Example], photographs: list[np.ndarray]) -> dict:
        rng = np.random.default_rng((self.settings.seed, step, 1))
        count, oldest = (
            self.settings.photographs_per_step,
            self.settings.fresh_scenes_per_step * step,
        )
        chosen = oldest + rng.integers(len(drawn), size=self.settings.pictures_per_step - count)
        examples = [drawn[index % len(drawn)] for index in chosen]
        for subject in rng.integers(len(SUBJECTS), size=count):
            pixels = crop(photographs[subject], rng)
            examples.append(Example(pixels, {"medium": "photo"}, (), SUBJECTS[subject]))
        examples = [mirror(one) if rng.random() < 0.5 else one for one in examples]
        return collate(examples, rng)


def collate(examples: list[Example], rng: np.random.Generator) -> dict:
    """Turn examples into a batch; see `Batches`."""
    told = [caption_of(one, rng, full) for full in (True, False) for one in examples]
    truth = [[is_true(caption, one) for one in examples] for caption in told]
    pixels = np.stack([one.pixels for one in examples])
    return {
        "pixels": torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))),
        "captions": torch.from_numpy(tokenize([caption.text for caption in told])),
        "truth": torch.tensor(truth),
        "questions": _questions(examples, rng),
    }
