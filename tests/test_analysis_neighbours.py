"""Nearest neighbours are exact, ordered and the same every time."""

import numpy as np
import pytest

from helpers.analysis.neighbours import nearest
from helpers.checks import WorkbookError


def brute_force(contributions, query, count, exclude):
    similarities = []
    for index, row in enumerate(contributions):
        if index != exclude:
            similarities.append((sum(a * b for a, b in zip(row, query, strict=True)), -index))
    return [-index for _, index in sorted(similarities, reverse=True)[:count]]


@pytest.mark.parametrize("exclude", [None, 0, 17])
def test_neighbours_equal_a_plain_loop(exclude):
    rng = np.random.default_rng(0)
    contributions, query = rng.integers(-3, 4, (40, 5)), rng.integers(-3, 4, 5)  # with equal ones
    found = nearest(contributions, query, 8, exclude)
    expected = brute_force(contributions.tolist(), query.tolist(), 8, exclude)
    assert found.indices.tolist() == expected
    np.testing.assert_array_equal(found.similarities, contributions[expected] @ query)


def test_half_precision_is_searched_in_single():
    contributions = np.full((2, 4), 250, np.float16)  # whose inner products overflow float16
    found = nearest(contributions, np.full(4, 250), 1)
    assert found.similarities.tolist() == [250_000]


def test_where_there_are_fewer_all_are_found():
    contributions = np.eye(3)
    assert nearest(contributions, [3, 2, 1], 8).indices.tolist() == [0, 1, 2]
    assert nearest(contributions, [3, 2, 1], 8, exclude=1).indices.tolist() == [0, 2]
    assert nearest(contributions[:1], [3, 2, 1], 8, exclude=0).indices.tolist() == []


def test_what_was_given_stays_as_it_was():
    contributions = np.eye(3, dtype=np.float32)
    nearest(contributions, [1, 1, 1], 2, exclude=0)
    np.testing.assert_array_equal(contributions, np.eye(3))


def test_shapes_and_counts_that_make_no_search_are_told():
    with pytest.raises(WorkbookError, match=r"query of shape \(4,\).* shape \(3, 3\)"):
        nearest(np.eye(3), np.ones(4), 1)
    with pytest.raises(WorkbookError, match="count has no value 0"):
        nearest(np.eye(3), np.ones(3), 0)


@pytest.mark.parametrize("nudge", [-1e-7, 0, 1e-7])
def test_of_tied_neighbours_the_earlier_comes_first_and_is_not_cut_off(nudge):
    rows = np.zeros((6, 3), np.float32)
    rows[:, 0] = [0.1, 0.7, 0.9, 0.7 * (1 + nudge), 0.2, 0.7]
    assert list(nearest(rows, np.array([1, 0, 0]), 2).indices) == [2, 1]
    assert list(nearest(rows, np.array([1, 0, 0]), 4).indices) == [2, 1, 3, 5]
