"""Batches for training: what is drawn when, and what the model is asked about it.

The batch of a step depends on the step and the seed alone, so that training can stop and resume.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch.utils.data import IterableDataset

from helpers.clip.embedded.examples import (
    GRID,
    OBJECT_PROPERTIES,
    SUBJECTS,
    Example,
    mirror,
    photograph_example,
    read_photographs,
    scene_example,
)
from helpers.clip.embedded.settings import Settings
from helpers.clip.embedded.text import PHOTO_PROMPTS, tokenize
from helpers.data.opencv import cv2
from helpers.data.scenes import HELD_OUT_COMBINATIONS, PROPERTIES, captions

PAIRS = (
    ("colour", "shape"),
    ("shape", "position"),
    ("colour", "position"),
    ("shape", "fill"),
    ("colour", "size"),
)


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
    if name not in OBJECT_PROPERTIES:
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


def _shown(name: str, examples: list[Example]) -> torch.Tensor:
    """Mark the value of a property that each patch shows, pictures × patches × values."""
    values = PROPERTIES[name].values
    shown = np.zeros((len(examples), GRID * GRID, len(values)), bool)
    for marks, one in zip(shown, examples, strict=True):
        for number, item in enumerate(one.objects):
            marks[one.owners.ravel() == number, values.index(item[name])] = True
    return torch.from_numpy(shown)


class Batches(IterableDataset):
    """The batches of training, from a given step on.

    A batch is a dict of pixels (pictures × 3 × 224 × 224, uint8), captions (tokens of two captions
    a picture), truth (captions × pictures, bool), questions (name → prompts and the values present)
    and patches (name → pictures × patches × values, bool: the values that patches show).

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
        settings = self.settings
        rng = np.random.default_rng((settings.seed, step, 1))
        from_scenes = settings.pictures_per_step - settings.photographs_per_step
        indices = rng.integers(len(drawn), size=from_scenes) + step * settings.fresh_scenes_per_step
        numbers = rng.integers(len(SUBJECTS), size=settings.photographs_per_step)
        examples = [drawn[index % len(drawn)] for index in indices]
        examples += [photograph_example(photographs, number, rng) for number in numbers]
        examples = [mirror(one) if rng.random() < 0.5 else one for one in examples]
        return collate(examples, rng, settings.patch_weights)


def collate(examples: list[Example], rng: np.random.Generator, of_patches: Iterable[str]) -> dict:
    """Turn examples into a batch; see `Batches`."""
    told = [caption_of(one, rng, full) for full in (True, False) for one in examples]
    truth = [[is_true(caption, one) for one in examples] for caption in told]
    pixels = np.stack([one.pixels for one in examples])
    return {
        "pixels": torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))),
        "captions": torch.from_numpy(tokenize([caption.text for caption in told])),
        "truth": torch.tensor(truth),
        "questions": _questions(examples, rng),
        "patches": {name: _shown(name, examples) for name in of_patches},
    }
