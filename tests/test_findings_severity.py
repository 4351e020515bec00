"""What notebook 10 answers, of made responses of which the right answer is known."""

import numpy as np
import pytest

from helpers.analysis import severity
from helpers.findings import NOTHING_MOVED
from helpers.findings import severity as findings
from tests.test_analysis_severity import CURVES, response

EARLY = {name: [0.2, 0.3, 0.4, 0.5] for name in CURVES} | {"noise": [0, 0, 0, 0]}
LATE = {name: [0, 0, 0, 0.5] for name in CURVES} | {"horizontal_flip": [0, 0, 0, 0]}


def answered(curves=CURVES, lost=None, spread=0.02, images=20, **options):
    similarity = response(curves, images, spread)
    change = response({name: [0.05, 0.1, 0.2, 0.3] for name in curves}, images, spread=0)
    equal = severity.at_equal_change(change, similarity, [findings.LEVEL])
    lost = lost and {"scenes": severity.dose_response(response(lost, images, 0.01))}
    crossing = {"scenes": severity.crossings(similarity)}
    return findings.answer(crossing, {"scenes": equal}, lost, **options)


def cells(answer):
    return answer.table.set_index("question")


def test_the_first_to_cross_is_named_with_the_last():
    answer = answered()
    assert "by a tenth at the lowest severity is noise." in answer.sentence
    row = cells(answer).loc["Which change takes a tenth of the similarity at the lowest severity?"]
    assert row.tolist() == ["noise", "severity: noise < 0.5", "last: elastic > 3"]
    row = cells(answer).loc["How many take it by severity 1?"]
    assert row.tolist() == [
        "some",
        "1 of 3 with a dose",
        "the same at every severity: horizontal_flip",
    ]


def test_changes_with_overlapping_intervals_are_not_distinguished():
    answer = answered({"noise": [1, 0.9, 0.5, 0.4], "blur": [1, 0.899, 0.5, 0.4]})
    assert "severity is blur or noise." in answer.sentence
    many = {f"change {number}": [1, 0.9, 0.5, 0.4] for number in range(5)}
    assert "severity is change 0 or one of 4 others." in answered(many).sentence


@pytest.mark.parametrize(
    ("lost", "found", "words"),
    [
        (EARLY, "under blur and elastic", "Most changes surely"),
        (LATE, "under elastic", "Some changes surely"),
    ],
)
def test_answers_lost_before_the_similarity_are_reported(lost, found, words):
    answer = answered(lost=lost)
    row = cells(answer).loc["Are right answers lost before a tenth of the similarity is?"]
    assert row["answer"] == found
    assert f"{words}" in answer.sentence and "before that." in answer.sentence


def test_without_a_loss_none_is_reported():
    answer = answered(lost={name: [0, 0, 0, 0] for name in CURVES})
    assert "No change surely costs right answers before that." in answer.sentence
    row = cells(answer).loc["Are right answers lost before a tenth of the similarity is?"]
    assert row["answer"] == "not surely"


def test_at_equal_change_the_lowest_similarity_is_named():
    row = cells(answered()).loc["Which moves the embedding furthest at a pixel change of 0.05?"]
    assert row["answer"] == "noise" and row["beside it"].startswith("least: elastic 1.00")
    assert row["beside it"].endswith("; no value there: none")


def test_a_loss_that_comes_back_has_no_onset_before():
    lost = severity.dose_response(response({"noise": [0.5, 0, 0.5, 0.5]}, spread=0.01))
    crossing = severity.crossings(response({"noise": CURVES["elastic"]}))
    table = findings.onsets(lost, crossing)
    assert table.loc["noise", "onset"] == 2 and table.loc["noise", "before"]


def test_nothing_that_moves_and_nothing_with_a_dose():
    assert answered(moved=False).sentence == NOTHING_MOVED
    flat = {"horizontal_flip": [0.85] * 4}
    assert answered(flat).sentence == findings.NO_DOSE
    none = {"elastic": [1, 1, 0.99, 0.98]}
    assert answered(none).sentence.startswith("No change moves the embedding by a tenth")


def test_one_image_is_answered_without_intervals():
    answer = answered(lost=EARLY, images=1)
    assert "severity is noise." in answer.sentence
    assert "[" not in "".join(np.ravel(answer.table.values))


def test_what_is_not_distinguished_on_one_source_is_not_sure_there():
    words = {"photos": "blur or one of 4 others", "scenes": "blur"}
    assert findings._sure(words) == "blur on scenes; not sure on photos (blur or one of 4 others)"
    assert findings._sure(dict.fromkeys(words, "blur or noise")) == "blur or noise"


def test_changes_without_a_dose_are_not_listed_as_losing_nothing():
    table = cells(answered(lost={name: [0, 0, 0, 0] for name in CURVES}))
    beside = table.loc["Are right answers lost before a tenth of the similarity is?", "beside it"]
    start, names = beside.split(": ")
    assert start == "with a dose, but without a sure loss at any severity"
    assert names == "noise, blur and elastic"
