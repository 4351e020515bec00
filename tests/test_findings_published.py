"""What appendix A1 answers, on scores that are made."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis import order
from helpers.analysis.scores import SCORES
from helpers.data import STUDY
from helpers.data.published import shift_study
from helpers.findings import metrics, published

ORDERED = [name for own in order.PUBLISHED for name in own] + ["elastic"]
WORDS = {name: name for name in STUDY}
ONE = {"ward": [frozenset(STUDY)], "average": [frozenset(STUDY)]}


def scores_of(names, rng, images=15):
    """Scores by which changes move images in a given order, the furthest first."""
    means = np.array([0.9 - 0.09 * names.index(name) for name in STUDY])
    moved = means + rng.normal(0, 0.01, (images, len(STUDY)))
    coords = {"image": np.arange(images), "augmentation": list(STUDY)}
    axes = ("image", "augmentation")
    values = {n: 1 - moved if row.higher_is_closer else moved for n, row in SCORES.items()}
    found = xr.Dataset({name: (axes, own) for name, own in values.items()}, coords)
    return found.assign_coords(source=("image", ["photos"] * images))


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def answered(scores, rng, clusters=ONE, **changed):
    near_1 = scores["patch_similarity"] * 0 + 0.999
    detail = scores["detail_similarity"]
    departing = xr.Dataset(
        {"patch_uint8": near_1, "detail_grey": detail, "detail_by_64": detail}
        | {name: scores[name] for name in ("patch_similarity", "edge_similarity")}
        | {"detail_similarity": detail}
        | changed
    )
    redrawn = departing[["patch_similarity", "edge_similarity", "detail_similarity"]]
    found = published.answer(
        scores,
        departing,
        metrics.correlations(scores),
        published.of_two_draws(scores, redrawn),
        clusters,
        shift_study()["published"],
        WORDS,
    )
    return found, found.table.set_index("question")["answer"]


def test_the_published_order_comes_out_where_it_is_so(rng):
    found, answers = answered(scores_of(ORDERED, rng), rng)
    assert "The published order comes out" in found.sentence
    assert (answers[list(published.PLACES.values())] == "as published").all()


def test_another_order_does_not(rng):
    found, answers = answered(scores_of(ORDERED[::-1], rng), rng)
    assert "does not come out" in found.sentence
    assert answers[published.PLACES["most"]] == "others"
    others = [ORDERED[0], *ORDERED[:0:-1]]
    found, _ = answered(scores_of(others, rng), rng)
    assert "noise moves embeddings most" in found.sentence


def test_departures_are_said_where_they_change_something(rng):
    scores = scores_of(ORDERED, rng)
    patch, grey, by_64, draws, linkage = range(6, 11)
    found, answers = answered(scores, rng)
    assert answers.iloc[[patch, grey, by_64, draws, linkage]].tolist() == [
        "yes, whatever the change",
        "little",
        "little",
        "nothing that is sure",
        "no",
    ]
    other = scores["edge_similarity"].copy(data=rng.random((15, 9)))
    found, answers = answered(
        scores,
        rng,
        clusters=ONE | {"average": [frozenset(STUDY[:3]), frozenset(STUDY[3:])]},
        patch_uint8=scores["patch_similarity"],
        detail_grey=scores["detail_similarity"] - 0.1,
        edge_similarity=other,
    )
    assert answers.iloc[[patch, grey, by_64, draws, linkage]].tolist() == [
        "no",
        "some means, visibly",
        "little",
        "less correlation for edge similarity",
        "yes",
    ]
    assert "shows what the equation's does" in found.sentence


def test_one_image_and_nothing_moved_have_an_answer(rng):
    found, _ = answered(scores_of(ORDERED, rng, images=1), rng)
    assert not found.table["estimate"].str.contains("nan").any()
    scores = scores_of(ORDERED, rng)
    assert answered(scores.map(lambda own: own * 0 + 1), rng)[0].findings == []
