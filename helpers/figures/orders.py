"""Agreement of orders with the published one."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from helpers.analysis.order import CHANCE, MODEL, PIXELS, SAME_IMAGES, UNTRAINED
from helpers.figures import style
from helpers.figures.layout import panels

ROWS = (MODEL, PIXELS, SAME_IMAGES, UNTRAINED)
STACK = 0.09  # between networks that agree equally, in rows


def agreement(tables: Mapping[str, pd.DataFrame], *, title: str) -> Figure:
    """Draw how many published pairs a model's order and its baselines agree with.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Title of a panel → `helpers.analysis.order.pairs_beside_untrained`.
    title : str
        Which pairs they are.

    Returns
    -------
    Figure
        A row for the model on all images, for pixels, for the model on the images of the untrained
        networks, and one for these, a ring each; the grey band holds 95 % of all orders.
    """
    size = (max(4.2, 8.4 / len(tables)), 2.9)
    figure, axes = panels(len(tables), columns=2, size=size, sharey=True, sharex=True)
    for (name, table), ax in zip(tables.items(), axes, strict=True):
        _draw(ax, table)
        ax.set_title(name)
    networks = table.index.str.startswith(UNTRAINED).sum()
    labels = ["this model", "pixel change", "this model,\non fewer images"]
    axes[0].set_yticks(range(len(ROWS)), [*labels, f"{networks} untrained\nnetworks, on these"])
    axes[0].set_ylim(len(ROWS) - 0.5, -0.5)
    pairs = table["pairs"].iloc[0]
    axes[0].set_xlim(-0.5, pairs + 0.5)
    axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.supxlabel(f"{title}, of {pairs:.0f}; band: 95 % of all orders", fontsize=11)
    return figure


def _draw(ax: Axes, table: pd.DataFrame) -> None:
    ax.axvspan(*table.loc[CHANCE, ["low", "high"]], color="#D9D9D9", zorder=0, linewidth=0)
    for height, name in enumerate(ROWS[:-1]):
        own = table.loc[name]
        ax.hlines(height, own["low"], own["high"], color=style.INK, linewidth=1.8)
        ax.plot(own["agreeing"], height, "o", color=style.INK, markersize=6)
    counts = table.loc[table.index.str.startswith(UNTRAINED), "agreeing"]
    for count, equal in counts.groupby(counts):
        heights = STACK * (np.arange(len(equal)) - (len(equal) - 1) / 2)
        ax.plot(np.full(len(equal), count), len(ROWS) - 1 + heights, "o", **_RING)
    ax.grid(axis="x")
    ax.tick_params(axis="y", length=0)


_RING = {"markersize": 6, "color": "none", "markeredgecolor": style.INK}
