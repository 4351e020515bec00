"""Nearest neighbours are exact, ordered and the same every time."""

import numpy as np
import pytest

from helpers.analysis.neighbours import (
    SIMILARITIES,
    chance_precision,
    nearest,
    occurrences,
    precision,
    to_unit_embeddings,
)
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


def plain_similarity(one, other, similarity):
    product = sum(float(a) * float(b) for a, b in zip(one, other, strict=True))
    if similarity == "inner product":
        return product
    lengths = [sum(float(a) ** 2 for a in side) ** 0.5 for side in (one, other)]
    return product / (lengths[0] * lengths[1])


def plain_neighbours(contributions, count, similarity):
    found = []
    for index, own in enumerate(contributions):
        others = [other for other in range(len(contributions)) if other != index]
        others.sort(key=lambda other: -plain_similarity(own, contributions[other], similarity))
        found.append(others[:count])
    return found


@pytest.fixture
def spread():
    rng = np.random.default_rng(3)
    return rng.normal(size=(23, 6)) * rng.uniform(0.2, 5, (23, 1)) + 0.5


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_each_similarity_finds_what_a_plain_loop_finds(spread, similarity):
    expected = plain_neighbours(spread, 5, similarity)
    for index, neighbours in enumerate(expected):
        found = nearest(spread, spread[index], 5, index, similarity)
        assert found.indices.tolist() == neighbours
        plain = [plain_similarity(spread[index], spread[other], similarity) for other in neighbours]
        np.testing.assert_allclose(found.similarities, plain, rtol=1e-5)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("rows_at_once", [4, 512])
def test_occurrences_and_precision_equal_plain_loops(spread, similarity, rows_at_once, monkeypatch):
    monkeypatch.setattr("helpers.analysis.neighbours.ROWS_AT_ONCE", rows_at_once)
    expected, values = plain_neighbours(spread, 4, similarity), ["ab"[n % 2] for n in range(23)]
    counts = [sum(index in found for found in expected) for index in range(23)]
    assert occurrences(spread, 4, similarity).tolist() == counts
    right = [
        sum(values[other] == values[index] for other in found) / 4
        for index, found in enumerate(expected)
    ]
    np.testing.assert_allclose(precision(spread, values, 4, similarity), right)


def test_a_long_contribution_is_a_hub_by_inner_product_alone():
    rng = np.random.default_rng(0)
    contributions = rng.normal(size=(60, 4)) + 1
    contributions[7] *= 30
    by_product, by_cosine = (occurrences(contributions, 5, name) for name in SIMILARITIES)
    assert by_product.argmax() == 7 and by_product[7] > 50
    assert by_cosine[7] < 20


def test_what_says_nothing_is_like_nothing():
    contributions = np.array([[0.0, 0.0], [1, 0], [-1, 0]])
    found = nearest(contributions, [1, 0], 3, similarity="cosine")
    assert found.indices.tolist() == [1, 0, 2]
    assert found.similarities.tolist() == [1, 0, -1]


def test_chance_is_what_random_neighbours_reach():
    values = ["a"] * 10 + ["b"] * 20 + ["c"] * 5
    rng = np.random.default_rng(0)
    pairs = np.array([rng.choice(35, 2, replace=False) for _ in range(20_000)])
    same = np.mean([values[one] == values[other] for one, other in pairs])
    assert chance_precision(values) == pytest.approx(same, abs=0.01)


def test_an_unknown_similarity_is_told():
    with pytest.raises(WorkbookError, match="similarity has no value 'euclid'"):
        nearest(np.eye(3), np.ones(3), 1, similarity="euclid")
    with pytest.raises(WorkbookError, match="similarity has no value 'euclid'"):
        occurrences(np.eye(3), 1, "euclid")


def test_contributions_are_divided_by_the_length_of_their_images_embedding():
    rng = np.random.default_rng(1)
    contributions, embeddings = rng.normal(size=(6, 2, 3, 4)), rng.normal(size=(6, 4))
    embeddings[5] = 0
    found = to_unit_embeddings(contributions, embeddings)
    for image in range(5):
        length = sum(value**2 for value in embeddings[image]) ** 0.5
        np.testing.assert_allclose(found[image], contributions[image] / length, rtol=1e-6)
    np.testing.assert_allclose(found[5], contributions[5], rtol=1e-6)


def test_a_long_embedding_no_longer_makes_its_image_a_neighbour():
    directions = np.array([[1.0, 0], [0.9, 0.1], [0.2, 1]])
    lengths = np.array([1, 1, 50.0])
    heads = directions * lengths[:, None]
    embeddings = np.array([[2.0, 0], [2, 0], [2, 0]]) * lengths[:, None]
    assert nearest(heads, heads[0], 1, exclude=0).indices.tolist() == [2]
    units = to_unit_embeddings(heads, embeddings)
    assert nearest(units, units[0], 1, exclude=0).indices.tolist() == [1]
