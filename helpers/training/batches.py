"""Batches for training, drawn from a window that slides over the scenes.

The batch of a step depends on the step and the seed alone, so that training can stop and resume.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset

from helpers.clip.embedded.text import PHOTO_PROMPTS
from helpers.data.opencv import cv2
from helpers.training.examples import (
    SUBJECTS,
    Example,
    mirror,
    photograph_example,
    pixels_of,
    read_photographs,
)
from helpers.training.settings import Settings


class Batches(IterableDataset):
    """The batches of training, from a given step on."""

    drawn_at_once = 1
    """How many scenes are drawn by `draw`."""

    def __init__(self, settings: Settings, start: int = 0):
        self.settings, self.start = settings, start

    def draw(self, index: int) -> Any:
        """Draw what the window holds at an index."""
        raise NotImplementedError

    def choose(self, window: dict, step: int, count: int, rng: np.random.Generator) -> list:
        """Choose examples from a window, in which index modulo length → what was drawn."""
        raise NotImplementedError

    def collate(self, examples: list[Example], rng: np.random.Generator) -> dict:
        """Turn examples into a batch: tensors by name, pixels and captions among them."""
        raise NotImplementedError

    @property
    def fresh(self) -> int:
        """By how much the window moves each step."""
        return self.settings.fresh_scenes_per_step // self.drawn_at_once

    def __iter__(self) -> Iterator[dict]:
        cv2.setNumThreads(0)
        size = self.settings.scenes_in_memory // self.drawn_at_once
        photographs, first = read_photographs(), self.start * self.fresh
        window = {index % size: self.draw(index) for index in range(first, first + size)}
        for step in range(self.start, self.settings.steps):
            yield self._batch(step, window, photographs)
            for index in range(step * self.fresh + size, (step + 1) * self.fresh + size):
                window[index % size] = self.draw(index)

    def _batch(self, step: int, window: dict, photographs: list[np.ndarray]) -> dict:
        settings = self.settings
        rng = np.random.default_rng((settings.seed, step, 1))
        from_scenes = settings.pictures_per_step - settings.photographs_per_step
        examples = self.choose(window, step, from_scenes, rng)
        numbers = rng.integers(len(SUBJECTS), size=settings.photographs_per_step)
        examples += [photograph_example(photographs, number, rng) for number in numbers]
        examples = [mirror(item) if rng.random() < 0.5 else item for item in examples]
        return self.collate(examples, rng)


def photograph_caption(example: Example, rng: np.random.Generator) -> str:
    """Write a caption for a crop of a photograph."""
    return PHOTO_PROMPTS[rng.integers(len(PHOTO_PROMPTS))].format(example.subject)


def stacked_pixels(examples: list[Example]) -> torch.Tensor:
    """Stack pixels as pictures × 3 × 224 × 224, uint8."""
    pixels = pixels_of(examples)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
