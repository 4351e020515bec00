"""What the trees and matrices show."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from scipy.cluster import hierarchy

from helpers.analysis.proximity import cluster
from helpers.data import AUGMENTATIONS
from helpers.figures import clustering as figures
from helpers.figures import style

NAMES = list(AUGMENTATIONS)


@pytest.fixture
def tree():
    points = np.random.default_rng(4).random((9, 3))
    return cluster(np.linalg.norm(points[:, None] - points, axis=-1), NAMES)


def ticks(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def test_tree_has_its_joins_at_their_heights(tree):
    (ax,) = figures.trees({"a tree": tree}).axes
    joins = [line for line in ax.lines if len(line.get_xdata()) == 4]
    heights = sorted(line.get_xdata().max() for line in joins)
    np.testing.assert_allclose(heights, np.sort(tree.linkage[:, 2]))
    solid = sum(line.get_linestyle() == "-" for line in joins)
    assert solid == (tree.linkage[:, 2] <= tree.threshold).sum()


def test_leaves_are_labelled_and_coloured_in_order(tree):
    (ax,) = figures.trees({"a tree": tree}).axes
    order = [NAMES[leaf] for leaf in hierarchy.leaves_list(tree.linkage)]
    assert ticks(ax) == [style.label(name) for name in order]
    squares = ax.collections[0]
    assert [to_hex(color) for color in squares.get_facecolors()] == [
        style.color(name).lower() for name in order
    ]
    np.testing.assert_array_equal(squares.get_offsets()[:, 1], np.arange(9))


def test_threshold_is_drawn_and_named(tree):
    (ax,) = figures.trees({"a tree": tree}).axes
    line = next(line for line in ax.lines if line.get_linestyle() == ":")
    assert line.get_xdata() == [tree.threshold] * 2
    assert f"t = {tree.threshold:.3g}" in [text.get_text() for text in ax.texts]


def test_trees_stand_side_by_side(tree):
    ward = cluster(tree.distances, NAMES, method="ward")
    figure = figures.trees({"average": tree, "ward": ward})
    titles = [ax.get_title() + ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["average", "ward"]
    assert ticks(figure.axes[1]) == [
        style.label(NAMES[at]) for at in hierarchy.leaves_list(ward.linkage)
    ]


def test_a_dot_lies_at_each_pair_and_one_pair_is_named():
    table = pd.DataFrame(
        {"augmentation": ["noise", "blur"], "other": ["elastic"] * 2, "distance": [0.1, 0.3]}
    ).assign(moved=[0.2, 0.4])
    figure = figures.distances_by_length(
        {"photos": table, "scenes": table}, named={"photos": ("blur", "elastic")}
    )
    for ax in figure.axes:
        (dots,) = (line for line in ax.lines if line.get_marker() == "o")
        np.testing.assert_allclose(dots.get_xydata(), table[["moved", "distance"]])
    texts = [[text.get_text() for text in ax.texts] for ax in figure.axes]
    assert texts == [["Blur\nElastic"], []]
