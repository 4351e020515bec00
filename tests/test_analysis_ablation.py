"""Mean-ablation against plain loops, and what its measures say in cases that are known."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis import ablation
from helpers.analysis.labels import read_heads

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


def test_accuracy_counts_right_answers():
    embeddings = np.array([[1, 0], [0, 1], [1, 0.1]])
    prompts, truth = {"side": np.eye(2)}, {"side": np.array([0, 1, 1])}
    assert ablation.accuracy(embeddings, prompts, truth) == {"side": pytest.approx(2 / 3)}


def test_more_texts_rebuild_more_until_all_is_said(parts, texts):
    rng = np.random.default_rng(3)
    heads = xr.DataArray(
        rng.normal(size=(20, 2, 2, 5)),
        {"layer": [0, 1], "head": [0, 1]},
        ("image", "layer", "head", "feature"),
    )
    readings = read_heads(heads, texts, k=5)
    rebuilt = ablation.by_texts(parts, heads, texts, readings["text"], [0, 1, 3, 5])
    constant = parts.mean("image").sum("part").values
    np.testing.assert_allclose(rebuilt[0], np.tile(constant, (20, 1)), rtol=1e-12)
    varying = (heads - heads.mean("image")).sum(("layer", "head")).values
    np.testing.assert_allclose(rebuilt[5] - constant, varying, atol=1e-5)
    # Of each head, the first c texts keep just the variance that they explain.
    single = heads[:, :1, :1]
    own = read_heads(single, texts, k=5)
    said = ablation.by_texts(parts, single, texts, own["text"], [3])[3] - constant
    share = np.square(said).sum() / np.square(single - single.mean("image")).sum()
    assert share == pytest.approx(own["explained"].values[0, 0, :3].sum(), rel=1e-5)


def test_a_curve_has_a_row_per_step(parts, texts):
    embedding = parts.sum("part").values
    steps = ablation.last_layers(parts)["everything else"]
    table = ablation.curve(embedding, steps, texts, ["colour"])
    assert table.index.tolist() == [0, 1, 2]
    assert table.loc[1].to_dict() == pytest.approx(
        ablation.remaining(embedding, steps[1], texts, ["colour"])
    )


def test_accuracy_falls_where_the_head_that_tells_is_ablated():
    rng = np.random.default_rng(0)
    colour, shape = rng.integers(0, 2, (2, 100))
    heads = np.zeros((100, 1, 2, 4))
    heads[np.arange(100), 0, 0, colour] = 3
    heads[np.arange(100), 0, 1, 2 + shape] = 3
    heads = xr.DataArray(
        heads, {"layer": [7], "head": [0, 1]}, ("image", "layer", "head", "feature")
    )
    prompts = {"colour": np.eye(4)[:2], "shape": np.eye(4)[2:]}
    truth = {"colour": colour, "shape": shape}
    embeddings = heads.sum(("layer", "head")).values
    change = ablation.accuracy_without_heads(embeddings, heads, prompts, truth)
    assert change.dims == ("layer", "head", "attribute")
    assert change.sel(head=0, attribute="shape").item() == 0
    assert change.sel(head=1, attribute="colour").item() == 0
    for head, name in enumerate(truth):
        without = embeddings - heads.values[:, 0, head] + heads.values[:, 0, head].mean(axis=0)
        right = ablation.accuracy(without, prompts, truth)[name]
        assert change.sel(head=head, attribute=name).item() == pytest.approx(right - 1)
        assert right < 0.7
