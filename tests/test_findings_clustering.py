"""What notebook 04 answers, on shifts that are made."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers.analysis.proximity import distances_beside_lengths
from helpers.analysis.shifts import PUBLISHED, mean_shift_directions
from helpers.findings import clustering as findings

NAMES = ["noise", "blur", "elastic", "flip"]
WORDS = {name: name for name in NAMES}
AXES = ("image", "view", "feature")


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def views(rng, directions, spread=0.2, images=40):
    """Originals and views that move along a direction each, by 0 where images share none."""
    original = rng.normal(size=(images, 1, 16)) + 5 * np.eye(16)[15]
    shifts = np.array(directions) + rng.normal(0, spread, (images, len(NAMES), 16))
    values = np.concatenate([original, original + shifts], axis=1)
    return xr.DataArray(values, {"view": ["original", *NAMES]}, AXES)


def answered(embeddings, refilled=None):
    shift = embeddings - embeddings.sel(view="original", drop=True)
    shift = shift.sel(view=NAMES).rename(view="augmentation")
    directions = {"photos": mean_shift_directions(shift, n_resamples=99)}
    trees = {"photos": findings.published_tree(embeddings.sel(view=NAMES))}
    distances = {"photos": distances_beside_lengths(embeddings)}
    return findings.answer(directions, distances, trees, WORDS, refilled)


def test_two_that_share_a_direction_are_found(rng):
    one, other = np.eye(16)[:2]
    found = answered(views(rng, [one, one + 0.1 * other, other, 0 * one]))
    assert found.findings[0].answer == "noise and blur"
    assert found.findings[1].estimate == "3 of 4"
    assert "0 other pairs overlap" in found.findings[0].beside


def test_shifts_without_a_direction_are_alike_in_none(rng):
    found = answered(views(rng, np.zeros((4, 16)), spread=1))
    assert found.findings[0].answer == "none surely"
    assert "No two changes" in found.sentence


def test_distances_that_restate_lengths_are_called_so(rng):
    # At right angles, each twice as far as the last: only lengths differ.
    found = answered(views(rng, np.eye(16)[:4] * [[0.5], [1], [2], [4]], spread=0.05))
    assert "restate" in found.sentence
    # All at one distance, two of them to the same place.
    same = np.eye(16)[[0, 0, 1, 2]] * 2
    found = answered(views(rng, same, spread=0.05))
    assert "show more" in found.sentence


def refilled(as_published, *others):
    rows = [["noise", "blur", PUBLISHED, *as_published]]
    rows += [["noise", "blur", "mean", *other] for other in others]
    columns = ["augmentation", "other", "filling", "estimate", "low", "high", "left"]
    return pd.DataFrame(rows, columns=columns)


ALIKE, NOT = (0.7, 0.6, 0.8, 1.0), (0.1, -0.1, 0.3, 0.8)
WIDE, GONE, LITTLE = (0.4, -0.2, 1, 0.8), (0.4, -0.2, 1, 0.02), (0.5, 0.3, 0.7, 0.02)


@pytest.mark.parametrize(
    ("published", "others", "answer"),
    [
        (ALIKE, [NOT], findings.YES),
        (ALIKE, [NOT, GONE], findings.YES),
        (ALIKE, [NOT, ALIKE], findings.PART),
        (ALIKE, [GONE, GONE], findings.GONE),
        (ALIKE, [WIDE], findings.UNKNOWN),
        (ALIKE, [(0.5, np.nan, np.nan, 0.5)], findings.UNKNOWN),
        (ALIKE, [ALIKE], findings.NO),
        (ALIKE, [LITTLE], findings.NO),
        (NOT, [ALIKE], findings.UNSURE),
    ],
)
def test_paint_makes_alike_where_a_cosine_falls_without_it(rng, published, others, answer):
    tables = {"photos": refilled(published, *others)}
    found = answered(views(rng, np.eye(16)[:4]), tables)
    assert found.findings[2].answer == answer


def test_no_source_is_left_out_of_what_paint_does(rng):
    tables = {"photos": refilled(NOT, NOT), "scenes": refilled(ALIKE, GONE)}
    found = answered(views(rng, np.eye(16)[:4]), tables)
    assert found.findings[2].answer == f"photos {findings.UNSURE}; scenes {findings.GONE}"
    assert (
        "Noise and blur: on photos they are not surely alike; on scenes hardly any common direction"
        " is left without what they paint." in found.sentence
    )
    assert "2% of the common shift left" in found.findings[2].beside


def test_one_image_and_nothing_moved_have_an_answer(rng):
    found = answered(views(rng, np.eye(16)[:4], images=1))
    assert found.findings[0].answer == "none surely"
    assert not found.table["estimate"].str.contains("nan").any()
    still = views(rng, np.zeros((4, 16)), spread=0)
    assert answered(still).findings == []
