"""A head that is altered to react to one augmentation alone is the one that the account names.

The head of the embedded model gets new weights: it attends to all tokens evenly, reads from them
how much an image looks like noise (a linear detector, fitted on other scenes), and writes that
much of a fixed vector to the class token. Everything runs through `Model.encode`.
"""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from helpers.analysis import dissection, profiles
from helpers.clip import load
from helpers.data import AUGMENTATIONS, views
from helpers.data.scenes import scene

TARGET = "noise"
LAYER, HEAD = 3, 2
PLANTED = f"L{LAYER}.H{HEAD}"
FITTED_ON, MEASURED_ON = range(16), range(100, 112)
STRENGTH = 900.0  # length of the vector; the class token's own is about 600 at the end
NAMES = list(AUGMENTATIONS)


def draw(indices):
    """All views of some scenes, scenes × views × height × width × 3."""
    drawn = [views(scene(index).pixels, f"scene-{index}") for index in indices]
    return np.stack([np.stack(list(own.values())) for own in drawn])


def read_by_head(model, pixels):
    """What the head's values are made from, averaged over tokens, images × width."""
    found = []
    norm = model.clip.visual.transformer.resblocks[LAYER].ln_1
    handle = norm.register_forward_hook(lambda *call: found.append(call[2].mean(dim=1)))
    model.encode(pixels)
    handle.remove()
    return torch.cat(found)


def detector(model):
    """Weights and bias of a ridge regression: 1 for the target augmentation, 0 otherwise."""
    pixels = draw(FITTED_ON)
    inputs = read_by_head(model, pixels.reshape(-1, *pixels.shape[2:])).double()
    target = torch.zeros(len(FITTED_ON), 1 + len(NAMES), dtype=torch.float64)
    target[:, 1 + NAMES.index(TARGET)] = 1
    centred, wanted = inputs - inputs.mean(0), target.flatten() - target.mean()
    penalty = 1e-2 * len(inputs) * torch.eye(inputs.shape[1], dtype=torch.float64)
    weights = torch.linalg.solve(centred.T @ centred + penalty, centred.T @ wanted)
    return weights.float(), (target.mean() - inputs.mean(0) @ weights).float()


def with_planted_head(model):
    clip, (weights, bias) = deepcopy(model.clip), detector(model)
    attention = clip.visual.transformer.resblocks[LAYER].attn
    width = attention.embed_dim // attention.num_heads
    own = slice(HEAD * width, (HEAD + 1) * width)
    direction = torch.randn(attention.embed_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for part in (attention.in_proj_weight, attention.in_proj_bias):
            part.unflatten(0, (3, -1))[:, own] = 0
        attention.in_proj_weight.unflatten(0, (3, -1))[2, own.start] = weights
        attention.in_proj_bias.unflatten(0, (3, -1))[2, own.start] = bias
        attention.out_proj.weight[:, own] = 0
        attention.out_proj.weight[:, own.start] = STRENGTH * direction / direction.norm()
    return replace(model, clip=clip)


def account(model, pairs):
    """Shares of the heads, image × augmentation × component, of pairs of original and augmented."""
    found = [
        dissection.shares(model.encode(original[None]), model.encode(augmented)).values
        for original, augmented in pairs
    ]
    labels = dissection.component_labels(model.layers, model.heads)
    axes = ("image", "augmentation", "component")
    shares = xr.DataArray(
        np.stack(found), dims=axes, coords={"augmentation": NAMES, "component": labels}
    )
    return dissection.named_heads(dissection.head_shares(shares))


@pytest.fixture(scope="module")
def model():
    return load("embedded", device="cpu")


@pytest.fixture(scope="module")
def planted(model):
    return with_planted_head(model)


@pytest.fixture(scope="module")
def drawn():
    return draw(MEASURED_ON)


@pytest.fixture(scope="module")
def heads(planted, drawn):
    return account(planted, [(own[0], own[1:]) for own in drawn])


def test_the_planted_head_reacts_to_one_augmentation(planted, drawn):
    reaction = np.stack(
        [planted.encode(own).head_outputs[:, LAYER, HEAD, 0].numpy() for own in drawn]
    )
    target = 1 + NAMES.index(TARGET)
    assert reaction[:, target].min() > 0.7
    assert abs(np.delete(reaction, target, axis=1)).max() < 0.4


def test_it_is_named_first_for_that_augmentation_and_for_no_other(heads):
    top = dissection.top_components(heads, 1).set_index("augmentation")["component"]
    assert top[TARGET] == PLANTED
    assert PLANTED not in set(top.drop(TARGET))
    mean = heads.mean("image").sel(component=PLANTED).to_series()
    assert mean[TARGET] > 0.1
    assert mean.drop(TARGET).max() < 0.05
    second = dissection.top_components(heads.sel(augmentation=[TARGET]), 2).iloc[1]
    assert mean[TARGET] > 2 * second["mean"]


def test_it_is_the_one_head_of_that_augmentation_alone(heads, model, drawn):
    assert profiles.responses(heads).to_one.get(PLANTED) == TARGET
    before = account(model, [(own[0], own[1:]) for own in drawn])
    assert profiles.responses(before).to_one.get(PLANTED) != TARGET


def test_shuffled_pairs_give_flat_profiles(planted, drawn, heads):
    """An original beside any other image's views, each under a name drawn at random."""
    rng = np.random.default_rng(0)
    pairs = []
    for image in range(len(drawn)):
        others = rng.choice(np.delete(np.arange(len(drawn)), image), len(NAMES))
        pairs.append((drawn[image, 0], drawn[others, 1 + rng.permutation(len(NAMES))]))
    shuffled = account(planted, pairs)
    found = profiles.responses(shuffled)
    assert found.to_one == {}
    assert not found.prefers.any()
    contrast, real = profiles.contrast(shuffled), profiles.contrast(heads)
    assert contrast.p > 0.05
    assert real.p < 0.01
    assert contrast.observed < real.observed / 2
    spread = shuffled.mean("image").sel(component=PLANTED)
    planted_gap = heads.mean("image").sel(component=PLANTED)
    assert np.ptp(spread.values) < np.ptp(planted_gap.values) / 2


def test_shuffled_names_give_flat_profiles(heads):
    shuffled = profiles.shuffle_names(heads, np.random.default_rng(1))
    assert not profiles.responses(shuffled).prefers.any()
    assert profiles.contrast(shuffled).p > 0.05
