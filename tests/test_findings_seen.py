"""What a model sees instead, in words."""

import numpy as np
import pytest

from helpers.findings.seen import NOTHING_SURE, described, seen_instead
from tests.test_analysis_flips import N, answers, made  # noqa: F401


def test_few_words_for_every_kind(made):  # noqa: F811
    seen = seen_instead(made)
    assert seen["kind"].tolist() == ["description", "more often", "another", "nothing"]
    assert seen["words"].tolist() == [
        "a star",
        "more often square",
        "another colour",
        NOTHING_SURE,
    ]
    stars = int((made.sel(view="original", property="shape") == "star").sum())
    assert seen.loc["noise", "counts"] == f"{stars} → {N} of {N}"
    assert seen.loc["color_jitter", "counts"] == f"{N} of {N}"


def test_a_description_counts_images_that_it_fits_as_a_whole():
    half = np.arange(N) < N / 2
    before = {"fill": np.where(half, "dotted", "solid"), "shape": np.where(half, "square", "star")}
    after = {"fill": np.resize(["dotted"], N), "shape": np.resize(["star"], N)}
    row = seen_instead(answers(original=before, noise=after)).loc["noise"]
    assert row["words"] == "a dotted star"
    assert row["counts"] == f"0 → {N} of {N}"  # none was both, though half were each


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"shape": "star", "fill": "dotted"}, "a dotted star"),
        ({"colour": "orange"}, "an orange object"),
        ({"count": "four", "shape": "cross", "colour": "red"}, "four red crosses"),
        ({"count": "one", "shape": "star"}, "one star"),
        ({"background": "plain"}, "something on a plain background"),
        ({"shape": "star", "background": "plain"}, "a star on a plain background"),
        ({"weather": "thick fog", "art": "etching"}, "thick fog, etching"),
        ({"count": "four"}, "four"),
    ],
)
def test_descriptions_are_english(values, words):
    assert described(values) == words
