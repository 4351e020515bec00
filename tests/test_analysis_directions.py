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
    level = directions.isotropic_level(shift, 30)
    assert level["noise"] == pytest.approx(expected, rel=0.02)
    assert level["blur"] == 0


def test_the_text_that_a_shift_follows_leads_the_table():
    rng = np.random.default_rng(3)
    texts = as_texts(np.eye(40)[:36], ["letter"] * 36)
    shift = np.zeros((30, 2, 40))
    shift[:, 1] = 3 * np.eye(40)[4] - 2.9 * np.eye(40)[7] + rng.normal(0, 0.2, (30, 40))
    coords = {"image": range(30), "view": VIEWS[:2]}
    deltas = directions.shifts(
        xr.DataArray(shift, dims=("image", "view", "feature"), coords=coords)
    )
    along = directions.along_texts(deltas, texts)
    table = directions.text_table(along, directions.span_null(deltas, texts, draws=200), 2)
    assert table["text"].iloc[[0, -1]].tolist() == ["text 4", "text 7"]
    assert table["property"].unique().tolist() == ["letter"]
    assert table["mean"].is_monotonic_decreasing
    assert table["beyond_chance"].tolist() == [True, False, False, True]
    np.testing.assert_allclose(table["mean"].iloc[0], along.sel(text="text 4").mean())


def small_world(rng, mean_shift=None):
    """Texts that span 4 of 40 dimensions; every image's own shift, and perhaps a common one."""
    texts = as_texts(np.hstack([rng.normal(size=(15, 4)), np.zeros((15, 36))]))
    values = rng.normal(size=(30, 2, 40))
    if mean_shift is not None:
        values[:, 1] = values[:, 0] + mean_shift + rng.normal(0, 0.1, (30, 40))
    coords = {"image": range(30), "view": VIEWS[:2]}
    return texts, xr.DataArray(values, dims=("image", "view", "feature"), coords=coords)


def test_the_span_of_the_texts_is_a_higher_bar_than_all_directions():
    rng = np.random.default_rng(5)
    mean_shift = np.hstack([rng.normal(size=4), np.zeros(36)])
    texts, embeddings = small_world(rng, mean_shift)
    shift = directions.shifts(embeddings)
    null = directions.span_null(shift, texts, draws=300)
    fair = null.quantile(0.95, "draw").to_series()["noise"]
    centred = directions.unit_vectors(texts - texts.mean("text")).values
    mean = directions.unit_vectors(shift).mean("image").values[0]
    drawn = np.random.default_rng(1).normal(size=(300, 15, 15)) @ centred
    drawn /= np.linalg.norm(drawn, axis=-1, keepdims=True)
    assert fair == pytest.approx(np.quantile(abs(drawn @ mean).max(axis=1), 0.95), rel=0.03)
    assert fair > 1.5 * directions.isotropic_level(shift, 15)["noise"]


def test_of_shifts_in_random_directions_of_the_texts_few_are_beyond_chance():
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        mean_shift = np.hstack([rng.normal(size=4), np.zeros(36)])
        texts, embeddings = small_world(rng, mean_shift)
        shift = directions.shifts(embeddings)
        null = directions.span_null(shift, texts, draws=100, seed=seed)
        table = directions.text_table(directions.along_texts(shift, texts), null, 2)
        found.append(table["beyond_chance"].any())
    assert np.mean(found) <= 0.15


def test_with_images_permuted_the_common_shift_remains():
    rng = np.random.default_rng(6)
    texts, embeddings = small_world(rng)
    embeddings[:, 1] = embeddings[:, 0] + 20 * texts.values[3]
    common = directions.along_texts(directions.shifts(embeddings), texts).mean("image")
    null = directions.permuted_null(embeddings, texts, draws=5)
    assert null.dims == ("draw", "augmentation")
    np.testing.assert_allclose(null, abs(common).max().item(), rtol=0.1)
    embeddings[:, 1] = embeddings[:, 0] * 1.1  # each image along itself: no common shift
    null = directions.permuted_null(embeddings, texts, draws=20).median()
    assert null < 0.2


def test_a_move_to_another_image_in_plain_loops():
    texts, embeddings = small_world(np.random.default_rng(7))
    originals = embeddings.sel(view="original", drop=True)[:5]
    found = directions.other_images(originals, texts)
    centred = directions.unit_vectors(texts - texts.mean("text")).values
    for place in range(5):
        steps = [originals.values[place] - originals.values[n] for n in range(5) if n != place]
        mean = np.mean([step / np.linalg.norm(step) for step in steps], axis=0)
        assert found[place] == pytest.approx(abs(centred @ mean).max())


def test_texts_about_a_property_can_be_left_out():
    texts = as_texts(np.eye(3), ["colour", "photograph", ""])
    assert directions.without(texts, "photograph")["text"].values.tolist() == ["text 0", "text 2"]
    assert directions.without(texts, "size").sizes["text"] == 3


def test_no_text_is_named_twice_in_a_small_pool(embeddings, texts):
    shift = directions.shifts(embeddings)
    along = directions.along_texts(shift, texts)
    table = directions.text_table(along, directions.span_null(shift, texts, draws=50), 3)
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


def test_no_image_is_permuted_to_itself():
    texts, embeddings = small_world(np.random.default_rng(8))
    pair = embeddings[:2].copy()
    pair[:, 1] = pair[:, 0].values + 20 * texts.values[[3, 5]]  # each image along a text of its own
    null = directions.permuted_null(pair, texts, draws=20)
    exchanged = pair.copy(data=pair.values)
    exchanged[:, 1] = pair[::-1, 1].values
    only = directions.along_texts(directions.shifts(exchanged), texts).mean("image")
    np.testing.assert_allclose(null, abs(only).max().item(), rtol=1e-6)
