"""Means with intervals as dots in rows: several series beside one another, a panel per group."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from helpers.analysis.order import CHANCE, MODEL, PIXELS, SAME_IMAGES, UNTRAINED
from helpers.figures import style
from helpers.figures.layout import panels

# Hues of Paul Tol's "bright" scheme, with a marker each: distinguished in grey, too.
SERIES = (
    ("#222222", "o"),
    ("#EE6677", "D"),
    ("#4477AA", "s"),
    ("#228833", "^"),
    ("#CCBB44", "v"),
    ("#66CCEE", "P"),
    ("#AA3377", "X"),
)
SPREAD = 0.56
BANDS = (
    {"facecolor": "#D9D9D9"},
    {"facecolor": "none", "edgecolor": "#8C8C8C", "hatch": "////"},
)
ORDER_ROWS = (MODEL, PIXELS, SAME_IMAGES, UNTRAINED)
ORDER_STACK = 0.09  # between networks that agree equally, in rows

_RING = {"markersize": 6, "color": "none", "markeredgecolor": style.INK}


def interval_dots(
    groups: Mapping[str, pd.DataFrame],
    *,
    xlabel: str,
    bands: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draw means with their intervals.

    Parameters
    ----------
    groups : mapping of str to DataFrame
        Title of a panel → columns `row`, `series`, `mean`, `low`, `high`; rows and series in the
        order in which they first appear. A name of a view gets its label; a series without a name
        is in no legend. A missing interval is not drawn.
    xlabel : str
        What is measured.
    bands : mapping of str to mapping, optional
        What a band is, for the legend → title of a panel → the range to shade, (float, float). Two
        at most: the second is hatched.
    limits : tuple of float, optional
        Of the x axis; by default those of the data.

    Returns
    -------
    Figure
        A legend above the panels where there is more than one series.
    """
    first = next(iter(groups.values()))
    rows, series = list(dict.fromkeys(first["row"])), list(dict.fromkeys(first["series"]))
    size = (max(3.6, 7.6 / len(groups)), 1.4 + 0.42 * len(rows))
    figure, axes = panels(len(groups), columns=3, size=size, sharey=True, sharex=True)
    for (title, table), ax in zip(groups.items(), axes, strict=True):
        for look, ranges in zip(BANDS, (bands or {}).values(), strict=False):
            if title in ranges:
                ax.axvspan(*ranges[title], **look, zorder=0, linewidth=0)
        _draw(ax, table, rows, series)
        ax.set_title(title)
    axes[0].set_yticks(range(len(rows)), [style.LABELS.get(name, name) for name in rows])
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    axes[0].set_xlim(limits)
    figure.supxlabel(xlabel, fontsize=11)
    _legend(figure, series, list(bands or {}))
    return figure


def stacked(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put tables of means below one another, as `interval_dots` takes them.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Series → columns `mean`, `low`, `high`, indexed by row.

    Returns
    -------
    DataFrame
        Columns `row`, `series`, `mean`, `low`, `high`.
    """
    parts = [
        table[["mean", "low", "high"]].rename_axis("row").reset_index().assign(series=name)
        for name, table in tables.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _draw(ax: Axes, table: pd.DataFrame, rows: Sequence[str], series: Sequence[str]) -> None:
    offsets = np.linspace(-SPREAD / 2, SPREAD / 2, len(series)) if len(series) > 1 else [0]
    for name, offset, (color, marker) in zip(series, offsets, cycle(SERIES), strict=False):
        points = table[table["series"] == name]
        heights = np.array([rows.index(row) for row in points["row"]]) + offset
        ax.hlines(heights, points["low"], points["high"], color=color, linewidth=1.8)
        ax.plot(points["mean"], heights, marker, color=color, markersize=5.5)
    ax.grid(axis="x")
    ax.tick_params(axis="y", length=0)
    for height in range(1, len(rows)):
        ax.axhline(height - 0.5, color="#EEEEEE", linewidth=0.8, zorder=0)


def _legend(figure: Figure, series: Sequence[str], bands: Sequence[str]) -> None:
    handles = [
        Line2D([], [], color=color, marker=marker, markersize=6, linewidth=1.8, label=name)
        for name, (color, marker) in zip(series, cycle(SERIES), strict=False)
        if name
    ]
    handles += [Patch(**look, label=name) for look, name in zip(BANDS, bands, strict=False)]
    if len(handles) > 1 or bands:
        figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))


# Orders


def order_agreement(tables: Mapping[str, pd.DataFrame], *, title: str) -> Figure:
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
        _draw_agreement(ax, table)
        ax.set_title(name)
    networks = table.index.str.startswith(UNTRAINED).sum()
    labels = ["this model", "pixel change", "this model,\non fewer images"]
    axes[0].set_yticks(
        range(len(ORDER_ROWS)), [*labels, f"{networks} untrained\nnetworks, on these"]
    )
    axes[0].set_ylim(len(ORDER_ROWS) - 0.5, -0.5)
    pairs = table["pairs"].iloc[0]
    axes[0].set_xlim(-0.5, pairs + 0.5)
    axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.supxlabel(f"{title}, of {pairs:.0f}; band: 95 % of all orders", fontsize=11)
    return figure


def _draw_agreement(ax: Axes, table: pd.DataFrame) -> None:
    ax.axvspan(*table.loc[CHANCE, ["low", "high"]], color="#D9D9D9", zorder=0, linewidth=0)
    for height, name in enumerate(ORDER_ROWS[:-1]):
        row = table.loc[name]
        ax.hlines(height, row["low"], row["high"], color=style.INK, linewidth=1.8)
        ax.plot(row["agreeing"], height, "o", color=style.INK, markersize=6)
    counts = table.loc[table.index.str.startswith(UNTRAINED), "agreeing"]
    for count, equal in counts.groupby(counts):
        heights = ORDER_STACK * (np.arange(len(equal)) - (len(equal) - 1) / 2)
        ax.plot(np.full(len(equal), count), len(ORDER_ROWS) - 1 + heights, "o", **_RING)
    ax.grid(axis="x")
    ax.tick_params(axis="y", length=0)
