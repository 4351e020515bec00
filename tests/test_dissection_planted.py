"""A head that is altered to react to one augmentation alone is the one that the account names.

The head of the embedded model gets new weights: it attends to all tokens evenly, reads from them
how much an image looks like noise (a linear detector, fitted on other scenes), and writes that
much of a fixed vector to the class token. Everything runs through `Model.encode`.
"""

import numpy as np
import pytest
import torch
import xarray as xr

from helpers.analysis import dissection, profiles
from helpers.clip import load
from helpers.data import AUGMENTATIONS, views
from helpers.data.scenes import scene
from helpers.interpret.planting import Detector, read_by_heads, with_planted_head

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


def planted_in(model):
    """The model with a head that writes a fixed vector where an image looks like the target."""
    pixels = draw(FITTED_ON)
    inputs = read_by_heads(model, LAYER, pixels.reshape(-1, *pixels.shape[2:]))
    wanted = torch.zeros(len(FITTED_ON), 1 + len(NAMES), 1)
    wanted[:, 1 + NAMES.index(TARGET)] = 1
    direction = torch.randn(1, inputs.shape[1], generator=torch.Generator().manual_seed(0))
    detector = Detector.fitted(inputs, wanted.flatten(0, 1))
    written = STRENGTH * direction / direction.norm()
    return with_planted_head(model, LAYER, HEAD, detector, written)


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
    return planted_in(model)


@pytest.fixture(scope="module")
def drawn():
    return draw(MEASURED_ON)


@pytest.fixture(scope="module")
def heads(planted, drawn):
    return account(planted, [(own[0], own[1:]) for own in drawn])


def test_the_planted_head_reacts_to_one_augmentation(planted, drawn):
    written = np.stack([planted.encode(own).heads[:, LAYER, HEAD] for own in drawn])
    reaction = np.linalg.norm(written, axis=-1)
    target = 1 + NAMES.index(TARGET)
    assert reaction[:, target].min() > 1.5 * np.delete(reaction, target, axis=1).max()


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
