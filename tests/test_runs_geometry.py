"""Similarities under other borders and aligned scores, kept with a run."""

import numpy as np
import pytest
import xarray as xr

from helpers.data import geometry
from helpers.runs import open_run
from helpers.runs.derived import geometry as kept
from helpers.runs.variants import subset_run


@pytest.fixture
def run(parameters):
    return open_run(**parameters)


def test_pixels_of_a_geometric_view_are_the_moved_original_s_and_are_kept(run, monkeypatch):
    scores = kept.aligned_scores(run)
    assert list(scores["augmentation"].values) == list(geometry.GEOMETRIC)
    assert (scores["patch_similarity"] > 0.999).all()
    attention = scores["attention_similarity"]
    assert ((attention > 0.5) & (attention <= 1)).all()
    monkeypatch.setattr(kept, "_aligned", None)  # what is kept is not computed again
    xr.testing.assert_identical(kept.aligned_scores(run), scores)


def test_a_small_run_is_its_own_subset_and_a_large_one_is_cut(run):
    assert subset_run(run, 7) is run
    assert len(subset_run(run, 3).images) == 3


def test_refilled_views_are_encoded_and_kept(run, monkeypatch):
    embeddings = kept.refilled_embeddings(run)
    assert embeddings.dims == ("image", "view", "feature")
    image = str(embeddings["image"].values[1])
    original = run.views(image)["original"]
    pairs = zip(embeddings["augmentation"].values, embeddings["filling"].values, strict=True)
    for at, (name, filling) in enumerate(pairs):
        view = geometry.refilled(original, name, filling, image)
        (expected,) = run.model.encode(view[None]).embedding
        np.testing.assert_allclose(embeddings.sel(image=image)[at], expected, atol=0.02)
    monkeypatch.setattr(kept, "_refilled", pytest.fail)
    xr.testing.assert_identical(kept.refilled_embeddings(run), embeddings)
