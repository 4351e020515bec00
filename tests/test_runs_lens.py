"""The residual stream is read out at every depth, and asked there."""

import numpy as np

from helpers.analysis.predictions import answered, ensembles
from helpers.runs import open_run
from helpers.runs.derived import lens


def test_depths_are_those_of_the_encoding_and_end_in_the_embedding(parameters):
    run = open_run(**parameters | {"images": "scenes:3"})
    ids = run.images.ids[1:]
    depths = lens.read_at_every_depth(run, ids)
    assert list(depths["image"].values) == ids
    assert list(depths["depth"].values) == ["start", *"012345"]
    embedding = run.encodings()["embedding"].sel(image=ids)
    np.testing.assert_allclose(depths.sel(depth="5"), embedding, atol=2e-5)
    start = depths.sel(depth="start").values
    np.testing.assert_allclose(start, np.broadcast_to(start[0, 0], start.shape), atol=1e-6)


def test_answers_at_depths_are_kept_and_end_in_those_of_the_embedding(parameters, monkeypatch):
    monkeypatch.setattr(lens, "MOST_IMAGES", 2)
    run = open_run(**parameters | {"images": "scenes:3"})
    texts = ensembles(run.text_embeddings())
    found = lens.answers_at_every_depth(run, texts)
    assert list(found["image"].values) == [run.images.ids[0], run.images.ids[2]]
    assert set(found["source"].values) == {"scenes"}
    own = answered(run.encodings()["embedding"].sel(image=found["image"].values), texts)
    assert (found.sel(depth="5", drop=True) == own).all()
    monkeypatch.setattr(
        lens, "read_at_every_depth", None
    )  # it would be called for what is not kept
    assert (lens.answers_at_every_depth(run, texts) == found).all()
