"""Heads without data: planted weights are found, named, and compared with other heads'."""

import numpy as np
import pytest
import torch
import xarray as xr

from helpers.analysis import head_weights
from helpers.clip import load
from tests.conftest import UNTRAINED

LAYERS, HEADS, ROWS, FEATURES, IMAGES = 2, 3, 8, 40, 60
TEXTS = ["red", "blue", "green", "left", "right", "middle", "large", "small", "tiny"]
PROPERTIES = ["colour"] * 3 + ["position"] * 3 + ["size"] * 3


@pytest.fixture
def texts():
    values = np.random.default_rng(1).normal(size=(len(TEXTS), FEATURES))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    coords = {"text": TEXTS, "property": ("text", PROPERTIES)}
    return xr.DataArray(values, coords, ("text", "feature"))


@pytest.fixture
def planted(texts):
    """Weights of heads each of which writes one text most strongly, and which text."""
    rng = np.random.default_rng(0)
    weights = 0.05 * rng.normal(size=(LAYERS, HEADS, ROWS, FEATURES))
    chosen = np.arange(LAYERS * HEADS).reshape(LAYERS, HEADS) + 1
    atoms = (texts - texts.mean("text")).values
    for place, text in np.ndenumerate(chosen):
        weights[place] += np.outer(rng.normal(size=ROWS), atoms[text])
    return weights, chosen


def contributions(weights, rng):
    """What heads of these weights write when all rows are excited alike."""
    excited = rng.normal(size=(IMAGES, LAYERS, HEADS, ROWS))
    values = np.einsum("ilhr,lhrf->ilhf", excited, weights)
    coords = {"layer": [4, 5], "head": np.arange(HEADS)}
    return xr.DataArray(values, coords, ("image", "layer", "head", "feature"))


def test_the_text_that_a_head_writes_is_named_from_its_weights(planted, texts):
    weights, chosen = planted
    found = head_weights.leading_directions(weights)
    assert (found["strength"][:, :, 0] > 0.5).all() and int(found["dimensions"]) == ROWS
    sums = head_weights.in_texts(found["direction"], texts)
    assert (sums >= 0).all()
    table = head_weights.first_texts(sums)
    for (layer, head), text in np.ndenumerate(chosen):
        assert TEXTS[text] in table.loc[f"L{layer}.H{head}"].to_list()[0].split(", ")[0]
    expected = np.array(PROPERTIES)[chosen]
    names = head_weights.properties(sums, found["strength"])
    assert names.values.tolist() == expected.tolist()


def test_a_direction_has_no_sign_of_its_own(planted, texts):
    weights, _ = planted
    found = head_weights.leading_directions(weights)["direction"]
    one, other = (head_weights.in_texts(own, texts) for own in (found, -found))
    xr.testing.assert_allclose(one, other)


def test_heads_vary_in_their_own_directions_more_than_in_others(planted):
    weights, _ = planted
    heads = contributions(weights, np.random.default_rng(2))
    shares = head_weights.variance_within(heads, head_weights.leading_directions(weights))
    assert shares.index.tolist() == [f"L{layer}.H{head}" for layer in (4, 5) for head in range(3)]
    assert (shares["own"] > 0.8).all() and (shares["others"] < 0.4).all()
    assert (shares["even"] == 3 / ROWS).all()
    means = head_weights.mean_shares(shares)
    assert means.loc["beyond", "low"] > 0.3
    assert means.loc["own", "mean"] == pytest.approx(shares["own"].mean())


def test_weights_of_other_heads_hold_no_more_than_others_do(planted):
    weights, _ = planted
    heads = contributions(weights, np.random.default_rng(2))
    mixed = head_weights.leading_directions(np.roll(weights, 1, axis=1))
    means = head_weights.mean_shares(head_weights.variance_within(heads, mixed))
    assert means.loc["beyond", "low"] < 0.1


def test_heads_that_do_not_vary_have_no_share(planted):
    weights, _ = planted
    heads = contributions(weights, np.random.default_rng(2))
    found = head_weights.leading_directions(weights)
    for still in (heads * 0, heads[:1]):
        shares = head_weights.variance_within(still, found)
        assert shares["own"].isna().all()
        assert head_weights.mean_shares(shares).isna().all(axis=None)


def test_with_no_text_near_a_head_has_no_name(texts):
    nothing = xr.DataArray(np.zeros((1, 1, 2, FEATURES)), dims=("layer", "head", "rank", "feature"))
    nothing = nothing.assign_coords(layer=[0], head=[0], rank=[0, 1])
    sums = head_weights.in_texts(nothing, texts)
    strength = xr.DataArray([[[0.7, 0.2]]], dims=("layer", "head", "rank"))
    assert head_weights.properties(sums, strength).item() == ""
    assert head_weights.first_texts(sums).loc["L0.H0"].tolist() == ["", ""]


@pytest.mark.parametrize("name", ["embedded", UNTRAINED])
def test_weights_are_those_of_the_value_and_output_matrices(name):
    model = load(name, device="cpu")
    visual, size = model.clip.visual, model.head_width
    found = model.head_weights(2)
    assert found.shape == (2, model.heads, size, model.features)
    block = visual.transformer.resblocks[-1]
    value = block.attn.in_proj_weight.double().chunk(3)[2]
    for head in (0, model.heads - 1):
        part = slice(head * size, (head + 1) * size)
        reading = torch.diag(block.ln_1.weight.double()) @ value[part].T
        reading = reading - reading.mean(dim=0)  # the norm takes the mean off what is read
        writing = block.attn.out_proj.weight.double()[:, part].T
        writing = writing - writing.mean(dim=1, keepdim=True)
        writing = writing * visual.ln_post.weight.double() @ visual.proj.double()
        product = (reading @ writing).detach().numpy()
        own = found[-1, head].astype(float)
        scale = np.abs(product.T @ product).max()
        np.testing.assert_allclose(own.T @ own, product.T @ product, rtol=0, atol=1e-5 * scale)
