"""Counts of heads by label, compared between models of different sizes."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers.analysis import label_counts
from helpers.analysis.statistics import share_with_interval
from helpers.checks import WorkbookError


def heads(**models):
    parts = {name: pd.Series(values) for name, values in models.items()}
    labels = pd.concat(parts, names=["model", "head"])
    index = [(model, 0, head) for model, head in labels.index]
    labels.index = pd.MultiIndex.from_tuples(index, names=["model", "layer", "head"])
    return labels


def test_intervals_are_wilsons():
    found = share_with_interval(16, 48)
    z, p, n = stats.norm.ppf(0.975), 16 / 48, 48
    centre = (p + z**2 / 2 / n) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / 4 / n**2)
    assert [found["low"], found["high"]] == pytest.approx([centre - reach, centre + reach])
    assert found["share"] == p


def test_marks_have_a_row_for_each_model_in_order():
    marks = pd.DataFrame({"is a": heads(z=list("aab"), b=list("abcc")) == "a"})
    shares = label_counts.shares_by_model(marks)
    assert list(shares.index) == [("is a", "z"), ("is a", "b")]
    assert shares["share"].tolist() == pytest.approx([2 / 3, 1 / 4])


def test_rarefied_labels_are_those_of_random_choices():
    labels = list("aaaaabbbccd")
    rng = np.random.default_rng(0)
    drawn = [len(set(rng.choice(labels, 5, replace=False))) for _ in range(4000)]
    assert label_counts.rarefied(labels, 5) == pytest.approx(np.mean(drawn), abs=0.05)
    assert label_counts.rarefied(labels, 11) == pytest.approx(4)


@pytest.mark.parametrize("number", [0, 4])
def test_more_heads_than_there_are_can_not_be_chosen(number):
    with pytest.raises(WorkbookError, match=f"heads has no value {number}; choose from 1 to 3"):
        label_counts.rarefied(list("abc"), number)


def test_sizes_are_compared_by_fishers_test_with_a_rate_over_the_marks():
    labels = heads(small=["a"] * 5 + ["b"] * 43, large=["a"] * 40 + ["b"] * 24)
    marks = pd.DataFrame({"a": labels == "a", "any": labels != ""})
    table = label_counts.compare_sizes(marks, ["large"])
    assert table.loc["a", ["small", "large"]].tolist() == pytest.approx([5 / 48, 40 / 64])
    p = stats.fisher_exact([[5, 43], [40, 24]]).pvalue
    assert table.loc["a", "p"] == pytest.approx(p)
    assert table.loc["a", "q"] == pytest.approx(2 * p)
    assert table.loc["any", "p"] == 1
