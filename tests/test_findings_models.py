"""What notebook 11 answers, of made models of which the right answer is known."""

import pandas as pd
import pytest
import xarray as xr

from helpers.analysis.findings.models import ALONE, TOO_FEW, answer
from helpers.analysis.statistics import NOTHING_MOVED

OWN, UNTRAINED = "mine", "mine, untrained"
MODELS = [UNTRAINED, "other", OWN]


def moved(factor=1.0, models=MODELS):
    return {
        "scenes": pd.DataFrame({name: [0.6, 0.2] for name in models}, ["noise", "blur"]) * factor
    }


def orders(low, models=MODELS):
    axes = ("score", "other")
    values = {"estimate": 0.9, "low": low, "high": 0.95}
    tables = {name: (axes, [[value] * len(models)] * len(models)) for name, value in values.items()}
    return {"scenes": xr.Dataset(tables, coords=dict.fromkeys(axes, models))}


def depths(shift, beyond):
    rows = {"shift": shift, "ordinary": 0.1, "beyond": beyond}
    return {
        "scenes": pd.DataFrame(
            {name: {"mean": v, "low": v - 0.02, "high": v + 0.02} for name, v in rows.items()}
        ).T
    }


def answered(low=0.5, found=None):
    return answer(moved(), orders(low), found, own=OWN, untrained=UNTRAINED)


@pytest.mark.parametrize(
    ("shift", "beyond", "words"),
    [
        (0.1, 0.0, "and any difference between two images as well."),
        (0.3, 0.2, "further than it moves any difference between images."),
        (0.0, 0.0, "does not surely move shifts into later layers."),
    ],
)
def test_training_is_held_against_what_it_does_to_any_difference(shift, beyond, words):
    assert answered(found=depths(shift, beyond)).sentence.endswith(words)


def test_orders_are_alike_only_where_that_is_sure():
    assert answered().sentence.startswith("All models put the changes in much the same order.")
    assert answered(-0.1).sentence.startswith("No other model surely")
    row = answered().table.set_index("question")
    assert row.loc["Which change moves most models furthest?", "answer"] == "noise"
    assert row.loc["Which change moves most models furthest?", "estimate"] == "3 of 3 models"


def test_one_image_nothing_that_moves_and_no_other_model():
    own = {"own": OWN, "untrained": OWN}
    assert answer(moved(float("nan")), orders(0.5), **own).sentence == TOO_FEW
    assert answer(moved(0), orders(0.5), **own).sentence == NOTHING_MOVED
    assert answer(moved(models=[OWN]), orders(0.5, [OWN]), **own).sentence == ALONE
