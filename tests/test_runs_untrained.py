"""Untrained networks of several seeds, and what is kept of the published code's scores."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis.order import moved_by
from helpers.analysis.scores import detail_similarity
from helpers.clip import load
from helpers.data import views
from helpers.runs import open_run
from helpers.runs.derived import pixels, untrained
from tests import tiny


@pytest.fixture
def run(parameters):
    return open_run(**parameters)


def test_networks_differ_by_their_seed_and_the_rest_is_as_it_is():
    first, second, again = (load("embedded", "0", device="cpu", seed=seed) for seed in (0, 1, 1))
    pixels = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    embeddings = [each.encode(pixels).embedding for each in (first, second, again)]
    assert not np.allclose(embeddings[0], embeddings[1], atol=1e-2)
    np.testing.assert_array_equal(embeddings[1], embeddings[2])
    trained = [load("embedded", device="cpu", seed=seed).encode(pixels) for seed in (0, 1)]
    np.testing.assert_array_equal(trained[0].embedding, trained[1].embedding)


def test_networks_of_open_clip_differ_by_their_seed(tmp_path):
    pixels = np.zeros((1, 224, 224, 3), np.uint8)
    with tiny.registered(tmp_path, **{tiny.NAME: tiny.CONFIG}):
        pair = [load(tiny.NAME, device="cpu", seed=seed) for seed in (0, 1)]
    one, other = (model.encode(pixels) for model in pair)
    assert not np.allclose(one.embedding, other.embedding, atol=1e-2)


def test_how_far_networks_move_images_is_kept(run, monkeypatch):
    monkeypatch.setattr(untrained, "NETWORKS", 2)
    monkeypatch.setattr(untrained, "IMAGES", 3)
    result = untrained.moved_untrained(run)
    assert result["moved"].shape == (2, 3, 9)
    assert len(set(result["source"].values)) == 1
    drawn = run.views(str(result["image"].values[1]))
    model = load("embedded", "0", device="cpu", seed=2)
    embeddings = model.encode(np.stack(list(drawn.values()))).embedding
    coords = {"view": list(drawn)}
    expected = moved_by(xr.DataArray(embeddings[None], coords, ("image", "view", "feature")))
    np.testing.assert_allclose(result["moved"][1, 1], expected[0], atol=1e-4)
    monkeypatch.setattr(untrained, "_moved", pytest.fail)
    xr.testing.assert_identical(untrained.moved_untrained(run), result)


def test_a_large_network_gets_fewer_draws_and_images(run, monkeypatch):
    monkeypatch.setattr(untrained, "LARGE", 1000)
    monkeypatch.setattr(untrained, "NETWORKS_OF_LARGE", 1)
    monkeypatch.setattr(untrained, "IMAGES_OF_LARGE", 2)
    assert untrained.moved_untrained(run)["moved"].shape == (1, 2, 9)


def test_departing_scores_are_of_the_run_s_draw_and_others_of_the_next(run):
    result = pixels.departures(run)
    image = str(result["image"].values[0])
    drawn = run.views(image)
    row = result.sel(image=image, augmentation="noise")
    expected = detail_similarity(drawn["original"], drawn["noise"], grey=True)
    assert row["detail_grey"].item() == pytest.approx(float(expected))
    other = views(drawn["original"], image, seed=1)
    expected = detail_similarity(drawn["original"], other["noise"])
    assert row["detail_similarity"].item() == pytest.approx(float(expected))
