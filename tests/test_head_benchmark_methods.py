import numpy as np
import pytest

from helpers.clip import load
from helpers.data.scenes import PROPERTIES
from helpers.head_benchmark import methods, planting
from helpers.training.examples import value_of

AMOUNT = methods.Amount(pairs=3, scenes=100, segmented=3)


@pytest.fixture(scope="module")
def model():
    return load("embedded", device="cpu")


@pytest.fixture(scope="module")
def heads(model):
    return methods.heads_of(model, 2)


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_pair_differs_in_one_property_alone(name):
    for index in range(4):
        one, other = methods.pair_of_scenes(name, index)
        assert value_of(one, name) != methods.value_of(other, name)
        rest = [
            each
            for each, row in PROPERTIES.items()
            if each not in (name, "count") and (row.of == "scene" or name != "count")
        ]
        assert all(value_of(one, each) == methods.value_of(other, each) for each in rest)


def test_patching_all_heads_and_restoring_them_are_two_sides(model, heads):
    """With two heads, patching the one is all that restoring the other leaves."""
    pairs = methods.Pairs.drawn(model, "colour", range(3))
    two = heads[-2:]
    patched = methods.patching_effects(model, pairs, two)
    restored = methods.restoring_effects(model, pairs, two)
    before = pairs.margin(pairs.first.embedding)
    (both,) = methods._patched(model, pairs, [two])
    whole = ((before - both) / pairs.gap)[:, None]
    np.testing.assert_allclose(whole - restored, patched[:, ::-1], atol=1e-5)


def test_a_direct_effect_is_the_heads_part_in_the_difference(model):
    pairs = methods.Pairs.drawn(model, "medium", range(3))
    everything = methods.heads_of(model, model.layers)
    found = methods.contribution_effects(model, pairs, everything)
    own = pairs.first.heads[:, 4, 1] / np.linalg.norm(pairs.first.embedding, axis=1)[:, None]
    other = pairs.other.heads[:, 4, 1] / np.linalg.norm(pairs.other.embedding, axis=1)[:, None]
    expected = ((own - other) * pairs.along).sum(axis=1) / pairs.gap
    np.testing.assert_allclose(found[:, everything.index("L4.H1")], expected, rtol=1e-5)


def test_every_method_scores_every_head(model, heads):
    names = ["colour", "medium"]
    found = methods.scores(model, names, heads, AMOUNT)
    assert len(found) == 7
    for method, scores in found.items():
        assert list(scores["property"].values) == names
        assert list(scores["head"].values) == heads
        assert np.isfinite(scores.sel(property="colour")).all(), method
    assert np.isnan(found["segmentation (07)"].sel(property="medium")).all()


def test_a_planted_head_is_found_by_contributions_and_by_patching(model, heads):
    plant = planting.Plant("medium", layer=4, head=3)
    places = methods.planted(model, [plant], heads, AMOUNT)
    assert places.index.tolist() == ["medium in L4.H3"]
    assert places[["contributions (08)", methods.PATCHING]].iloc[0].tolist() == [1, 1]


def test_accuracies_are_those_of_the_model(model):
    found = methods.accuracies(model, 40)
    assert found["colour"] > 0.9
    assert methods.accuracies(load("embedded", "0", "cpu"), 40).mean() < 0.5
