"""What 07 answers, from made numbers whose answer is known."""

import pandas as pd
import pytest

from helpers.analysis.proximity import SIMILARITIES
from helpers.findings.interpret import EmptyPatch, answer

WORDINGS = ["pair", "colour", "shape", "position"]
NAMES = ["property", "heads", "which"]


def maps(*means, reach=0.02):
    rows = [[mean, mean - reach, mean + reach] for mean in means]
    return pd.DataFrame(rows, WORDINGS, ["mean", "low", "high"])


def neighbours(chance=0.2, product=0.7, cosine=0.9):
    index = pd.MultiIndex.from_tuples([("colour", 2, "all"), ("colour", 2, "L5.H1")], names=NAMES)
    return pd.DataFrame(
        [[chance, product, cosine], [chance, 0.4, 0.5]], index, ["chance", *SIMILARITIES]
    )


def alone(difference):
    row = {
        "head": "L5.H1",
        "mean": 0.5,
        "low": 0.45,
        "high": 0.55,
        "difference": difference,
        "difference_low": difference - 0.05,
        "difference_high": difference + 0.05,
        "together": 0.5 - difference,
    }
    return pd.Series(row)


def given(**changed):
    made = {
        "maps": maps(0.6, 0.5, 0.3, 0.14),
        "levels": pd.DataFrame([[0.06, 0.07, 0.62]] * 4, WORDINGS, ["others", "whole", "best"]),
        "untrained": 0.03,
        "alone": pd.DataFrame({"pair": alone(0), "shape": alone(-0.2)}).T,
        "above_chance": (18, 36),
        "empty_patch": EmptyPatch("L5.H3", 0.9, 0.05, 0.02),
        "neighbours": neighbours(),
        "hubs": pd.DataFrame(
            {"inner product": [0.4, 0.8], "cosine": [0.1, 0.2]}, ["L2.H0", "L2.H5"]
        ),
        "equal": 0.07,
        "beside": maps(0.2, 0.1, 0.05, 0.03).assign(gradients=[0.4, 0.4, 0.25, 0.11]),
    }
    return answer(**made | changed)


def test_maps_and_neighbours_that_are_right_are_said_to_be():
    found = given()
    assert found.sentence == (
        "Maps of texts find the things that texts name, best where these are named by colour and"
        " worst where by position. The images nearest by all heads of a property, by cosine, mostly"
        " share it; by inner product fewer do."
    )
    assert [row.answer for row in found.findings] == [
        "yes",
        "best by colour, worst by position",
        "yes",
        "about as well for pair; worse for shape",
        "half",
        "some do",
        "mostly",
        "by inner product, in some heads",
    ]
    assert found.findings[0].beside == (
        "other scenes' masks 0.06, whole image 0.07, untrained 0.03, best on this grid 0.62"
    )


@pytest.mark.parametrize("better", [{"untrained": 0.6}, {"maps": maps(0.08, 0.1, 0.1, 0.1)}])
def test_what_chance_or_an_untrained_network_reaches_is_no_find(better):
    found = given(**better)
    assert found.sentence.startswith("Maps of texts find the things that texts name no better")
    assert found.findings[0].answer == "no better than chance"


def test_one_head_is_better_or_worse_only_where_that_is_sure():
    both = pd.DataFrame({"pair": alone(0), "shape": alone(0.02)}).T
    assert given(alone=both).findings[3].answer == "about as well for pair or shape"
    apart = pd.DataFrame({"pair": alone(-0.2), "position": alone(0.1)}).T
    assert given(alone=apart).findings[3].answer == "worse for pair; better for position"


@pytest.mark.parametrize(
    "leads, words",
    [
        ((0.2, 0, 0, 0), "by some words"),
        ((0, 0, 0, 0), "about as much"),
        ((0.2, -0.2, 0, 0), "by some words more, by others less"),
        ((0, 0, -0.2, 0), "no"),
    ],
)
def test_a_lead_over_gradients_is_one_only_where_it_is_sure(leads, words):
    assert given(beside=maps(*leads).assign(gradients=0.3)).findings[2].answer == words


def test_wordings_that_can_not_be_distinguished_are_named_together():
    close = given(maps=maps(0.6, 0.5, 0.49, 0.14))
    assert "named by colour or shape and worst where by position" in close.sentence


def test_neighbours_by_chance_are_no_success():
    found = given(neighbours=neighbours(cosine=0.2, product=0.2))
    assert found.sentence.endswith("share it no more often than chance.")


def test_one_image_has_neither_neighbours_nor_hubs():
    empty = neighbours().iloc[:0]
    hubs = pd.DataFrame({"inner product": [float("nan")], "cosine": [float("nan")]}, ["L2.H0"])
    found = given(neighbours=empty, hubs=hubs, equal=float("nan"))
    assert len(found.findings) == 6
    assert found.sentence.endswith("worst where by position.")


@pytest.mark.parametrize("count, words", [(17, "fewer than half"), (18, "half"), (19, "most")])
def test_heads_above_chance_are_counted_in_words(count, words):
    assert given(above_chance=(count, 36)).findings[4].answer == words


def test_a_wording_with_an_and_stays_apart_from_the_next():
    names = {"pair": "pair", "colour": "colour", "shape": "colour and shape"}
    close = maps(0.6, 0.5, 0.51, 0.14).rename(names)
    levels = pd.DataFrame([[0.06, 0.07, 0.62]] * 4, close.index, ["others", "whole", "best"])
    found = given(maps=close, levels=levels)
    assert "named by colour and shape, or colour and worst" in found.sentence
