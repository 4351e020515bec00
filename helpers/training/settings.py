"""The recipes that the embedded models are trained by."""

import json
from dataclasses import dataclass

from helpers.clip.embedded import folder


@dataclass(frozen=True)
class Stage:
    """A stage of the curriculum."""

    until: int | None  # index of the scene that ends it; None for the last stage
    easy: float  # share of scenes that are easy: one large object on a plain background
    single: float  # share of scenes, besides, that have one object


@dataclass(frozen=True)
class Taught:
    """What a model is taught beside captions."""

    property_weights: dict[str, float]  # weight of each property's loss
    # weight of the loss of properties of objects, for the patches that show one
    patch_weights: dict[str, float]


@dataclass(frozen=True)
class Settings:
    """How a model is trained; its `training.json` holds the values."""

    name: str  # the model, one of `helpers.clip.embedded.NAMES`
    seed: int  # seed of the scenes, the batches and the initial weights
    steps: int  # length of training
    pictures_per_step: int  # size of a batch, and how many of it are crops of photographs
    photographs_per_step: int
    # size of the window that slides over the scenes, and by how many it moves each step
    scenes_in_memory: int
    fresh_scenes_per_step: int
    curriculum: tuple[Stage, ...]  # which scenes are drawn, in order
    matrix_learning_rate: float  # for the matrices within the blocks, by Muon
    learning_rate: float  # for everything else and for the patch projection, by AdamW
    patch_learning_rate: float
    weight_decay: float  # for the matrices within the blocks
    warm_up: int  # steps over which the learning rates rise from 0
    decay_share: float  # last share of training, over which they fall to 0
    average: float  # decay of the moving average of the weights, which is what is kept
    validate_every: int  # steps between two points of the learning curve
    checkpoints: list[int]  # steps whose weights are kept
    taught: Taught | None  # losses besides CLIP's; with None, CLIP's alone, on contrast sets

    @classmethod
    def read(cls, name: str) -> "Settings":
        """Read the recipe of a model."""
        values = json.loads((folder(name) / "training.json").read_text())
        curriculum = tuple(Stage(**stage) for stage in values.pop("curriculum"))
        taught = values.pop("taught")
        return cls(name, curriculum=curriculum, taught=taught and Taught(**taught), **values)

    def stage(self, index: int) -> Stage:
        """Return the stage that a scene belongs to."""
        return next(item for item in self.curriculum if item.until is None or index < item.until)

    def rate(self, step: int) -> float:
        """Return the learning rates' factor at a step: warm-up, plateau, linear decay."""
        decay = (self.steps - step) / max(1, self.decay_share * self.steps)
        return min(1.0, (step + 1) / self.warm_up, decay)
