"""What the trees and matrices show."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from scipy.cluster import hierarchy

from helpers.analysis.clustering import cluster
from helpers.data import AUGMENTATIONS
from helpers.figures import clustering as figures
from helpers.figures import style

NAMES = list(AUGMENTATIONS)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def tree():
    points = np.random.default_rng(4).random((9, 3))
    return cluster(np.linalg.norm(points[:, None] - points, axis=-1), NAMES)


def ticks(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def test_tree_has_its_joins_at_their_heights(tree):
    ax = figures.dendrogram(tree)
    joins = [line for line in ax.lines if len(line.get_xdata()) == 4]
    heights = sorted(line.get_xdata().max() for line in joins)
    np.testing.assert_allclose(heights, np.sort(tree.linkage[:, 2]))
    solid = sum(line.get_linestyle() == "-" for line in joins)
    assert solid == (tree.linkage[:, 2] <= tree.threshold).sum()


def test_leaves_are_labelled_and_coloured_in_order(tree):
    ax = figures.dendrogram(tree)
    order = [NAMES[leaf] for leaf in hierarchy.leaves_list(tree.linkage)]
    assert ticks(ax) == [style.label(name) for name in order]
    squares = ax.collections[0]
    assert [to_hex(color) for color in squares.get_facecolors()] == [
        style.color(name).lower() for name in order
    ]
    np.testing.assert_array_equal(squares.get_offsets()[:, 1], np.arange(9))


def test_threshold_is_drawn_and_named(tree):
    ax = figures.dendrogram(tree)
    line = next(line for line in ax.lines if line.get_linestyle() == ":")
    assert line.get_xdata() == [tree.threshold] * 2
    assert f"t = {tree.threshold:.3g}" in [text.get_text() for text in ax.texts]
    assert f"{tree.cophenetic:.2f}" in ax.get_title(loc="left") + ax.get_title()


def test_linkages_number_clusters_by_size_in_the_order_of_the_first_tree(tree):
    ward = cluster(tree.distances, NAMES, method="ward")
    figure = figures.linkages({"average": tree, "ward": ward})
    (ax,) = figure.axes
    order = hierarchy.leaves_list(tree.linkage)
    assert [text.get_text() for text in ax.get_xticklabels()] == [
        style.label(NAMES[leaf]) for leaf in order
    ]
    drawn = np.array([text.get_text() for text in ax.texts]).astype(int).reshape(2, -1)
    for row, own in zip(drawn, (tree, ward), strict=True):
        labels = own.labels[order]
        np.testing.assert_array_equal(row[:, None] == row, labels[:, None] == labels)
        counts = np.bincount(row)[1:]
        assert (np.diff(counts) <= 0).all()


def test_matrices_are_in_the_order_of_the_tree(tree):
    order = hierarchy.leaves_list(tree.linkage)
    ax = figures.distance_heatmap(tree)
    np.testing.assert_allclose(ax.images[0].get_array(), tree.distances[np.ix_(order, order)])
    assert ticks(ax) == [style.label(NAMES[leaf]) for leaf in order]
