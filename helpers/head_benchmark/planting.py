"""Heads that are altered to carry a known thing, so that it is known which head does.

A planted head attends to all tokens evenly, reads from them what a linear detector finds, and
writes a fixed direction for each thing found. Everything runs through `Model.encode` as before.
"""

from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch

from helpers.analysis.dissection import head_name
from helpers.clip import Model
from helpers.data.scenes import PROPERTIES, scene
from helpers.training.examples import pixels_of

FITTED_FROM, FITTED_ON = 9_000, 128  # scenes that detectors are fitted on
PENALTY = 1e-2  # of the ridge regression, by image
LOUDNESS = 1.5  # length of what a sure detector writes, in units of the class token's at the end


@dataclass(frozen=True)
class Detector:
    """Linear detectors, fitted by ridge regression: 1 where a thing is, 0 elsewhere."""

    weights: torch.Tensor  # things × width
    bias: torch.Tensor  # (things,)

    @classmethod
    def fitted(cls, inputs: torch.Tensor, wanted: torch.Tensor) -> "Detector":
        """Fit detectors of things, images × things, to what a head reads, images × width."""
        inputs, wanted = inputs.double(), wanted.double()
        centred = inputs - inputs.mean(0)
        even = torch.eye(inputs.shape[1], dtype=torch.float64, device=inputs.device)
        penalty = PENALTY * len(inputs) * even
        moments = centred.T @ (wanted - wanted.mean(0))
        weights = torch.linalg.solve(centred.T @ centred + penalty, moments).T
        return cls(weights.float(), (wanted.mean(0) - weights @ inputs.mean(0)).float())


def read_by_heads(model: Model, layer: int, pixels: np.ndarray) -> torch.Tensor:
    """Return what the values of a layer's heads are made from, mean of tokens, images × width."""
    result = []
    norm = model.clip.visual.transformer.resblocks[layer].ln_1
    handle = norm.register_forward_hook(lambda *call: result.append(call[2].mean(dim=1)))
    model.encode(pixels)
    handle.remove()
    return torch.cat(result)


def with_planted_head(
    model: Model, layer: int, head: int, detector: Detector, directions: torch.Tensor
) -> Model:
    """Alter a head: for each thing that its detector finds, it writes a direction."""
    clip, things = deepcopy(model.clip), len(directions)
    attention = clip.visual.transformer.resblocks[layer].attn
    size = attention.embed_dim // attention.num_heads
    of_head = slice(head * size, (head + 1) * size)
    used = slice(of_head.start, of_head.start + things)
    with torch.no_grad():
        for part in (attention.in_proj_weight, attention.in_proj_bias):
            part.unflatten(0, (3, -1))[:, of_head] = 0
        attention.in_proj_weight.unflatten(0, (3, -1))[2, used] = detector.weights
        attention.in_proj_bias.unflatten(0, (3, -1))[2, used] = detector.bias
        attention.out_proj.weight[:, of_head] = 0
        attention.out_proj.weight[:, used] = directions.T
    return replace(model, clip=clip)


@dataclass(frozen=True)
class Plant:
    """A property and the head that is to carry it."""

    name: str  # one of `PROPERTIES`
    layer: int
    head: int

    @property
    def label(self) -> str:
        """Label of the head, such as ``L3.H1``."""
        return head_name(self.layer, self.head)

    def planted_in(self, model: Model, texts: np.ndarray) -> Model:
        """Let the head write, for each value that it finds, towards the value's text."""
        row = PROPERTIES[self.name]
        fixed = {"count": "one"} if row.of == "object" else {}
        indices = range(FITTED_FROM, FITTED_FROM + FITTED_ON)
        scenes = [scene(index, **fixed) for index in indices]
        values = [item.attributes[self.name].iloc[0] for item in scenes]
        inputs = read_by_heads(model, self.layer, pixels_of(scenes))
        matches = [[value == each for each in row.values] for value in values]
        wanted = torch.tensor(matches, device=inputs.device)
        directions = _towards(model, texts, pixels_of(scenes[:32]))
        detector = Detector.fitted(inputs, wanted)
        return with_planted_head(model, self.layer, self.head, detector, directions)


def _towards(model: Model, texts: np.ndarray, pixels: np.ndarray) -> torch.Tensor:
    """Find directions of the class token that the last norm and the projection turn to texts."""
    visual, lengths = model.clip.visual, []
    handle = visual.ln_post.register_forward_pre_hook(
        lambda _, given: lengths.append(given[0].norm(dim=-1).mean())
    )
    with torch.no_grad():
        model.clip.encode_image(model._normalised(pixels))
        handle.remove()
        centred = torch.from_numpy(texts - texts.mean(axis=0)).to(visual.proj)
        along = (centred @ visual.proj.T) * visual.ln_post.weight
        along -= along.mean(dim=1, keepdim=True)
        return LOUDNESS * lengths[0] * along / along.norm(dim=1, keepdim=True)
