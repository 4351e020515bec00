"""Clustering against plain calls of SciPy, and neighbours that are exact and ordered."""

import numpy as np
import pytest
import xarray as xr
from scipy.cluster import hierarchy
from scipy.spatial.distance import pdist, squareform

from helpers.analysis import proximity
from helpers.analysis.proximity import (
    SIMILARITIES,
    chance_precision,
    nearest,
    occurrences,
    precision,
    to_unit_embeddings,
)
from helpers.checks import WorkbookError

NAMES = list("abcdef")


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def embeddings(rng):
    """Two clear groups of augmentations, abc and def, in 30 images."""
    directions = rng.normal(size=(2, 16))[[0, 0, 0, 1, 1, 1]]
    scale = rng.uniform(0.5, 20, size=(30, 6, 1))
    return (scale * (directions + rng.normal(0, 0.3, (30, 6, 16)))).astype(np.float32)


def test_mean_distance_is_that_of_pdist(embeddings, monkeypatch):
    expected = np.mean([squareform(pdist(own, "cosine")) for own in embeddings], axis=0)
    np.testing.assert_allclose(proximity.mean_cosine_distance(embeddings), expected, atol=1e-7)
    monkeypatch.setattr(proximity, "BLOCK", 7)
    np.testing.assert_allclose(proximity.mean_cosine_distance(embeddings), expected, atol=1e-7)


def test_images_with_a_zero_embedding_are_left_out(embeddings):
    expected = proximity.mean_cosine_distance(embeddings[1:])
    embeddings[0, 3] = 0
    assert np.isnan(proximity.cosine_distances(embeddings)[0]).any()
    np.testing.assert_allclose(proximity.mean_cosine_distance(embeddings), expected)
    with pytest.raises(WorkbookError, match="None of the 1 images"):
        proximity.mean_cosine_distance(embeddings[:1])


@pytest.mark.parametrize("method", proximity.METHODS)
def test_cluster_is_linkage_and_fcluster(embeddings, method):
    distances = proximity.mean_cosine_distance(embeddings)
    result = proximity.cluster(distances, NAMES, method=method)
    tree = hierarchy.linkage(squareform(distances, checks=False), method=method)
    np.testing.assert_array_equal(result.linkage, tree)
    assert result.threshold == 0.7 * tree[:, 2].max()
    labels = hierarchy.fcluster(tree, result.threshold, criterion="distance")
    np.testing.assert_array_equal(result.labels, labels)
    assert set(result.members()) == {("a", "b", "c"), ("d", "e", "f")}


def test_ward_is_the_published_choice_and_average_the_default(embeddings):
    distances = proximity.mean_cosine_distance(embeddings)
    assert proximity.PUBLISHED_METHOD == "ward"
    assert proximity.cluster(distances, NAMES).method == "average"


def test_equal_distances_are_three_clusters():
    result = proximity.cluster(np.ones((3, 3)) - np.eye(3), list("abc"))
    assert len(result.members()) == 3


def test_clear_clusters_are_stable(embeddings):
    result = proximity.stability(embeddings)
    assert result.same_clusters == 1
    np.testing.assert_array_equal(result.together, np.kron(np.eye(2), np.ones((3, 3))))


def test_clusters_that_one_image_decides_are_not_stable(rng):
    """One image out of eight puts b beside a; the others put it beside c."""
    a, c = np.eye(2, 8)
    images = np.array([[a, c + 0.05 * a, c]] * 7 + [[a, a, -c]])
    images = images + rng.normal(0, 0.01, images.shape)
    result = proximity.stability(images)
    assert 0.05 < result.same_clusters < 0.999
    np.testing.assert_allclose(np.diag(result.together), 1)
    np.testing.assert_array_equal(result.together, result.together.T)
    again = proximity.stability(images)
    assert again.same_clusters == result.same_clusters


def test_one_image_says_nothing_about_others(embeddings):
    result = proximity.stability(embeddings[:1])
    assert np.isnan(result.same_clusters) and np.isnan(result.together).all()


@pytest.mark.parametrize("shape", [(4, 5), (0, 3, 4), (3, 1, 4)])
def test_embeddings_need_images_and_two_augmentations(shape):
    with pytest.raises(WorkbookError, match=r"image, augmentation, feature"):
        proximity.cosine_distances(np.ones(shape))


@pytest.mark.parametrize(
    ("distances", "sentence"),
    [
        (np.zeros((2, 2)), "3 names"),
        (np.eye(3), "zero on the diagonal"),
        (np.array([[0, 1, 2], [1, 0, 1], [3, 1, 0]]), "symmetric"),
        (np.ones((3, 3)) * -1 + np.eye(3), "not negative"),
    ],
)
def test_what_is_no_distance_is_refused(distances, sentence):
    with pytest.raises(WorkbookError, match=sentence):
        proximity.cluster(distances, list("abc"))


def test_methods_are_listed():
    with pytest.raises(WorkbookError, match="average, ward"):
        proximity.cluster(np.zeros((2, 2)), ["a", "b"], method="median")


@pytest.mark.parametrize("nudge", [-1e-8, 0, 1e-8])
def test_clusters_do_not_hang_on_the_last_bit(nudge):
    # The second merge is at 0.7 of the last, which is where the tree is cut.
    distances = squareform([0.1, 1, 1, 1, 1, 0.7 + nudge])
    assert list(proximity.cluster(distances, list("abcd")).labels) == [1, 1, 2, 2]


def test_distances_stand_beside_the_lengths_of_both_ways(embeddings):
    views = xr.DataArray(
        embeddings, dims=("image", "view", "feature"), coords={"view": ["a", "original", *"bcde"]}
    )
    table = proximity.distances_beside_lengths(views)
    assert len(table) == 10
    expected = proximity.mean_cosine_distance(embeddings)
    row = table.query("augmentation == 'a' and other == 'c'").iloc[0]
    assert row["distance"] == pytest.approx(expected[0, 3])
    assert row["moved"] == pytest.approx(expected[1, 0] + expected[1, 3])


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
    monkeypatch.setattr("helpers.analysis.proximity.ROWS_AT_ONCE", rows_at_once)
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
