"""What 06 answers, from made numbers whose answer is known."""

import pandas as pd
import pytest

from helpers.analysis import roles
from helpers.analysis.probes import Agreement
from helpers.findings.heads import Published, Weights, answer

PUBLISHED = Published(small=0.28, large=0.48, q=0.001, names_small=34, names_large=30)
COLUMNS = ["value", "low", "high", "chance", "chance_low", "chance_high"]
POOLS = ["texts", "random mixtures of the texts", "random directions"]


def agreeing(count, p=0.0001):
    return Agreement(heads=24, agreeing=count, rate=count / 24, chance=0.2, high=0.3, p=p)


def explained(*, few, many):
    return pd.DataFrame({5: [few, 0.64, 0.5], 20: [many, 0.95, 0.93]}, index=POOLS)


def weights(own=(0.8, 0.74, 0.84), beyond=0.6, p=0.0001, untrained=0.3):
    others, even = (0.07, 0.06, 0.08), (0.09, 0.09, 0.09)
    rows = {"own": own, "others": others, "even": even, "beyond": (beyond + 0.1, beyond, 1)}
    shares = pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "low", "high"])
    before = pd.DataFrame({"mean": 0.25, "low": 0.2, "high": untrained}, ["own"])
    return Weights(directions=3, shares=shares, untrained=before, labels=agreeing(14, p))


def given(**changed):
    made = {
        "labels": pd.Series(["position"] * 8 + ["colour"] * 5 + ["size"]),
        "near_ties": 1,
        "varies": agreeing(20),
        "sways": agreeing(14),
        "answers": pd.DataFrame(
            {"colour": [0.25, 0.01], "fill": [0.19, 0.0], "size": [0.0, 0.2]},
            index=["L4.H0", "L5.H4"],
        ),
        "explained": explained(few=0.73, many=0.954),
        "consistency": pd.DataFrame(
            [[0.58, 0.55, 0.6, 0.34, 0.28, 0.4], [0.36, 0.3, 0.4, 0.35, 0.3, 0.4]],
            ["model", "untrained"],
            COLUMNS,
        ),
        "consistency_at": pd.Series([0, 0.1, 0.3, 0.4, 0.15, 0.05]),
        "consistent": 1,
        "left": {"variance": 0.99, "predictions": 0.9, "alone": 0.72},
        "weights": weights(),
        "published": PUBLISHED,
    }
    return answer(**made | changed)


def by_question(found):
    return found.table.set_index("question")


def test_labels_that_are_right_and_texts_that_say_little_are_said():
    found = given()
    assert found.sentence == (
        "The commonest labels are position and colour. On fresh scenes the label is what most heads"
        " vary with most. A head's first 5 texts explain more of it than random mixtures of texts"
        " do; its first 20 hardly more."
    )
    table = by_question(found)
    assert list(table["answer"]) == [
        "to 3 of the pool's properties",
        "most do",
        "most do",
        "no",
        "5: more; 20: hardly more",
        "more than by chance and untrained",
        "nearly",
        "yes: directions and labels",
        "yes, but no more different names",
    ]
    assert table["beside it"].iloc[0] == "1 of 14 labels is a near-tie"
    assert table["beside it"].iloc[4] == (
        "random mixtures of the texts 64% by 5, 95% by 20; random directions 50% by 5, 93% by 20"
    )
    assert table["estimate"].iloc[5].startswith("mean CCS 2.9 [2.8, 3.0]; CCS@5 5%, CCS@4 15%")
    assert "strongest second: L4.H0, colour 25% and fill 19%" in table["beside it"].iloc[3]


@pytest.mark.parametrize(
    "made, said",
    [
        (weights(), "yes: directions and labels"),
        (weights(p=0.4), "directions, but not labels"),
        (weights(own=(0.1, 0.05, 0.12), beyond=-0.01), "labels, but not directions"),
        (weights(untrained=0.78), "labels, but not directions"),
        (weights(own=(0.1, 0.05, 0.12), beyond=0.01, p=0.4), "no"),
    ],
)
def test_weights_agree_with_images_only_where_both_go_beyond_their_baselines(made, said):
    row = given(weights=made).findings[7]
    assert row.answer == said
    assert "in any 3 that it can write 9%, untrained 25% [20%, " in row.beside
    assert "the same label for 14 of 24 heads" in row.estimate


def test_labels_that_are_right_by_chance_alone_are_not_called_right():
    found = given(varies=agreeing(6, p=0.2), explained=explained(few=0.65, many=0.95))
    assert "right no more often than by chance" in found.sentence
    assert "explain no more of a head than random mixtures" in found.sentence
    assert found.findings[1].answer == "no more than by chance"


@pytest.mark.parametrize("count, many", [(20, "most"), (13, "most"), (7, "some")])
def test_how_many_labels_are_right_is_said_in_words(count, many):
    assert f"what {many} heads vary with most" in given(varies=agreeing(count)).sentence


def test_scores_no_higher_than_an_untrained_models_show_nothing():
    same = pd.DataFrame([[0.57, 0.55, 0.6, 0.34, 0.28, 0.4]] * 2, ["model", "untrained"], COLUMNS)
    assert given(consistency=same).findings[5].answer == "not more than chance or untrained"


def test_heads_that_sway_one_question_each_have_one_role():
    apart = pd.DataFrame({"colour": [0.2, 0.01], "fill": [0.01, 0.09]}, index=["L4.H0", "L5.H4"])
    assert given(answers=apart).findings[3].answer == "mostly"


def test_heads_that_do_not_vary_have_no_labels_and_published_ones_stay():
    found = given(labels=pd.Series(["", ""]))
    assert found.sentence.startswith("No head's contribution varies")
    assert [row.answer for row in found.findings] == ["yes, but no more different names"]
    unsure = Published(small=0.28, large=0.3, q=0.6, names_small=34, names_large=30)
    assert given(published=unsure).findings[-1].answer == "not shown"


def losing(high, low, random, n=100):
    rows = {roles.HIGH: high, roles.LOW: low, roles.RANDOM: random}
    rows[roles.ALL] = (0.9,) * 3
    return pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "low", "high"]).assign(n=n)


NEEDED = "Do answers need the heads of consistent concept more than random heads?"


@pytest.mark.parametrize(
    ("high", "low", "random", "words"),
    [
        ((0.5, 0.4, 0.6), (0.1, 0.0, 0.2), (0.2, 0.1, 0.3), "more"),
        ((0.1, 0.0, 0.2), (0.1, 0.0, 0.2), (0.2, 0.05, 0.4), "no more"),
        ((0.0, 0.0, 0.1), (0.1, 0.0, 0.2), (0.2, 0.1, 0.4), "less than random ones"),
    ],
)
def test_it_is_said_whether_answers_need_consistent_heads(high, low, random, words):
    row = by_question(given(pruned={"scenes": losing(high, low, random)})).loc[NEEDED]
    assert row["answer"].startswith(words)
    assert row["beside it"].startswith("random heads: 20%")
    assert row["beside it"].endswith("all of these heads: 90%")


def test_without_known_answers_no_head_is_pruned():
    found = given(pruned={"scenes": losing(*[(0.5, 0.4, 0.6)] * 3, n=0)})
    assert NEEDED not in by_question(found).index
