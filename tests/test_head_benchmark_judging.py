"""A small part of what was measured beforehand, again: the verdict, not the digits."""

import numpy as np
import pandas as pd
import pytest

from helpers.checks import WorkbookError
from helpers.clip import load
from helpers.clip.embedded import NAMES
from helpers.findings.methods import FEW, MOST, verdicts
from helpers.head_benchmark import comparison, judging, methods


@pytest.fixture(scope="module")
def judged():
    return {name: judging.read(name) for name in NAMES}


def hits(judged):
    heads = {name: own.patched.sizes["head"] for name, own in judged.items()}
    return {n: comparison.planted_hits(own.planted, heads[n]) for n, own in judged.items()}


def orders(judged):
    return {n: comparison.agreement(j.scored, j.patched) for n, j in judged.items()}


def test_every_method_was_asked_about_every_plant_and_head(judged):
    for own in judged.values():
        assert len(own.planted) == own.patched.sizes["property"] * own.patched.sizes["head"] / 2
        for scores in own.scored.values():
            assert scores["head"].values.tolist() == own.patched["head"].values.tolist()
            assert scores["property"].values.tolist() == own.patched["property"].values.tolist()
        assert np.isfinite(own.patched).all()


def test_the_verdicts_stand_when_a_part_is_measured_again(judged):
    rates = hits(judged)
    found = verdicts(rates, orders(judged))
    rate = pd.concat([own["rate"] for own in rates.values()], axis=1).min(axis=1)
    sure = [method for method, verdict in found.items() if verdict == MOST and rate[method] > 0.9]
    name = NAMES[0]
    model, heads = load(name, device="cpu"), judged[name].patched["head"].values.tolist()
    chosen = judging.plants(["medium", "colour"], heads)[::8]
    again = judging.places(model, chosen, heads).pivot_table("place", "method", "property")
    assert "contributions (08)" in sure and methods.PATCHING in sure
    assert (again.loc[sure].mean(axis=1) < 2).all()


def test_a_method_that_finds_nothing_is_judged_so(judged):
    planted, agreement = hits(judged), orders(judged)
    for own in planted.values():
        own.loc["guessing"] = {"rate": 0.04, "low": 0.01, "high": 0.1, "chance": 0.04}
    for own in agreement.values():
        own.loc["guessing"] = {"correlation": 0, "low": -0.1, "high": 0.1, "chance": 0.1}
    assert verdicts(planted, agreement)["guessing"] == FEW


def test_tables_of_other_weights_are_refused(monkeypatch):
    monkeypatch.setattr(judging.weights, "fingerprint", lambda *_: "0")
    with pytest.raises(WorkbookError, match="not measured with these weights; measure it anew"):
        judging.read("embedded")
