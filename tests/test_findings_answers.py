"""Notebook 09's words follow its numbers."""

import numpy as np
import pandas as pd
import pytest

from helpers.analysis import flips
from helpers.analysis.flips import Concepts
from helpers.findings import answers as findings
from helpers.findings.seen import NOTHING_SURE, seen_instead
from tests.test_analysis_flips import N, answers, made  # noqa: F401

NO_GAIN = "Under which changes does no answer surely gain?"


def concepts(found):
    rows = pd.DataFrame({"concept": ["star"] * 4, "found": [found] * 4})
    return Concepts(rows, rows.assign(first=found), rows.assign(found=False))


def right(clean):
    row = {"mean": clean, "low": clean - 0.1, "high": clean + 0.1, "chance": 0.2}
    return pd.DataFrame([row], index=["original"])


def answer(own, *, lost=0.5, clean=0.9, found=True, depths=None):
    gained = flips.most_gained(flips.gains(flips.before_after(own)), 4)
    changes = [name for name in own["view"].values if name != "original"]
    numbers = [lost, *[0.1] * (len(changes) - 1)]
    cost = pd.DataFrame({"mean": numbers, "low": numbers, "high": numbers}, index=changes)
    return findings.answer(
        {"scenes": seen_instead(own)},
        {"scenes": gained},
        {"scenes": cost},
        {"scenes": right(clean)},
        {"scenes": concepts(found)},
        depths,
    )


def rows(found):
    return found.table.set_index("question")


def test_the_sentence_names_what_is_seen_and_what_is_exchanged(made):  # noqa: F811
    found = answer(made)
    assert found.sentence == (
        "What the model sees instead: under noise a star; under blur more often square. Answers"
        " change, but none surely gains, under color_jitter (another colour)."
    )
    own = rows(found)
    assert own.loc["What does the model see under noise?", "answer"] == "a star"
    assert own.loc[NO_GAIN, "answer"] == "color_jitter and elastic"
    assert own.loc["Which change costs most right answers?", "answer"] == "noise"
    assert own.loc["Would the test find a concept that was put in?", "answer"] == "yes"


def test_nothing_is_said_where_nothing_is_found(made):  # noqa: F811
    still = made.sel(view=["original", "elastic"])
    found = answer(still, lost=np.nan, clean=np.nan, found=False)
    assert found.sentence == findings.NO_ANSWER
    own = rows(found)
    assert "Which change costs most right answers?" not in own.index
    assert "Does it know what the originals show?" not in own.index
    assert own.loc[NO_GAIN, "answer"] == "all"
    assert own.loc["Do changes add or take concepts?", "answer"] == "none surely"
    assert own.loc["Would the test find a concept that was put in?", "answer"] == "no"


def test_no_loss_names_no_change(made):  # noqa: F811
    own = rows(answer(made.sel(view=["original", "elastic"]), lost=0.0))
    assert own.loc["Which change costs most right answers?", "answer"] == "none"


@pytest.mark.parametrize(("clean", "word"), [(0.9, "yes"), (0.25, "not surely")])
def test_what_originals_show_is_held_against_chance(made, clean, word):  # noqa: F811
    row = rows(answer(made, clean=clean)).loc["Does it know what the originals show?"]
    assert row["answer"] == word and row["beside it"] == "by chance 20%"


@pytest.mark.parametrize(("gain", "depth", "word"), [(0.5, "2", "2"), (0.0, "", "none")])
def test_the_depth_is_of_the_change_that_gains_most(made, gain, depth, word):  # noqa: F811
    table = pd.DataFrame(
        {
            "augmentation": ["noise", "blur"],
            "property": "shape",
            "answer": ["star", "square"],
            "images": 48,
            "gain": [gain, 0.3],
            "depth": [depth, "4"],
        }
    )
    own = rows(answer(made, depths={"scenes": table}))
    question = "From which layer on has the answer that gains most under noise half of its gain?"
    row = own.loc[question]
    assert row["answer"] == word
    assert "square: from layer 4 on, +30% in the end (48 images)" in row["beside it"]


def test_classes_of_the_images_own_have_findings_of_their_own(made):  # noqa: F811
    seen = {"scenes": seen_instead(made)}
    gained = {"scenes": flips.most_gained(flips.gains(flips.before_after(made)), 4)}
    unknown = {"scenes": pd.DataFrame({"mean": [np.nan]}, index=["noise"])}
    lost = {"scenes": pd.DataFrame({"mean": 0.2, "low": 0.1, "high": 0.3}, index=["noise"])}
    given = (seen, gained, unknown, {"scenes": right(np.nan)}, {"scenes": concepts(True)})
    own = rows(findings.answer(*given, classes=({"scenes": right(0.9)}, lost)))
    assert own.loc[findings.KNOWN_CLASSES, "answer"] == "yes"
    assert own.loc[findings.COSTS_CLASSES, "answer"] == "noise"
    assert not {findings.KNOWN, findings.COSTS} & {*own.index}


def test_sources_that_differ_stand_apart(made):  # noqa: F811
    few = made.isel(image=slice(5))
    seen = {"photos": seen_instead(few), "scenes": seen_instead(made)}
    gained = {
        source: flips.most_gained(flips.gains(flips.before_after(own)), 4)
        for source, own in {"photos": few, "scenes": made}.items()
    }
    nothing = pd.DataFrame({"mean": np.nan, "low": np.nan, "high": np.nan}, index=["noise"])
    both = dict.fromkeys(seen, concepts(True))
    clean = dict.fromkeys(seen, right(np.nan))
    found = findings.answer(seen, gained, dict.fromkeys(seen, nothing), clean, both)
    assert found.sentence.startswith("What the model sees instead in scenes: under noise a star")
    assert "In scenes, answers change, but none surely gains, under color_jitter" in found.sentence
    own = rows(found)
    assert own.loc["What does the model see under noise?", "answer"] == (
        f"photos {NOTHING_SURE}; scenes a star"
    )
    assert f"{N} of {N}" in own.loc["What does the model see under noise?", "estimate"]
