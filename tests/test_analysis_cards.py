"""What stands on a head's card."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis import cards

HEADS = {"layer": [4, 5], "head": [0, 1]}
ATTRIBUTES = ["colour", "shape", "size"]
AUGMENTATIONS = ["noise", "blur"]


def by_attribute(values):
    values = np.broadcast_to(values, (2, 2, 3)).astype(float)
    return xr.DataArray(values, HEADS | {"attribute": ATTRIBUTES}, ("layer", "head", "attribute"))


@pytest.fixture
def deck():
    axes, choices = ("layer", "head"), ("layer", "head", "choice")
    readings = xr.Dataset(
        {
            "text": (choices, np.arange(28).reshape(2, 2, 7)),
            "explained": (choices, np.full((2, 2, 7), 0.1)),
            "property": (axes, np.array([["colour", "shape"], ["size", "colour"]], dtype=object)),
            "runner_up": (axes, np.array([["shape", "size"], ["shape", "shape"]], dtype=object)),
            "clarity": (axes, [[0.5, 0.8], [0.2, 0.4]]),
            "runner_up_share": (axes, [[0.1, 0.1], [0.19, 0.1]]),
        },
        HEADS,
    )
    shares = xr.DataArray(
        np.arange(8).reshape(2, 2, 2) / 10,
        HEADS | {"augmentation": AUGMENTATIONS},
        ("augmentation", "layer", "head"),
    )
    images = xr.DataArray(np.zeros((2, 2, 4), int), HEADS, ("layer", "head", "place"))
    all_layers = {"layer": [3, 4, 5], "head": [0, 1], "attribute": ATTRIBUTES}
    answers = xr.DataArray(np.full((3, 2, 3), 0.5), all_layers, ("layer", "head", "attribute"))
    return cards.head_cards(
        readings,
        images,
        variance=by_attribute([0.1, 0.6, 0.2]),
        answers=answers,
        shares=shares,
    )


def test_a_card_has_only_the_heads_that_were_read_and_their_first_texts(deck):
    assert deck["layer"].values.tolist() == [4, 5]
    assert deck["answers"].notnull().all()
    assert deck["text"].sel(layer=5, head=0).values.tolist() == [14, 15, 16, 17, 18]
    assert deck["label"].values.tolist() == [["colour", "shape"], ["size or shape", "colour"]]
    assert deck["share"].sel(layer=5, head=1).values.tolist() == [0.3, 0.7]


def test_what_stands_out_is_the_largest_and_of_tied_ones_the_first(deck):
    found = cards.strongest(deck.sel(layer=5, head=1))
    assert (found["varies with"], found["variance"]) == ("shape", 0.6)
    assert (found["sways"], found["answers"]) == ("colour", 0.5)
    assert (found["prefers"], found["share"]) == ("blur", 0.7)


def test_top_images_have_the_largest_inner_products():
    rng = np.random.default_rng(0)
    axes = ("image", "layer", "head", "feature")
    heads = xr.DataArray(rng.normal(size=(9, 2, 2, 4)), HEADS, axes)
    texts = xr.DataArray(np.eye(4), dims=("text", "feature"))
    first = xr.DataArray([[0, 1], [2, 3]], HEADS, ("layer", "head"))
    found = cards.top_images(heads, texts, first)
    for layer, head in np.ndindex(2, 2):
        along = heads.values[:, layer, head, first.values[layer, head]]
        assert found.values[layer, head].tolist() == np.argsort(-along)[: cards.IMAGES].tolist()
    assert cards.top_images(heads[:2], texts, first).sizes["place"] == 2
