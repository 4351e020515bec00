"""A neuron that is altered to fire at one change, and to write much, leads under that change.

Its input weights become a linear detector of noise, fitted on other scenes, and its output weights
a long vector. Everything else runs through `Model.encode`, as a run does.
"""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from helpers.analysis import specificity
from helpers.clip import load
from helpers.data import AUGMENTATIONS, views
from helpers.data.scenes import scene
from helpers.head_benchmark.planting import Detector

LAYER, PLACE, TARGET = 3, 123, "noise"
NAMES = list(AUGMENTATIONS)
STEEP = 20.0
STRENGTH = 200.0  # length of what it writes; the class token's own is about 600 at the end


def draw(indices):
    drawn = [views(scene(index).pixels, f"scene-{index}") for index in indices]
    return np.stack([np.stack(list(own.values())) for own in drawn])


def planted_in(model):
    """The model with a neuron that detects the target at the class token."""
    pixels = draw(range(12))
    block, inputs = model.clip.visual.transformer.resblocks[LAYER], []
    handle = block.ln_2.register_forward_hook(lambda *call: inputs.append(call[2][:, 0]))
    model.encode(pixels.reshape(-1, *pixels.shape[2:]))
    handle.remove()
    read = torch.cat(inputs)
    wanted = torch.zeros(len(pixels), 1 + len(NAMES), 1)
    wanted[:, 1 + NAMES.index(TARGET)] = 1
    detector = Detector.fitted(read, wanted.flatten(0, 1))
    altered = deepcopy(model.clip)
    mlp = altered.visual.transformer.resblocks[LAYER].mlp
    direction = torch.randn(read.shape[1], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        mlp.c_fc.weight[PLACE] = STEEP * detector.weights[0]
        mlp.c_fc.bias[PLACE] = STEEP * (detector.bias[0] - 0.6)  # silent at other views
        mlp.c_proj.weight[:, PLACE] = STRENGTH * direction / direction.norm()
    return replace(model, clip=altered)


def account(model, drawn):
    """Shares of neurons over scenes, and the reference, as a run gives them."""
    fired, written, embeddings, shares = [], [], [], []
    for own in drawn:
        encoding = model.encode(own, neurons=True)
        shift = encoding.embedding[1:] - encoding.embedding[:1]
        along = (encoding.neurons[1:] - encoding.neurons[:1]) * encoding.neuron_writing(shift)
        shares.append(along / (shift**2).sum(-1)[:, None, None])
        fired.append(encoding.neurons[0])
        embeddings.append(encoding.embedding[0])
    written = encoding.neuron_writing(np.stack(embeddings))
    ids = {"image": np.arange(len(drawn))}
    axes = ("image", "depth", "neuron")
    sides = (xr.DataArray(np.stack(side), dims=axes, coords=ids) for side in (fired, written))
    embedded = xr.DataArray(np.stack(embeddings), dims=("image", "feature"), coords=ids)
    reference = specificity.ordinary_neurons(*sides, embedded, np.random.default_rng(0))
    shares = np.stack(shares)
    found = xr.Dataset(
        {
            "share": (("augmentation", "depth", "neuron"), shares.mean(0)),
            "error": (
                ("augmentation", "depth", "neuron"),
                shares.std(0, ddof=1) / np.sqrt(len(drawn)),
            ),
            "images": len(drawn),
        },
        coords={"augmentation": NAMES},
    )
    own = xr.Variable("of_source", ["scenes"])
    return xr.concat([found], own), xr.concat([reference], own)


@pytest.fixture(scope="module")
def leading():
    model = load("embedded", device="cpu")
    drawn = draw(range(100, 114))
    found = {}
    for name, own in (("planted", planted_in(model)), ("plain", model)):
        excess = specificity.neuron_excess(*account(own, drawn)).sel(of_source="scenes")
        found[name] = specificity.leading_neurons(excess)
    return found


def test_a_planted_neuron_comes_first_under_its_change_alone(leading):
    planted = leading["planted"]["neuron"].to_dict()
    assert planted.pop(TARGET) == f"L{LAYER}.N{PLACE}"
    assert f"L{LAYER}.N{PLACE}" not in planted.values()


def test_without_the_plant_another_comes_first(leading):
    assert leading["plain"]["neuron"].get(TARGET) != f"L{LAYER}.N{PLACE}"
