"""Ensembles of wordings, zero-shot predictions, and these against the truth, where there is one."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers.analysis import predictions
from helpers.checks import WorkbookError

VIEWS = ["original", "noise", "blur"]


@pytest.fixture
def texts():
    """Three colours, two shapes and one property of a single value, each its own direction."""
    names = ["red", "green", "blue", "round", "square", "alone"]
    properties = ["colour"] * 3 + ["shape"] * 2 + ["single"]
    coords = {"text": names, "property": ("text", properties)}
    return xr.DataArray(np.eye(6), dims=("text", "feature"), coords=coords)


@pytest.fixture
def truth():
    return pd.DataFrame(
        {"colour": ["red", "blue", ""], "shape": ["square", "", "octagon"], "single": "alone"},
        index=["a", "b", "c"],
    )


def asked(texts, truth):
    return predictions.true_values(texts, dict.fromkeys(VIEWS, truth))


@pytest.fixture
def embeddings():
    """Image a keeps its colour and loses its shape under noise; b gains its colour under blur."""
    shown = {
        "a": [(0, 4), (0, 3), (0, 4)],
        "b": [(1, 3), (1, 4), (2, 3)],
        "c": [(0, 3), (1, 4), (2, 3)],
    }
    values = np.zeros((3, 3, 6))
    for image, views in enumerate(shown.values()):
        for view, places in enumerate(views):
            values[image, view, list(places)] = 1
    coords = {"image": list(shown), "view": VIEWS}
    return xr.DataArray(values, dims=("image", "view", "feature"), coords=coords)


def test_only_questions_with_a_true_answer_are_asked(texts, truth):
    true = asked(texts, truth)
    assert true["property"].values.tolist() == ["colour", "shape"]
    np.testing.assert_array_equal(true.sel(view="noise"), [[0, 1], [2, -1], [-1, -1]])
    np.testing.assert_allclose(true["chance"], [1 / 3, 1 / 2])
    assert asked(texts, truth[[]]).sizes == {"view": 3, "image": 3, "property": 0}


def test_a_view_may_have_a_truth_of_its_own(embeddings, texts, truth):
    other = truth.assign(shape=["round", "", ""])
    true = predictions.true_values(texts, dict.fromkeys(VIEWS, truth) | {"noise": other})
    right = predictions.judged(embeddings, texts, true)
    np.testing.assert_array_equal(right.sel(image="a", property="shape"), [1, 1, 1])
    lost = predictions.lost(right)
    assert not lost.sel(image="a").any()


def test_right_wrong_and_not_asked(embeddings, texts, truth):
    true = asked(texts, truth)
    right = predictions.judged(embeddings, texts, true)
    nan = np.nan
    np.testing.assert_array_equal(right.sel(image="a"), [[1, 1], [1, 0], [1, 1]])
    np.testing.assert_array_equal(right.sel(image="b"), [[0, nan], [0, nan], [1, nan]])
    assert right.sel(image="c").isnull().all()
    reordered = predictions.judged(embeddings.transpose("view", "feature", "image"), texts, true)
    xr.testing.assert_equal(reordered.transpose(*right.dims), right)


def test_accuracy_lost(embeddings, texts, truth):
    true = asked(texts, truth)
    lost = predictions.lost(predictions.judged(embeddings, texts, true))
    assert lost.sel(image="a", augmentation="noise", property="shape") == 1
    assert lost.sel(image="b", augmentation="blur", property="colour") == -1
    table = predictions.over_questions(lost)
    assert table.loc["noise", "mean"] == pytest.approx((0.5 + 0) / 2)
    assert table.loc["blur", ["mean", "n"]].tolist() == [-0.5, 2]


def test_accuracy_of_every_view_beside_chance(embeddings, texts, truth):
    right = predictions.judged(embeddings, texts, asked(texts, truth))
    table = predictions.accuracy(right)
    assert table["mean"].to_dict() == {"original": 0.5, "noise": 0.25, "blur": 1.0}
    # a is asked for colour and shape, b for colour.
    assert table["chance"].tolist() == pytest.approx([((1 / 3 + 1 / 2) / 2 + 1 / 3) / 2] * 3)
    unknown = predictions.judged(embeddings, texts, asked(texts, truth[[]]))
    assert predictions.accuracy(unknown).isna().drop(columns="n").all(axis=None)


def test_side_by_side_are_the_values_predicted_and_their_margins(texts):
    shown = xr.DataArray([[1, 0, 0, 0.5, 0, 0], [0, 0.5, 0, 1, 0.75, 0]], dims=("view", "feature"))
    table = predictions.side_by_side(shown, texts)
    assert table.loc["colour", ["original", "changed"]].tolist() == ["red", "green"]
    assert table.loc["shape", ["original", "changed"]].tolist() == ["round", "round"]
    lengths = np.linalg.norm(shown.values, axis=1)
    assert table["original_margin"].tolist() == pytest.approx([1 / lengths[0], 0.5 / lengths[0]])
    assert table["margin"].tolist() == pytest.approx([0.5 / lengths[1], 0.25 / lengths[1]])
    assert "single" not in table.index


@pytest.fixture
def vectors():
    values = np.random.default_rng(0).normal(size=(6, 3, 8))
    values[:, 2] = values[:, 0]  # blur moves nothing
    coords = {"image": [f"image-{i}" for i in range(6)], "view": VIEWS}
    return xr.DataArray(values, dims=("image", "view", "feature"), coords=coords)


def as_texts(values, properties=None):
    values = np.asarray(values, float)
    values = values / np.linalg.norm(values, axis=1, keepdims=True)
    coords = {
        "text": [f"text {place}" for place in range(len(values))],
        "property": ("text", properties or [""] * len(values)),
    }
    return xr.DataArray(values, dims=("text", "feature"), coords=coords)


def test_texts_about_a_property_can_be_left_out():
    texts = as_texts(np.eye(3), ["colour", "photograph", ""])
    assert predictions.without(texts, "photograph")["text"].values.tolist() == ["text 0", "text 2"]
    assert predictions.without(texts, "size").sizes["text"] == 3


def test_an_ensemble_is_the_mean_of_its_wordings():
    texts = as_texts(np.random.default_rng(0).normal(size=(4, 8)), ["colour", "", "colour", "fill"])
    found = predictions.ensembles(texts.assign_coords(value=("text", ["red", "x", "red", "red"])))
    assert found["text"].values.tolist() == ["red", "x", "red"]
    assert found["property"].values.tolist() == ["colour", predictions.ALL_TEXTS, "fill"]
    mean = texts.values[[0, 2]].mean(0)
    np.testing.assert_allclose(found.values[0], mean / np.linalg.norm(mean))
    np.testing.assert_allclose(found.values[1:], texts.values[[1, 3]])


@pytest.fixture
def answers():
    """Two questions of two values; the first image's colour flips under noise, clearly."""
    texts = as_texts(np.eye(4), ["colour", "colour", "shape", "shape"])
    values = np.array(
        [
            [[0.9, 0.1, 0.5, 0.1], [0.1, 0.9, 0.5, 0.1], [0.8, 0.2, 0.5, 0.1]],
            [[0.1, 0.3, 0.2, 0.6], [0.1, 0.4, 0.2, 0.6], [0.2, 0.3, 0.2, 0.6]],
        ]
    )
    values = values / np.linalg.norm(values, axis=-1, keepdims=True)
    coords = {"image": ["a", "b"], "view": VIEWS}
    vectors = xr.DataArray(7 * values, dims=("image", "view", "feature"), coords=coords)
    return predictions.zero_shot(vectors, texts), values


def test_predictions_and_margins(answers):
    found, values = answers
    assert found["property"].values.tolist() == ["colour", "shape"]
    np.testing.assert_array_equal(
        found["prediction"].sel(property="colour"), [[0, 1, 0], [1, 1, 1]]
    )
    margin = found["margin"].sel(image="b", view="noise", property="shape").item()
    assert margin == pytest.approx(values[1, 1, 3] - values[1, 1, 2])


def test_a_question_needs_two_values(vectors):
    texts = as_texts(np.eye(8)[:3], ["a", "b", "b"])
    assert predictions.zero_shot(vectors, texts)["property"].values.tolist() == ["b"]
    with pytest.raises(WorkbookError, match="two values"):
        predictions.zero_shot(vectors, texts[:2])
