"""Clustering against plain calls of SciPy, image by image."""

import numpy as np
import pytest
import xarray as xr
from scipy.cluster import hierarchy
from scipy.spatial.distance import pdist, squareform

from helpers.analysis import clustering
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
    np.testing.assert_allclose(clustering.mean_cosine_distance(embeddings), expected, atol=1e-7)
    monkeypatch.setattr(clustering, "BLOCK", 7)
    np.testing.assert_allclose(clustering.mean_cosine_distance(embeddings), expected, atol=1e-7)


def test_images_with_a_zero_embedding_are_left_out(embeddings):
    expected = clustering.mean_cosine_distance(embeddings[1:])
    embeddings[0, 3] = 0
    assert np.isnan(clustering.cosine_distances(embeddings)[0]).any()
    np.testing.assert_allclose(clustering.mean_cosine_distance(embeddings), expected)
    with pytest.raises(WorkbookError, match="None of the 1 images"):
        clustering.mean_cosine_distance(embeddings[:1])


@pytest.mark.parametrize("method", clustering.METHODS)
def test_cluster_is_linkage_and_fcluster(embeddings, method):
    distances = clustering.mean_cosine_distance(embeddings)
    result = clustering.cluster(distances, NAMES, method=method)
    tree = hierarchy.linkage(squareform(distances, checks=False), method=method)
    np.testing.assert_array_equal(result.linkage, tree)
    assert result.threshold == 0.7 * tree[:, 2].max()
    labels = hierarchy.fcluster(tree, result.threshold, criterion="distance")
    np.testing.assert_array_equal(result.labels, labels)
    cophenetic = hierarchy.cophenet(tree, squareform(distances, checks=False))[0]
    assert result.cophenetic == cophenetic
    assert set(result.members()) == {("a", "b", "c"), ("d", "e", "f")}


def test_ward_is_the_published_choice_and_average_the_default(embeddings):
    distances = clustering.mean_cosine_distance(embeddings)
    assert clustering.PUBLISHED_METHOD == "ward"
    assert clustering.cluster(distances, NAMES).method == "average"


def test_equal_distances_have_no_cophenetic_correlation():
    result = clustering.cluster(np.ones((3, 3)) - np.eye(3), list("abc"))
    assert np.isnan(result.cophenetic)
    assert len(result.members()) == 3


def test_clear_clusters_are_stable(embeddings):
    result = clustering.stability(embeddings)
    assert result.same_clusters == 1
    np.testing.assert_array_equal(result.together, np.kron(np.eye(2), np.ones((3, 3))))


def test_clusters_that_one_image_decides_are_not_stable(rng):
    """One image out of eight puts b beside a; the others put it beside c."""
    a, c = np.eye(2, 8)
    images = np.array([[a, c + 0.05 * a, c]] * 7 + [[a, a, -c]])
    images = images + rng.normal(0, 0.01, images.shape)
    result = clustering.stability(images)
    assert 0.05 < result.same_clusters < 0.999
    np.testing.assert_allclose(np.diag(result.together), 1)
    np.testing.assert_array_equal(result.together, result.together.T)
    again = clustering.stability(images)
    assert again.same_clusters == result.same_clusters


def test_one_image_says_nothing_about_others(embeddings):
    result = clustering.stability(embeddings[:1])
    assert np.isnan(result.same_clusters) and np.isnan(result.together).all()


@pytest.mark.parametrize("shape", [(4, 5), (0, 3, 4), (3, 1, 4)])
def test_embeddings_need_images_and_two_augmentations(shape):
    with pytest.raises(WorkbookError, match=r"image, augmentation, feature"):
        clustering.cosine_distances(np.ones(shape))


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
        clustering.cluster(distances, list("abc"))


def test_methods_are_listed():
    with pytest.raises(WorkbookError, match="average, ward"):
        clustering.cluster(np.zeros((2, 2)), ["a", "b"], method="median")


@pytest.mark.parametrize("nudge", [-1e-8, 0, 1e-8])
def test_clusters_do_not_hang_on_the_last_bit(nudge):
    # The second merge is at 0.7 of the last, which is where the tree is cut.
    distances = squareform([0.1, 1, 1, 1, 1, 0.7 + nudge])
    assert list(clustering.cluster(distances, list("abcd")).labels) == [1, 1, 2, 2]


def test_distances_stand_beside_the_lengths_of_both_ways(embeddings):
    views = xr.DataArray(
        embeddings, dims=("image", "view", "feature"), coords={"view": ["a", "original", *"bcde"]}
    )
    table = clustering.distances_beside_lengths(views)
    assert len(table) == 10
    expected = clustering.mean_cosine_distance(embeddings)
    row = table.query("augmentation == 'a' and other == 'c'").iloc[0]
    assert row["distance"] == pytest.approx(expected[0, 3])
    assert row["moved"] == pytest.approx(expected[1, 0] + expected[1, 3])
