import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers.findings import NOTHING_MOVED
from helpers.findings.models import ALONE, TOO_FEW, answer

MODELS = ["untrained", "own", "other"]


def orders(low):
    axes, coords = ("score", "other"), {"score": MODELS, "other": MODELS}
    values = {"estimate": np.full((3, 3), 0.5), "low": np.full((3, 3), low)}
    values["high"] = np.full((3, 3), 0.9)
    return {"photos": xr.Dataset({name: (axes, own) for name, own in values.items()}, coords)}


def apart(source, high):
    """Orders of which the untrained network's agreement has an upper end."""
    own = orders(0.2)["photos"]
    own["high"].loc[{"other": "untrained"}] = high
    return {source: own}


def depths(shift, beyond):
    rows = {"shift": shift, "ordinary": shift - beyond, "beyond": beyond}
    table = pd.DataFrame({"mean": rows})
    return {"photos": table.assign(low=table["mean"] - 0.05, high=table["mean"] + 0.05)}


def moved(models=MODELS, scale=1.0):
    return {"photos": pd.DataFrame({m: {"noise": scale, "blur": scale / 2} for m in models})}


def said(low=0.2, shift=0.3, beyond=0.0):
    return answer(moved(), orders(low), depths(shift, beyond), model="own", untrained="untrained")


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({}, "Trained models put the changes in a similar order; the untrained network agrees"),
        ({"low": -0.1}, "No other trained model surely puts the changes in this one's order."),
        ({}, "into later layers, and any difference between two images as well."),
        ({"beyond": 0.2}, "further than it moves any difference between images."),
        ({"shift": 0.0}, "Training does not surely move shifts into later layers."),
    ],
)
def test_words_follow_the_numbers(numbers, words):
    assert words in said(**numbers).sentence


def test_findings_name_what_they_are_held_against():
    first, second, later, beyond = said().findings
    assert (first.answer, first.estimate) == ("noise", "3 of 3 models")
    assert second.beside == "untrained 0.50 [0.20, 0.90]"
    assert later.beside == "two different images +0.30 [+0.25, +0.35]"
    assert beyond.answer == "no more"


def test_without_others_or_shifts_nothing_is_compared():
    alone = answer(moved(["own"]), {}, model="own", untrained="own")
    assert alone.sentence == ALONE
    still = answer(moved(scale=0.0), orders(0), model="own", untrained="untrained")
    assert still.sentence == NOTHING_MOVED
    one = answer(moved(scale=np.nan), orders(np.nan), model="own", untrained="untrained")
    assert one.sentence == TOO_FEW


def test_a_source_that_moves_further_is_named():
    both = depths(0.3, 0.0) | {"scenes": depths(0.3, 0.2)["photos"]}
    given = moved(), orders(0.2), both
    answered = answer(*given, model="own", untrained="untrained").sentence
    assert answered.endswith("between two images as well, if less far on scenes.")


def test_an_untrained_network_that_agrees_less_is_distinguished():
    both = apart("photos", 0.4) | apart("scenes", 0.6)
    found = answer(moved(), both, model="own", untrained="untrained")
    assert found.sentence == (
        "Trained models put the changes in a similar order; the untrained network agrees with it"
        " less well on photos and about as well on scenes."
    )
    assert found.findings[1].answer == (
        "yes; the untrained network less well on photos and about as well on scenes"
    )
    alone = answer(moved(MODELS[:2]), both, model="own", untrained="untrained")
    assert alone.sentence == "No other trained model was compared."
