"""Ensembles of wordings, and zero-shot predictions."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis import directions
from helpers.checks import WorkbookError

VIEWS = ["original", "noise", "blur"]


@pytest.fixture
def embeddings():
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
    assert directions.without(texts, "photograph")["text"].values.tolist() == ["text 0", "text 2"]
    assert directions.without(texts, "size").sizes["text"] == 3


def test_an_ensemble_is_the_mean_of_its_wordings():
    texts = as_texts(np.random.default_rng(0).normal(size=(4, 8)), ["colour", "", "colour", "fill"])
    found = directions.ensembles(texts.assign_coords(value=("text", ["red", "x", "red", "red"])))
    assert found["text"].values.tolist() == ["red", "x", "red"]
    assert found["property"].values.tolist() == ["colour", directions.ALL_TEXTS, "fill"]
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
    embeddings = xr.DataArray(7 * values, dims=("image", "view", "feature"), coords=coords)
    return directions.zero_shot(embeddings, texts), values


def test_predictions_and_margins(answers):
    found, values = answers
    assert found["property"].values.tolist() == ["colour", "shape"]
    np.testing.assert_array_equal(
        found["prediction"].sel(property="colour"), [[0, 1, 0], [1, 1, 1]]
    )
    margin = found["margin"].sel(image="b", view="noise", property="shape").item()
    assert margin == pytest.approx(values[1, 1, 3] - values[1, 1, 2])


def test_a_question_needs_two_values(embeddings):
    texts = as_texts(np.eye(8)[:3], ["a", "b", "b"])
    assert directions.zero_shot(embeddings, texts)["property"].values.tolist() == ["b"]
    with pytest.raises(WorkbookError, match="two values"):
        directions.zero_shot(embeddings, texts[:2])
