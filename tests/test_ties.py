"""Near-ties go to the earlier candidate, whatever the last bit says."""

import numpy as np
import pandas as pd
import pytest

from helpers import ties


@pytest.mark.parametrize("bit", [-1e-7, 0, 1e-7])
def test_tied_values_go_to_the_earlier_row(bit):
    values = np.array([0.2, 0.7, 0.7 + bit, 0.1])
    assert ties.first_largest(values) == 1
    assert list(ties.largest_first(values)) == [1, 2, 0, 3]


def test_values_further_apart_are_told_apart():
    values = [0.7, 0.7 * (1 + 2e-5), 0.7 * (1 - 2e-5)]
    assert ties.first_largest(values) == 1
    assert list(ties.largest_first(values)) == [1, 0, 2]


def test_the_tolerance_is_relative_to_the_largest_magnitude():
    values = np.array([17.9999, 18.0, -3.0])
    assert ties.first_largest(values) == ties.first_largest(values * 1e-6) == 0
    assert ties.first_largest([1e-7, 2e-7]) == 1


def test_without_near_ties_it_is_numpys_choice():
    values = np.random.default_rng(0).normal(size=(5, 7, 4))
    for axis in range(3):
        assert np.array_equal(ties.first_largest(values, axis), values.argmax(axis))
        assert np.array_equal(ties.largest_first(values, axis), np.argsort(-values, axis))


def test_a_chain_of_ties_is_one_tie_and_no_order_is_lost():
    chain = 1 + np.array([2, 0, 1]) * 0.9e-5
    assert list(ties.largest_first(chain)) == [0, 1, 2]


def test_rounding_of_another_processor_changes_no_choice():
    rng = np.random.default_rng(1)
    values = rng.integers(0, 20, (200, 30)) / 20  # full of exact ties
    noisy = values + rng.uniform(-1e-7, 1e-7, values.shape)
    assert np.array_equal(ties.first_largest(noisy), ties.first_largest(values))
    assert np.array_equal(ties.largest_first(noisy), ties.largest_first(values))


def test_nan_and_minus_infinity_come_last():
    values = [np.nan, 0.1, -np.inf, 0.4]
    assert ties.first_largest(values) == 3
    assert list(ties.largest_first(values)) == [3, 1, 0, 2]
    assert ties.first_largest([np.nan, np.nan]) == 0


def test_a_series_is_ranked_either_way():
    series = pd.Series({"a": 0.5, "b": 0.9, "c": 0.5 + 1e-8, "d": np.nan})
    assert list(ties.ranked(series).index) == ["b", "a", "c", "d"]
    assert list(ties.ranked(series, ascending=True).index) == ["a", "c", "b", "d"]


def test_merged_values_are_the_largest_of_their_tie():
    values = np.array([[0.5, 0.5 + 1e-7, 0.1], [np.nan, 3.0, 3.0 - 1e-6]])
    assert np.array_equal(
        ties.merged(values), [[0.5 + 1e-7, 0.5 + 1e-7, 0.1], [np.nan, 3.0, 3.0]], equal_nan=True
    )
    assert np.array_equal(ties.merged(values.T, axis=0), ties.merged(values).T, equal_nan=True)
