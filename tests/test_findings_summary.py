import numpy as np
import pandas as pd

from helpers.analysis.specificity import ANOTHER
from helpers.findings import interval
from helpers.findings.seen import DESCRIPTION, NOTHING
from helpers.findings.summary import NO_SHIFT, NO_UNIT, answer

CHANGES = ["noise", "blur", "flip"]


def means(*values):
    table = pd.DataFrame({"mean": values}, index=CHANGES)
    return table.assign(low=table["mean"] - 0.1, high=table["mean"] + 0.1)


def seen(kind=DESCRIPTION, words="a star"):
    row = {"kind": kind, "words": words, "counts": "0 → 9 of 9", "n": 9}
    return {"photos": pd.DataFrame([row] * 3, index=CHANGES)}


def account(*heads, floor=0.1):
    names = pd.MultiIndex.from_product([["photos"], [*CHANGES, ANOTHER]])
    names = names.set_names(["source", "augmentation"])
    return pd.DataFrame({"specific": [*heads, []], "floor": floor}, index=names)


TAKEN = {
    "photos": pd.DataFrame(
        {
            "severity": [0.2, np.inf, np.nan],
            "low": [0.1, np.inf, np.nan],
            "high": [0.3, np.inf, np.nan],
            "answer": ["0.20", "> 3", "no strength"],
        },
        index=CHANGES,
    )
}
MOVED = {"photos": means(1.2, 0.1, 0.3)}


def test_all_five_findings_and_the_sentence():
    lost = {"photos": means(0.5, 0.1, 0.0)}
    found = answer(MOVED, seen(), lost, account(["L1.H1"], ["L1.H2"], []), TAKEN)
    assert found.sentence == (
        "Noise moves embeddings furthest; the model then sees a star. Some heads carry more of a"
        " change than of an ordinary difference between two images under 2 of 3 changes."
    )
    assert [row.answer for row in found.findings] == [
        "noise",
        "a star",
        "noise",
        "under most changes",
        "noise",
    ]
    assert found.findings[0].beside == "1 is another image; least: blur 0.10 [0.00, 0.20]"
    assert found.findings[3].estimate == "2 of 3 changes"
    assert found.findings[4].beside == "next: blur > 3"


def test_one_image_has_no_unit_to_measure_by():
    found = answer({"photos": means(*[np.nan] * 3)}, seen(), None, account([], [], []), TAKEN)
    assert found.sentence == NO_UNIT
    assert [row.question for row in found.findings][-1].startswith("Which change takes")
    both = {"one": means(*[np.nan] * 3)} | MOVED
    assert answer(both).sentence == "Noise moves embeddings furthest."


def test_what_others_might_exceed_is_no_sure_first():
    close = {"photos": means(1.2, 1.15, 0.3)}
    assert answer(close).sentence == "Noise moves embeddings furthest, though not surely."


def test_what_is_not_seen_and_not_specific_is_not_claimed():
    found = answer(MOVED, seen(NOTHING, "nothing else for sure"), None, account([], [], []))
    assert found.sentence.startswith("Noise moves embeddings furthest. No head surely")
    assert found.findings[-1].answer == "no"


def test_a_model_that_answers_nothing_still_has_a_furthest_change():
    assert answer(MOVED).sentence == "Noise moves embeddings furthest."


def test_nothing_moved():
    assert answer({"photos": means(0, 0, 0)}).sentence == NO_SHIFT


def test_changes_that_take_as_little_are_named_together():
    close = TAKEN["photos"].assign(severity=[0.2, 0.21, np.nan], high=[0.3, np.inf, np.nan])
    close = close.assign(low=0.1)
    assert answer(MOVED, taken={"photos": close}).findings[-1].answer == "blur or noise"


def test_sources_stand_within_the_sentence():
    moved = {"photos": means(1.2, 0.1, 0.3), "scenes": means(1.2, 0.1, 0.3)}
    both = seen() | {"scenes": seen(words="a square")["photos"]}
    assert answer(moved, both).sentence == (
        "Noise moves embeddings furthest; the model then sees a star in photos and a square in"
        " scenes."
    )


def test_no_zero_has_a_sign():
    assert interval(0.08, -0.001, 0.16, "{:.0%}") == "8% [0%, 16%]"
    assert interval(-0.004, -0.04, 0.0) == "0.00 [-0.04, 0.00]"
    assert interval(0.5, float("nan"), float("nan")) == "0.50"
