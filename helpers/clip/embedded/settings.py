"""The recipes that the embedded models are trained by."""

import json
from dataclasses import dataclass

from helpers.clip.embedded.files import folder


@dataclass(frozen=True)
class Stage:
    """A stage of the curriculum.

    Attributes
    ----------
    until : int or None
        Index of the scene that ends it; None for the last stage.
    easy : float
        Share of scenes that are easy: one large object on a plain background.
    single : float
        Share of scenes, besides, that have one object.
    """

    until: int | None
    easy: float
    single: float


@dataclass(frozen=True)
class Taught:
    """What a model is taught beside captions.

    Attributes
    ----------
    property_weights : dict of str to float
        Weight of each property's loss.
    patch_weights : dict of str to float
        Weight of the loss of properties of objects, for the patches that show one.
    """

    property_weights: dict[str, float]
    patch_weights: dict[str, float]


@dataclass(frozen=True)
class Settings:
    """How a model is trained; its `training.json` holds the values.

    Attributes
    ----------
    name : str
        The model, one of `helpers.clip.embedded.NAMES`.
    seed : int
        Seed of the scenes, the batches and the initial weights.
    steps : int
        Length of training.
    pictures_per_step, photographs_per_step : int
        Size of a batch, and how many of it are crops of photographs.
    scenes_in_memory, fresh_scenes_per_step : int
        Size of the window that slides over the scenes, and by how many it moves each step.
    curriculum : tuple of Stage
        Which scenes are drawn, in order.
    matrix_learning_rate : float
        For the matrices within the blocks, by Muon.
    learning_rate, patch_learning_rate : float
        For everything else and for the patch projection, by AdamW.
    weight_decay : float
        For the matrices within the blocks.
    warm_up : int
        Steps over which the learning rates rise from 0.
    decay_share : float
        Last share of training, over which they fall to 0.
    average : float
        Decay of the moving average of the weights, which is what is kept.
    validate_every : int
        Steps between two points of the learning curve.
    checkpoints : list of int
        Steps whose weights are kept.
    taught : Taught or None
        Losses besides CLIP's; with None, CLIP's alone, on contrast sets.
    """

    name: str
    seed: int
    steps: int
    pictures_per_step: int
    photographs_per_step: int
    scenes_in_memory: int
    fresh_scenes_per_step: int
    curriculum: tuple[Stage, ...]
    matrix_learning_rate: float
    learning_rate: float
    patch_learning_rate: float
    weight_decay: float
    warm_up: int
    decay_share: float
    average: float
    validate_every: int
    checkpoints: list[int]
    taught: Taught | None

    @classmethod
    def read(cls, name: str) -> "Settings":
        """Read the recipe of a model."""
        values = json.loads((folder(name) / "training.json").read_text())
        curriculum = tuple(Stage(**stage) for stage in values.pop("curriculum"))
        taught = values.pop("taught")
        return cls(name, curriculum=curriculum, taught=taught and Taught(**taught), **values)

    def stage(self, index: int) -> Stage:
        """Return the stage that a scene belongs to."""
        return next(one for one in self.curriculum if one.until is None or index < one.until)

    def rate(self, step: int) -> float:
        """Return the learning rates' factor at a step: warm-up, plateau, linear decay."""
        decay = (self.steps - step) / max(1, self.decay_share * self.steps)
        return min(1.0, (step + 1) / self.warm_up, decay)
