import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import spearmanr

from helpers.checks import WorkbookError
from helpers.head_benchmark import comparison

PAIRS, PROPERTIES, HEADS = 12, ["colour", "shape"], [f"L0.H{n}" for n in range(20)]


@pytest.fixture
def truth():
    """Effects that differ between heads far more than between pairs."""
    rng = np.random.default_rng(0)
    effects = rng.exponential(size=(len(PROPERTIES), len(HEADS)))
    values = effects + 0.05 * rng.standard_normal((PAIRS, *effects.shape))
    coords = {"property": PROPERTIES, "head": HEADS}
    return xr.DataArray(values, coords, ("pair", "property", "head"))


def test_a_method_that_knows_the_truth_agrees_and_one_that_guesses_does_not(truth):
    known = np.arctan(truth.mean("pair"))
    guessed = known.copy(data=np.random.default_rng(1).random(known.shape))
    table = comparison.agreement({"known": known, "guessed": guessed}, truth)
    assert table.loc["known", "correlation"] == pytest.approx(1)
    assert table.loc["known", ["first", "few", "properties"]].tolist() == [2, 1, 2]
    assert table.loc["known", "q"] < 0.01
    assert table.loc["guessed", "correlation"] < table.loc["guessed", "chance"]
    assert table.loc["guessed", "q"] > 0.05


def test_the_correlation_is_spearmans_mean_over_properties(truth):
    rng = np.random.default_rng(2)
    scores = truth.mean("pair") + 0.5 * rng.random((len(PROPERTIES), len(HEADS)))
    row = comparison.agreement({"one": scores}, truth).loc["one"]
    each = [
        spearmanr(scores.sel(property=n), truth.mean("pair").sel(property=n)).statistic
        for n in PROPERTIES
    ]
    assert row["correlation"] == pytest.approx(np.mean(each))
    assert row["low"] < row["correlation"] < row["high"]


def test_a_property_of_which_a_method_says_nothing_is_left_out(truth):
    scores = truth.mean("pair").copy()
    scores[1] = np.nan
    row = comparison.agreement({"one": scores}, truth).loc["one"]
    assert (row["properties"], row["first"]) == (1, 1)
    assert row["correlation"] == pytest.approx(1)


def test_other_heads_are_told(truth):
    with pytest.raises(WorkbookError, match="axis head of a method differs"):
        comparison.agreement({"one": truth.mean("pair")[:, ::-1]}, truth)


def test_places_and_hits_of_planted_heads(truth):
    scores = truth.mean("pair")
    nothing = scores.copy(data=np.full(scores.shape, np.nan))
    best, second = (-scores.sel(property="shape")).argsort().values[:2]
    asked = {"one": scores, "nothing": nothing}
    first = comparison.planted_ranks(asked, "shape", HEADS[best])
    assert first["one"] == 1
    assert np.isnan(first["nothing"])
    next_ = comparison.planted_ranks(asked, "shape", HEADS[second])
    assert next_["one"] == 2
    hits = comparison.planted_hits(pd.DataFrame([first, next_]), len(HEADS))
    assert hits.loc["one", ["plants", "first", "rate", "median"]].tolist() == [2, 1, 0.5, 1.5]
    assert hits.loc["one", "low"] < 0.5 < hits.loc["one", "high"]
    assert hits.loc["nothing", "plants"] == 0
    assert hits["chance"].tolist() == [0.05, 0.05]
