"""Trees and distances between augmentations."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.cluster import hierarchy

from helpers.analysis.proximity import Clustering
from helpers.figures import style
from helpers.figures.layout import few_ticks, panels, tall, tick_views


def leaf_order(linkage: np.ndarray) -> list[int]:
    """Order of the leaves in which no branches of a tree cross."""
    return hierarchy.dendrogram(linkage, no_plot=True)["leaves"]


def draw_tree(ax: Axes, linkage: np.ndarray, *, threshold: float = np.inf) -> None:
    """Draw a tree to the left of its leaves, which lie at y = 0, 1, … from the top."""
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


def trees(clusterings: Mapping[str, Clustering]) -> Figure:
    """Draw trees of changes with the thresholds of their clusters (figure 4d of the study).

    Parameters
    ----------
    clusterings : mapping of str to Clustering
        Title of a panel → its tree.

    Returns
    -------
    matplotlib.figure.Figure
    """
    most = max(len(tree.names) for tree in clusterings.values())
    size = tall((5.6, 3.9), most)
    figure, axes = panels(len(clusterings), columns=2, size=size)
    for (title, tree), ax in zip(clusterings.items(), axes, strict=True):
        _dendrogram(ax, tree, title)
    return figure


def distances_by_length(
    tables: Mapping[str, pd.DataFrame], *, named: Mapping[str, tuple[str, str]]
) -> Figure:
    """Draw the distance between two changes by how far the two move images.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Title of a panel → `helpers.analysis.proximity.distances_beside_lengths`.
    named : mapping of str to tuple of str
        Title of a panel → the pair of changes whose name is written.

    Returns
    -------
    matplotlib.figure.Figure
        A dot for each pair. On the dashed line the distance is the sum of both ways.
    """
    figure, axes = panels(len(tables), columns=2, size=(4.2, 3.6), sharex=True, sharey=True)
    reach = max(float(table[["distance", "moved"]].max(axis=None)) for table in tables.values())
    for (title, table), ax in zip(tables.items(), axes, strict=True):
        ax.plot([0, reach], [0, reach], "--", color=style.REFERENCE, linewidth=1)
        ax.plot(table["moved"], table["distance"], "o", color=style.INK, alpha=0.7, markersize=5)
        if title in named:
            _name(ax, table, named[title])
        ax.set_title(title)
        ax.grid()
    figure.supxlabel("how far the two move images: sum of cosine distances", fontsize=11)
    figure.supylabel("cosine distance between the two", fontsize=11)
    return figure


def _dendrogram(ax: Axes, clustering: Clustering, title: str) -> None:
    """Tree of augmentations with the threshold of its clusters (figure 4d of the study)."""
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
    ax.set_title(title, pad=20)


def _name(ax: Axes, table: pd.DataFrame, pair: tuple[str, str]) -> None:
    is_pair = (table["augmentation"] == pair[0]) & (table["other"] == pair[1])
    ax.annotate(
        "\n".join(style.label(name) for name in pair),
        table.loc[is_pair, ["moved", "distance"]].iloc[0],
        xytext=(6, -6),
        textcoords="offset points",
        va="top",
        fontsize=9,
    )
