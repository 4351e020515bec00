"""A head that is altered to react to one augmentation alone is the one that is specific to it.

The head of the embedded model gets new weights: it attends to all tokens evenly, reads from them
how much an image looks like noise (a linear detector, fitted on other scenes), and writes that
much of a fixed vector to the class token. Everything runs through `Model.encode`.
"""

import numpy as np
import pytest
import torch
import xarray as xr

from helpers.analysis import dissection, specificity
from helpers.clip import load
from helpers.data import AUGMENTATIONS, views
from helpers.data.scenes import scene
from helpers.head_benchmark.planting import Detector, read_by_heads, with_planted_head

TARGET = "noise"
LAYER, HEAD = 3, 2
PLANTED = f"L{LAYER}.H{HEAD}"
FITTED_ON, MEASURED_ON = range(16), range(100, 116)
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


def components_of(model, drawn):
    """All that adds to embeddings, (image, view, component, feature)."""
    found = [dissection.components(model.encode(own)).rename(image="view") for own in drawn]
    return xr.concat(found, "image").assign_coords(image=np.arange(len(drawn)))


def account(changed, originals):
    """Shares of shifts from originals, (image, augmentation, component)."""
    shares = dissection.shift_shares(originals.values[:, None], changed.values)
    axes = ("image", "augmentation", "component")
    coords = {"image": originals["image"], "component": originals["component"]}
    return xr.DataArray(shares, dims=axes, coords=coords)


def ordinary(originals, seed=0):
    """The account of the differences between the same originals."""
    embeddings = originals.sum("component")
    toward = embeddings.rename(image="other")
    products = xr.dot(originals.astype(float), toward.astype(float), dim="feature")
    products = products.transpose("image", "component", "other").drop_vars("other")
    return specificity.ordinary_shares(products, embeddings, np.random.default_rng(seed))


def specific_heads(shares, reference):
    return specificity.specific_heads(specificity.excess_shares(shares, reference))


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
def many(model):
    pixels = np.stack([scene(index).pixels for index in range(200, 240)])
    return dissection.components(model.encode(pixels)).assign_coords(image=np.arange(40))


@pytest.fixture(scope="module")
def written(planted, drawn):
    return components_of(planted, drawn)


def test_the_planted_head_reacts_to_one_augmentation(planted, drawn):
    written = np.stack([planted.encode(own).heads[:, LAYER, HEAD] for own in drawn])
    reaction = np.linalg.norm(written, axis=-1)
    target = 1 + NAMES.index(TARGET)
    assert reaction[:, target].min() > 1.5 * np.delete(reaction, target, axis=1).max()


def test_it_is_specific_to_that_augmentation_and_to_no_other(written):
    originals = written.isel(view=0)
    shares = account(written.isel(view=slice(1, None)), originals).assign_coords(augmentation=NAMES)
    found = specific_heads(shares, ordinary(originals))
    assert found.pop(TARGET)[0] == PLANTED
    assert PLANTED not in [head for heads in found.values() for head in heads]


def test_without_the_plant_it_is_not(model, drawn):
    before = components_of(model, drawn[:, [0, 1 + NAMES.index(TARGET)]])
    shares = account(before.isel(view=[1]), before.isel(view=0)).assign_coords(
        augmentation=[TARGET]
    )
    assert PLANTED not in specific_heads(shares, ordinary(before.isel(view=0)))[TARGET]


def test_a_change_made_of_exchanged_heads_is_specific_to_them(many):
    exchanged, others = ["L2.H4", "L5.H1"], np.roll(np.arange(len(many)), 1)
    changed = many.copy()
    own = {"component": exchanged}
    changed.loc[own] = many.isel(image=others).loc[own].values
    shares = account(changed.expand_dims(augmentation=["exchanged"], axis=1), many)
    found = specific_heads(shares.assign_coords(augmentation=["exchanged"]), ordinary(many))
    assert sorted(found["exchanged"]) == exchanged


def test_another_scene_is_a_change_without_an_account_of_its_own(many):
    changed = many.isel(image=np.roll(np.arange(len(many)), 1)).values
    several = many.expand_dims(augmentation=["another scene"], axis=1).copy(data=changed[:, None])
    shares = account(several, many).assign_coords(augmentation=["another scene"])
    reference = ordinary(many)
    assert specific_heads(shares, reference) == {"another scene": []}
    assert not specificity.distances(shares, reference)["own"].any()
