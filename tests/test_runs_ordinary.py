"""The account of ordinary differences, pair by pair and by products."""

from itertools import permutations

import numpy as np

from helpers.analysis.dissection import shares as shares_of
from helpers.data.changes import ORIGINAL
from helpers.runs import open_run
from helpers.runs.derived.ordinary import ordinary_differences


def test_the_mean_over_pairs_is_that_of_all_pairs_one_by_one(parameters):
    run = open_run(**parameters | {"images": "scenes:3"})
    found = ordinary_differences(run)
    ids = found["image"].values.tolist()
    encodings = {each: run.model.encode(run.views(each, ())[ORIGINAL][None]) for each in ids}
    pairs = {(i, j): shares_of(encodings[i], encodings[j])[0] for i, j in permutations(ids, 2)}
    for image in ids:
        own = np.mean([value for (first, _), value in pairs.items() if first == image], axis=0)
        np.testing.assert_allclose(found["shares"].sel(image=image), own, atol=1e-5)
        another = found["another"].sel(image=image)
        gaps = [abs(another - pairs[image, other]).max() for other in ids if other != image]
        assert min(gaps) < 1e-5
    np.testing.assert_allclose(found["shares"].sum("component"), 1, atol=1e-5)
    assert found["source"].values.tolist() == ["scenes"] * 3
    assert found.nbytes < 20_000


def test_one_image_has_no_ordinary_difference(parameters):
    run = open_run(**parameters | {"images": "scenes:1"})
    found = ordinary_differences(run)
    assert found["shares"].isnull().all() and found["another"].isnull().all()
