"""What notebook 03 answers, on scores and orders that are made."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis import order
from helpers.analysis.scores import SCORES
from helpers.data import STUDY
from helpers.findings import metrics

# The furthest first; elastic has no published place.
PLACE = {name: at for at, name in enumerate([n for own in order.PUBLISHED for n in own])}
PUBLISHED = np.array([10.0 - PLACE.get(name, 9) for name in STUDY])
SOURCES = ["photos"] * 12 + ["scenes"] * 20


def by_change(means, rng, noise=0.1):
    """How far images are moved, with given means by change, in parts of 1."""
    values = (means + rng.normal(0, noise, (len(SOURCES), len(STUDY)))) / 40
    coords = {"image": np.arange(len(SOURCES)), "augmentation": list(STUDY)}
    found = xr.DataArray(values, coords, ("image", "augmentation"))
    return found.assign_coords(source=("image", SOURCES))


def scores_of(moved, unrelated=(), rng=None):
    """Scores that all fall as embeddings move, but for some that are drawn at random."""
    found = {}
    for name, row in SCORES.items():
        values = moved.copy(data=rng.random(moved.shape) / 40) if name in unrelated else moved
        found[name] = 1 - values if row.higher_is_closer else values
    return xr.Dataset(found)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def answered(moved, pixels, networks, rng, unrelated=(), **options):
    scores = scores_of(moved, unrelated, rng)
    untrained = xr.concat(networks, xr.Variable("network", range(1, 1 + len(networks))))
    tables = {
        name: metrics.agreement(moved, pixels, untrained, groups)
        for name, groups in (("agreement", order.BEYOND_NOISE), ("noise", order.NOISE_FIRST))
    }
    found = metrics.answer(scores, metrics.correlations(scores), **tables, **options)
    return found, found.table.set_index("question")["answer"]


NOISE = "Does noise move embeddings furthest (7 of the 23 published pairs)?"
ORDER = "Is the order of the other seven the published one?"
LEARNT = "Is that agreement learnt?"


def test_an_order_that_only_the_trained_model_has_is_learnt(rng):
    reversed_ = np.where(PUBLISHED == 10, 10, 9 - PUBLISHED)
    networks = [by_change(reversed_, rng) for _ in range(4)]
    found, answers = answered(by_change(PUBLISHED, rng), networks[0], networks, rng)
    assert answers[[NOISE, ORDER, LEARNT]].tolist() == ["yes", "more than by chance", "yes"]
    assert "as it does in untrained networks, and it changes pixels most" in found.sentence
    assert "more often than untrained networks" in found.sentence


def test_an_order_that_untrained_networks_have_too_is_not(rng):
    networks = [by_change(PUBLISHED, rng) for _ in range(4)]
    found, answers = answered(by_change(PUBLISHED, rng), networks[0], networks, rng)
    assert answers[LEARNT] == "no sure sign of it"
    assert "no sure sign that the agreement is learnt" in found.sentence
    row = found.table.set_index("question").loc[LEARNT]
    assert "4 reach the model's" in row["beside it"] and "16 [16, 16] of 16" in row["estimate"]


def test_sources_that_differ_are_named(rng):
    moved, reverse = by_change(PUBLISHED, rng), by_change(-PUBLISHED + 12, rng)
    is_photo = moved["source"] == "photos"
    mixed = xr.where(is_photo, moved, reverse).assign_coords(moved.coords).transpose(*moved.dims)
    _, answers = answered(mixed, mixed, [reverse] * 3, rng)
    assert (
        answers[ORDER] == "not surely more than by chance on scenes, more than by chance on photos"
    )
    assert answers[NOISE] == "not everywhere"


def test_scores_that_have_nothing_to_do_with_embeddings_are_left_out(rng):
    moved = by_change(PUBLISHED, rng, noise=2)
    scores = scores_of(moved, ["edge_similarity"], rng)
    found = metrics.answer(scores, metrics.correlations(scores))
    assert "attention, patch and detail surely go" in found.sentence
    assert found.findings[0].answer == found.findings[1].answer == "attention, patch and detail"
    nothing = scores_of(moved, metrics.COMPARED, rng)
    found = metrics.answer(nothing, metrics.correlations(nothing))
    assert "none surely go" in found.sentence
    assert "scenes none surely" in found.findings[0].answer


def test_one_image_and_one_source_have_answers_without_intervals(rng):
    moved = by_change(PUBLISHED, rng)[:1]
    found, answers = answered(moved, moved, [moved] * 2, rng)
    assert answers[LEARNT] == "no sure sign of it"
    assert not found.table["estimate"].str.contains("nan").any()
    assert "photos" not in "".join(found.table["estimate"])


def test_nothing_moved_is_said():
    scores = scores_of(by_change(np.zeros(9), np.random.default_rng(0), noise=0))
    assert metrics.answer(scores, None).findings == []


@pytest.mark.parametrize(
    ("low", "words"), [(0.6, "most"), (0.2, "a part"), (-0.2, "no sure part"), (np.nan, "unknown")]
)
def test_a_filling_is_called_by_its_interval(rng, low, words):
    import pandas as pd

    from helpers.runs.derived.geometry import REFILLED

    rows = [[name, filling, low + 0.1, low, low + 0.2] for name, filling in REFILLED]
    table = pd.DataFrame(rows, columns=["augmentation", "filling", "share", "low", "high"])
    moved = by_change(PUBLISHED, rng)
    tables = {"fillings": {"photos": table, "scenes": table}, "parameters": 3_300_000}
    found, answers = answered(moved, moved, [moved], rng, **tables)
    assert words in answers["How much of shift-scale-rotate's shift is its black border?"]
    assert (
        "shift under shift-scale-rotate and elastic comes from the black border" in found.sentence
    )
    beside = found.table.set_index("question")["beside it"]
    assert "3.3 million" in beside["How much of elastic's shift is its black border?"]


def test_parts_that_differ_are_named_apart():
    words = {"shift_scale_rotate": "most", "elastic": "no sure part"}
    assert metrics._of_borders(words) == (
        "In this model most of the shift under shift-scale-rotate and no sure part of the shift"
        " under elastic come from the black border."
    )


def test_scores_that_correlate_on_one_source_alone_are_named_there(rng):
    moved = by_change(PUBLISHED, rng, noise=2)
    scores, apart = scores_of(moved), scores_of(moved, ["edge_similarity"], rng)
    on_photos = xr.where(moved["source"] == "photos", apart, scores)
    scores = on_photos.assign_coords(moved.coords).transpose(*moved.dims)
    found = metrics.answer(scores, metrics.correlations(scores))
    words = "photos attention, patch and detail; scenes all"
    assert [row.answer for row in found.findings[:2]] == [words] * 2
    assert "attention, patch and detail surely go" in found.sentence
