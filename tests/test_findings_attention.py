"""What 05 answers, from made numbers whose answer is known."""

import pandas as pd
import pytest

from helpers.findings import NOTHING_MOVED
from helpers.findings.attention import answer


def rows(**values):
    """A row for each name: a mean, and an interval of ± 0.02 or as given."""
    pairs = {k: value if isinstance(value, tuple) else (value, 0.02) for k, value in values.items()}
    table = {name: [mean, mean - reach, mean + reach] for name, (mean, reach) in pairs.items()}
    return pd.DataFrame.from_dict(table, orient="index", columns=["mean", "low", "high"])


def given(**changed):
    focus = rows(noise=-0.2, blur=0.03).assign(original=0.4)
    made = {
        "similarity": {
            "photos": rows(noise=0.94, blur=0.99),
            "scenes": rows(noise=0.95, blur=0.98),
        },
        "floor": dict.fromkeys(["photos", "scenes"], rows(model=0.95, untrained=0.94)),
        "correlation": dict.fromkeys(["photos", "scenes"], rows(model=0.6, untrained=0)),
        "focus": dict.fromkeys(["photos", "scenes"], focus),
    }
    return answer(**made | changed)


def test_attention_that_moves_with_the_embedding_is_said_to():
    found = given()
    assert found.sentence == (
        "Images whose attention changes more tend to move further in the embedding. Under noise no"
        " more is left of an image's attention than another image would have."
    )
    table = found.table.set_index("question")
    together = table.iloc[0]
    assert (together["answer"], together["estimate"]) == (
        "yes",
        "photos 0.60 [0.58, 0.62]; scenes 0.60 [0.58, 0.62]",
    )
    assert together["beside it"].startswith("untrained: photos 0.00 [-0.02, 0.02]")
    assert list(table["answer"]) == ["yes", "noise", "noise"]


def test_what_is_so_before_training_is_not_credited_to_it():
    same = dict.fromkeys(["photos", "scenes"], rows(model=0.6, untrained=0.5))
    assert "as they do before training" in given(correlation=same).sentence


def test_sources_that_differ_are_named():
    found = given(
        correlation={"photos": rows(model=0, untrained=0), "scenes": rows(model=0.3, untrained=0)},
        similarity={"photos": rows(noise=0.99, blur=0.99), "scenes": rows(noise=0.9, blur=0.99)},
    )
    assert found.sentence == (
        "On scenes only, images whose attention changes more tend to move further in the embedding."
        " No change leaves, on every kind of images, as little of an image's attention as another"
        " image would have."
    )
    assert found.findings[0].answer == "photos not shown; scenes yes"
    assert found.findings[1].answer == "photos none; scenes noise"


def test_no_agreement_and_no_change_at_the_floor_are_said():
    still = dict.fromkeys(["photos", "scenes"], rows(model=0, untrained=0))
    apart = dict.fromkeys(["photos", "scenes"], rows(noise=0.99, blur=0.99))
    assert given(correlation=still, similarity=apart).sentence == (
        "Attention and embedding are not shown to move together. No change leaves as little of an"
        " image's attention as another image would have."
    )


@pytest.mark.parametrize(
    "gain, verdict", [(0.8, "mostly"), (0.1, "hardly"), ((0.5, 0.2), "in part")]
)
def test_how_far_attention_follows_a_mirrored_picture(gain, verdict):
    found = given(gain={"photos": rows(horizontal_flip=gain)})
    assert found.findings[2].answer == verdict


def without_intervals(**means):
    return rows(**means).assign(low=float("nan"), high=float("nan"))


def test_one_image_shows_nothing():
    nan = float("nan")
    one = given(
        floor={"photos": rows(model=nan, untrained=nan)},
        correlation={"photos": rows(model=nan, untrained=nan)},
        similarity={"photos": without_intervals(noise=0.9)},
        focus={"photos": without_intervals(noise=-0.1).assign(original=0.3)},
    )
    assert one.sentence == (
        "Too few images to say whether attention and embedding move together. Without a second"
        " image there is no floor to hold the score against."
    )
    assert [row.answer for row in one.findings] == ["too few images", "none", "none"]
    assert one.findings[1].estimate == "lowest: noise 0.900"


def test_severity_zero_moves_nothing():
    assert given(moved=False).sentence == NOTHING_MOVED
