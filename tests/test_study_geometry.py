"""Similarities under other borders and aligned scores, kept with a run."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis.scores import embedding_similarity
from helpers.data import geometry
from helpers.study import geometry as kept
from helpers.study import open_run
from helpers.study.compared import subset_run


@pytest.fixture
def run(parameters):
    return open_run(**parameters)


def test_the_published_border_gives_the_scores_of_the_run(run):
    found = kept.border_similarity(run, "black", [1.0])
    own = run.scores()["embedding_similarity"].sel(augmentation=list(geometry.BORDERED))
    np.testing.assert_allclose(found.isel(severity=0), own, atol=1e-5)


def test_pixels_of_a_geometric_view_are_the_moved_original_s(run):
    found = kept.aligned_scores(run)
    assert list(found["augmentation"].values) == list(geometry.GEOMETRIC)
    assert (found["patch_similarity"] > 0.999).all()
    attention = found["attention_similarity"]
    assert ((attention > 0.5) & (attention <= 1)).all()


def test_a_small_run_is_its_own_subset_and_a_large_one_is_cut(run):
    assert subset_run(run, 7) is run
    assert len(subset_run(run, 3).images) == 3


def test_similarities_are_those_of_the_drawn_views_and_are_kept(run, monkeypatch):
    found = kept.border_similarity(run, "reflect", [0.5, 1.0])
    assert found.dims == ("severity", "image", "augmentation")
    assert found["severity"].values.tolist() == [0.5, 1.0]
    assert list(found["image"].values) == list(run.encodings()["image"].values)
    image = str(found["image"].values[2])
    original = run.views(image)["original"]
    for name in geometry.BORDERED:
        view = geometry.refilled(original, name, "reflect", image, severity=0.5)
        one, other = run.model.encode(np.stack([original, view])).embedding
        expected = embedding_similarity(one, other)
        value = found.sel(severity=0.5, image=image, augmentation=name).item()
        assert value == pytest.approx(float(expected), abs=1e-5)
    monkeypatch.setattr(kept, "_similarities", None)  # what is kept is not computed again
    again = kept.border_similarity(run, "reflect", [0.5, 1.0])
    np.testing.assert_array_equal(again, found)


def test_refilled_views_are_encoded_and_kept(run, monkeypatch):
    found = kept.refilled_embeddings(run)
    assert found.dims == ("image", "view", "feature")
    image = str(found["image"].values[1])
    original = run.views(image)["original"]
    pairs = zip(found["augmentation"].values, found["filling"].values, strict=True)
    for at, (name, filling) in enumerate(pairs):
        view = geometry.refilled(original, name, filling, image)
        (expected,) = run.model.encode(view[None]).embedding
        np.testing.assert_allclose(found.sel(image=image)[at], expected, atol=0.02)
    monkeypatch.setattr(kept, "_refilled", pytest.fail)
    xr.testing.assert_identical(kept.refilled_embeddings(run), found)
