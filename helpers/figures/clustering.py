"""Trees and distances between augmentations."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.cluster import hierarchy

from helpers.analysis.clustering import Clustering
from helpers.figures import style
from helpers.figures.layout import (
    MADE_FOR,
    annotate_cells,
    axes_or_new,
    bare,
    few_ticks,
    tall,
    tick_views,
)


def leaf_order(linkage: np.ndarray) -> list[int]:
    """Order of the leaves in which no branches of a tree cross.

    Parameters
    ----------
    linkage : numpy.ndarray, (leaves - 1, 4)
        SciPy's linkage matrix.

    Returns
    -------
    list of int
        Positions of the leaves, from the top of a tree drawn by `draw_tree`.
    """
    return hierarchy.dendrogram(linkage, no_plot=True)["leaves"]


def draw_tree(ax: Axes, linkage: np.ndarray, *, threshold: float = np.inf) -> None:
    """Draw a tree to the left of its leaves, which lie at y = 0, 1, … from the top.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where to draw.
    linkage : numpy.ndarray, (leaves - 1, 4)
        SciPy's linkage matrix.
    threshold : float
        Joins above this height, which the clusters don't share, are drawn lighter and dashed.
    """
    tree = hierarchy.dendrogram(linkage, no_plot=True)
    for positions, heights in zip(tree["icoord"], tree["dcoord"], strict=True):
        within = max(heights) <= threshold
        ax.plot(
            heights,
            (np.array(positions) - 5) / 10,  # SciPy puts leaves at 5, 15, 25, …
            color=style.INK if within else style.REFERENCE,
            linestyle="-" if within else "--",
            linewidth=1.8 if within else 1.2,
            solid_capstyle="round",
        )
    ax.set_xlim(1.05 * linkage[:, 2].max() or 1, 0)
    ax.set_ylim(len(linkage) + 0.5, -0.5)


def dendrogram(clustering: Clustering, *, title: str | None = None, ax: Axes | None = None) -> Axes:
    """Tree of augmentations with the threshold of its clusters (figure 4d of the study).

    Parameters
    ----------
    clustering : Clustering
        Result of `helpers.analysis.clustering.cluster`.
    title : str, optional
        By default the linkage method and its cophenetic correlation.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The tree; a square beside each label has the augmentation's colour.
    """
    ax = axes_or_new(ax, tall((6.5, 4.2), len(clustering.names)))
    draw_tree(ax, clustering.linkage, threshold=clustering.threshold)
    names = [clustering.names[leaf] for leaf in leaf_order(clustering.linkage)]
    ax.axvline(clustering.threshold, color=style.REFERENCE, linestyle=":", linewidth=1.6)
    ax.annotate(
        f"t = {clustering.threshold:.3g}",
        (clustering.threshold, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        fontsize=10,
    )
    ax.scatter(
        np.zeros(len(names)),
        range(len(names)),
        s=60,
        marker="s",
        color=[style.color(name) for name in names],
        clip_on=False,
        zorder=3,
    )
    ax.yaxis.tick_right()
    tick_views(ax, names)
    ax.tick_params(axis="y", length=0, pad=8)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("height of the join")
    few_ticks(ax, 5)
    stated = f"{clustering.method} linkage, cophenetic correlation {clustering.cophenetic:.2f}"
    ax.set_title(stated if title is None else title, pad=20)
    return ax


def linkages(clusterings: Mapping[str, Clustering]) -> Figure:
    """Clusters of several linkages in one figure, to see what the method does.

    Parameters
    ----------
    clusterings : mapping of str to Clustering
        Name of the linkage → its tree, all of the same augmentations.

    Returns
    -------
    matplotlib.figure.Figure
        A row per linkage, with its cophenetic correlation; a column per augmentation, in the order
        of the first tree. Cells of a row with the same number and shade are one cluster; the
        largest is 1.
    """
    first = next(iter(clusterings.values()))
    order = leaf_order(first.linkage)
    numbers = np.array([_by_size(tree.labels)[order] for tree in clusterings.values()])
    figure, ax = plt.subplots(figsize=(9.5, 1.6 + 0.42 * len(numbers)))
    image = ax.imshow(numbers, cmap="Greys", vmin=0, vmax=numbers.max() + 1.5, aspect="auto")
    annotate_cells(image, numbers.astype(str), size=10)
    tick_views(ax, [first.names[at] for at in order], axis="x")
    rows = [f"{name} ({tree.cophenetic:.2f})" for name, tree in clusterings.items()]
    ax.set_yticks(range(len(rows)), rows)
    bare(ax)
    ax.set_title("Clusters by linkage (cophenetic correlation)")
    return figure


def _by_size(labels: np.ndarray) -> np.ndarray:
    """Give the largest cluster number 1, and so on; of equal ones the first seen leads."""
    names, first, counts = np.unique(labels, return_index=True, return_counts=True)
    order = np.lexsort((first, -counts))
    rank = np.empty(len(names), int)
    rank[order] = np.arange(1, len(names) + 1)
    return rank[np.searchsorted(names, labels)]


def distance_heatmap(clustering: Clustering, *, ax: Axes | None = None) -> Axes:
    """Mean cosine distance between augmentations, in the order of the tree.

    Parameters
    ----------
    clustering : Clustering
        Result of `helpers.analysis.clustering.cluster`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The annotated matrix.
    """
    ax = _matrix(clustering.distances, clustering, cmap=style.SEQUENTIAL, ax=ax)
    ax.set_title("Mean cosine distance between changes")
    return ax


def _matrix(
    values: np.ndarray, clustering: Clustering, *, ax: Axes | None, **options: object
) -> Axes:
    width = 7.8 * max(1.0, len(clustering.names) / MADE_FOR)
    ax = axes_or_new(ax, tall((width, 6.4), len(clustering.names)))
    order = leaf_order(clustering.linkage)
    ordered = values[np.ix_(order, order)]
    image = ax.imshow(ordered, **options)
    annotate_cells(image, [[f"{value:.2f}" for value in row] for row in ordered], size=9)
    names = [clustering.names[leaf] for leaf in order]
    tick_views(ax, names)
    tick_views(ax, names, axis="x")
    bare(ax)
    ax.figure.colorbar(image, ax=ax, shrink=0.8)
    return ax
