"""Mean-ablation against plain loops, and what its measures say in cases that are known."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis import ablation

PARTS = ["class token", "L0.attention", "L0.MLP", "L1.attention", "L1.MLP", "constant"]
AXES = ("image", "part", "feature")


@pytest.fixture
def parts():
    return xr.DataArray(np.random.default_rng(0).normal(size=(20, 6, 5)), {"part": PARTS}, AXES)


@pytest.fixture
def texts():
    vectors = np.random.default_rng(1).normal(size=(12, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = ["colour"] * 6 + ["shape"] * 4 + [""] * 2
    return xr.DataArray(vectors, {"property": ("text", names)}, ("text", "feature"))


def test_what_is_ablated_becomes_its_mean(parts):
    kept = ["L1.attention", "constant"]
    expected = np.zeros((20, 5))
    for number, name in enumerate(PARTS):
        for image in range(20):
            own = parts.values[image, number]
            expected[image] += own if name in kept else parts.values[:, number].mean(axis=0)
    np.testing.assert_allclose(ablation.mean_ablated(parts, kept), expected, rtol=1e-12)


def test_last_layers_are_kept_with_and_without_the_rest(parts):
    steps = ablation.last_layers(parts)
    embedding = parts.sum("part").values
    np.testing.assert_allclose(steps["everything else"][2], embedding)
    np.testing.assert_allclose(steps["nothing else"][0], np.tile(embedding.mean(axis=0), (20, 1)))
    last = ablation.mean_ablated(parts, ["L1.attention"])
    np.testing.assert_allclose(steps["nothing else"][1], last)
    early = embedding - steps["everything else"][1]
    own = parts.sel(part="L0.attention")
    np.testing.assert_allclose(early, own - own.mean("image"), atol=1e-12)


def test_attention_may_come_by_heads_and_bias(parts):
    split = (
        parts.values[:, [0, 1, 1, 1, 2, 3, 4, 5]]
        * np.array([1, 0.5, 0.3, 0.2, 1, 1, 1, 1])[:, None]
    )
    names = ["class token", "L0.H0", "L0.H1", "L0.bias", *PARTS[2:]]
    by_heads = ablation.last_layers(xr.DataArray(split, {"part": names}, AXES))
    whole = ablation.last_layers(parts)
    for title in whole:
        for n in whole[title]:
            np.testing.assert_allclose(by_heads[title][n], whole[title][n], atol=1e-12)


def test_measures_of_an_ablation_that_leaves_all_or_nothing(parts, texts):
    embedding = parts.sum("part").values
    everything = ablation.remaining(embedding, embedding, texts, ["colour", "shape"])
    assert everything == pytest.approx({"variance": 1, "cosine": 1, "predictions": 1})
    mean = np.tile(embedding.mean(axis=0), (20, 1))
    nothing = ablation.remaining(embedding, mean, texts, ["colour", "shape"])
    assert nothing["variance"] == pytest.approx(0)
    assert nothing["predictions"] < 1
    against = ablation.remaining(embedding, -embedding, texts, ["colour"])
    assert against["variance"] == pytest.approx(-3)
    assert against["cosine"] == pytest.approx(-1)


def test_equal_images_and_pools_without_properties_leave_nothing_to_measure(texts):
    alike = np.ones((4, 5))
    left = ablation.remaining(alike, alike, texts, [])
    assert np.isnan([left["variance"], left["predictions"]]).all()


def test_predictions_are_the_nearest_text_of_each_property(parts, texts):
    embedding = parts.sum("part").values
    found = ablation.predictions(embedding, texts, ["shape", "colour"])
    for image in range(20):
        assert found[image, 0] == max(
            range(4), key=lambda t: embedding[image] @ texts.values[6 + t]
        )
        assert found[image, 1] == max(range(6), key=lambda t: embedding[image] @ texts.values[t])
