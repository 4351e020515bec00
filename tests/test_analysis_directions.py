"""Along which texts shifts point, and which answers flip."""

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


@pytest.fixture
def texts():
    # A large common direction, as CLIP's texts have.
    return as_texts(np.random.default_rng(1).normal(size=(5, 8)) + 3)


def test_shifts_are_differences_from_the_original(embeddings):
    shift = directions.shifts(embeddings)
    assert list(shift["augmentation"].values) == ["noise", "blur"]
    expected = embeddings.values[:, 1] - embeddings.values[:, 0]
    np.testing.assert_allclose(shift.sel(augmentation="noise"), expected)


def test_cosines_with_centred_texts_in_plain_loops(embeddings, texts):
    shift = directions.shifts(embeddings)
    along = directions.along_texts(shift, texts)
    mean = texts.values.mean(0)
    for image in range(6):
        for place in range(5):
            delta, text = shift.values[image, 0], texts.values[place] - mean
            expected = delta @ text / np.linalg.norm(delta) / np.linalg.norm(text)
            assert along[image, 0, place].item() == pytest.approx(expected)
    assert (along.sel(augmentation="blur") == 0).all()


def test_the_texts_common_direction_counts_for_nothing(texts):
    common = texts.values.mean(0)
    values = np.stack([np.zeros(8), 5 * common])[None]
    coords = {"image": ["a"], "view": VIEWS[:2]}
    shift = directions.shifts(
        xr.DataArray(values, dims=("image", "view", "feature"), coords=coords)
    )
    along = directions.along_texts(shift, texts)
    plain = texts.values @ common / np.linalg.norm(common)
    assert plain.min() > 0.8
    assert abs(along.mean()) < 0.2 * plain.mean()


def test_texts_of_another_model_do_not_fit(embeddings, texts):
    shift = directions.shifts(embeddings)
    for wrong in (texts[:, :5], texts[:1]):
        with pytest.raises(WorkbookError, match="can't say where"):
            directions.along_texts(shift, wrong)


def test_the_chance_level_is_that_of_drawn_directions(embeddings):
    shift = directions.shifts(embeddings)
    mean = directions.unit_vectors(shift).sel(augmentation="noise").mean("image").values
    drawn = np.random.default_rng(0).normal(size=(4000, 30, 8))
    drawn /= np.linalg.norm(drawn, axis=-1, keepdims=True)
    expected = np.quantile(abs(drawn @ mean).max(axis=1), 0.95)
    level = directions.chance_level(shift, 30)
    assert level["noise"] == pytest.approx(expected, rel=0.02)
    assert level["blur"] == 0


def test_the_text_that_a_shift_follows_leads_the_table():
    rng = np.random.default_rng(3)
    texts = as_texts(np.eye(40)[:12], ["letter"] * 12)
    shift = np.zeros((30, 2, 40))
    shift[:, 1] = 3 * np.eye(40)[4] - 2 * np.eye(40)[7] + rng.normal(0, 0.2, (30, 40))
    coords = {"image": range(30), "view": VIEWS[:2]}
    deltas = directions.shifts(
        xr.DataArray(shift, dims=("image", "view", "feature"), coords=coords)
    )
    along = directions.along_texts(deltas, texts)
    table = directions.text_table(along, directions.chance_level(deltas, 12), 2)
    assert table["text"].iloc[[0, -1]].tolist() == ["text 4", "text 7"]
    assert table["property"].unique().tolist() == ["letter"]
    assert table["mean"].is_monotonic_decreasing
    assert table["beyond_chance"].tolist() == [True, False, False, True]
    np.testing.assert_allclose(table["mean"].iloc[0], along.sel(text="text 4").mean())


def test_no_text_is_named_twice_in_a_small_pool(embeddings, texts):
    shift = directions.shifts(embeddings)
    along = directions.along_texts(shift, texts)
    table = directions.text_table(along, directions.chance_level(shift, 5), 3)
    assert len(table) == 2 * 4
    assert not table.duplicated(["augmentation", "text"]).any()


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


def test_answers_and_margins(answers):
    found, values = answers
    assert found["property"].values.tolist() == ["colour", "shape"]
    np.testing.assert_array_equal(found["answer"].sel(property="colour"), [[0, 1, 0], [1, 1, 1]])
    margin = found["margin"].sel(image="b", view="noise", property="shape").item()
    assert margin == pytest.approx(values[1, 1, 3] - values[1, 1, 2])


def test_flips_rates_and_margins(answers):
    found, values = answers
    flipped = directions.flips(found)
    assert flipped.sum().item() == 1
    assert flipped.sel(image="a", augmentation="noise", property="colour")
    table = directions.flip_table(found).set_index(["property", "augmentation"])
    own = table.loc[("colour", "noise")]
    assert own["rate"] == 0.5
    assert own["margin_flipped"] == pytest.approx(values[0, 0, 0] - values[0, 0, 1])
    assert own["margin_kept"] == pytest.approx(values[1, 0, 1] - values[1, 0, 0])
    assert table.loc[("shape", "blur"), "rate"] == 0
    assert np.isnan(table.loc[("shape", "blur"), "margin_flipped"])
    margins = directions.margins(found).set_index(["answer", "augmentation"])
    assert margins.loc[("flipped", "noise"), "mean"] == pytest.approx(own["margin_flipped"])
    assert margins.loc[("flipped", "blur"), "n"] == 0
    assert margins.loc[("kept", "noise"), "n"] == 2


def test_a_question_needs_two_values(embeddings):
    texts = as_texts(np.eye(8)[:3], ["a", "b", "b"])
    assert directions.zero_shot(embeddings, texts)["property"].values.tolist() == ["b"]
    with pytest.raises(WorkbookError, match="two values"):
        directions.zero_shot(embeddings, texts[:2])
