"""The account of ordinary differences, pair by pair and by products."""

from itertools import permutations

import numpy as np

from helpers.analysis.dissection import shares as shares_of
from helpers.data.changes import ORIGINAL
from helpers.runs import open_run
from helpers.runs.derived.ordinary import ordinary_differences


def test_the_mean_over_pairs_is_that_of_all_pairs_one_by_one(parameters):
    run = open_run(**parameters | {"images": "scenes:3"})
    ordinary = ordinary_differences(run)
    ids = ordinary["image"].values.tolist()
    encodings = {each: run.model.encode(run.views(each, ())[ORIGINAL][None]) for each in ids}
    pairs = {(i, j): shares_of(encodings[i], encodings[j])[0] for i, j in permutations(ids, 2)}
    for image in ids:
        by_hand = np.mean([value for (first, _), value in pairs.items() if first == image], axis=0)
        np.testing.assert_allclose(ordinary["shares"].sel(image=image), by_hand, atol=1e-5)
        another = ordinary["another"].sel(image=image)
        gaps = [abs(another - pairs[image, other]).max() for other in ids if other != image]
        assert min(gaps) < 1e-5
    np.testing.assert_allclose(ordinary["shares"].sum("component"), 1, atol=1e-5)
    assert ordinary["source"].values.tolist() == ["scenes"] * 3
    assert ordinary.nbytes < 20_000


def test_one_image_has_no_ordinary_difference(parameters):
    run = open_run(**parameters | {"images": "scenes:1"})
    ordinary = ordinary_differences(run)
    assert ordinary["shares"].isnull().all() and ordinary["another"].isnull().all()
