"""The residual stream is read out at every depth."""

import numpy as np

from helpers import study
from helpers.study.lens import read_at_every_depth


def test_depths_are_those_of_the_encoding_and_end_in_the_embedding(parameters):
    run = study.open_run(**parameters | {"images": "scenes:3"})
    ids = run.images.ids[1:]
    depths = read_at_every_depth(run, ids)
    assert list(depths["image"].values) == ids
    assert list(depths["depth"].values) == ["start", *"012345"]
    embedding = run.encodings()["embedding"].sel(image=ids)
    np.testing.assert_allclose(depths.sel(depth="5"), embedding, atol=2e-5)
    start = depths.sel(depth="start").values
    np.testing.assert_allclose(start, np.broadcast_to(start[0, 0], start.shape), atol=1e-6)
