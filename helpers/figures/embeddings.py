"""Figures of where changes move embeddings."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from helpers.data.changes import ORIGINAL
from helpers.figures import style
from helpers.figures.layout import tick_views

# Parts are greys: a colour is a change's.
PARTS: Mapping[str, str] = {
    "translation": "#3F3F3F",
    "contraction": "#9A9A9A",
    "rest": "#E2E2E2",
}
START = "#B5B5B5"
NO_SHARES = "nothing moves, or fewer than three images"


def shift_map(planes: Mapping[str, xr.DataArray], *, changes: Sequence[str]) -> Figure:
    """Draw how changes move the images of every source.

    Parameters
    ----------
    planes : mapping of str to DataArray, (image, view, component)
        Source → coordinates in a plane of its own, with the coordinate `explained`.
    changes : sequence of str
        A column each.

    Returns
    -------
    matplotlib.figure.Figure
        Arrows from originals to changed images: a row per source, with the same limits in a row.
    """
    size = (0.8 + 2.6 * len(changes), 0.7 + 2.7 * len(planes))
    figure, axes = plt.subplots(
        len(planes), len(changes), figsize=size, squeeze=False, sharex="row", sharey="row"
    )
    for (source, plane), row in zip(planes.items(), axes, strict=True):
        for name, ax in zip(changes, row, strict=True):
            _arrows(ax, plane, name)
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(f"{source}\n{plane['explained'].sum().item():.0%} of the variance")
    for name, ax in zip(changes, axes[0], strict=True):
        ax.set_title(style.label(name), fontsize=11)
    look = {"linestyle": "", "marker": "o", "markersize": 6}
    handles = [
        Line2D([], [], color=START, label="original", **look),
        Line2D([], [], color=style.INK, label="changed image, in the colour of the change", **look),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=2)
    return figure


def energy_parts(tables: Mapping[str, pd.DataFrame], *, changes: Sequence[str]) -> Figure:
    """Draw how the energy of shifts divides, and the variance that is left.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Source → as of `helpers.analysis.shifts.energy`.
    changes : sequence of str
        The order of the rows.

    Returns
    -------
    matplotlib.figure.Figure
        A row of panels per source: stacked bars, and dots with intervals.
    """
    size = (9.6, 1.2 + len(tables) * (0.8 + 0.3 * len(changes)))
    figure, axes = plt.subplots(
        len(tables), 2, figsize=size, squeeze=False, sharey=True, sharex="col", width_ratios=(3, 2)
    )
    for (source, table), (bars, dots) in zip(tables.items(), axes, strict=True):
        _parts(bars, table["mean"].unstack().reindex(changes))
        _left(dots, table.xs("variance_left", level="measure").reindex(changes))
        bars.set_title(f"{source}: energy of the shifts")
        dots.set_title("variance left")
        tick_views(bars, changes)
    axes[0, 0].set_ylim(len(changes) - 0.5, -0.5)
    axes[-1, 0].set_xlabel("share of the energy")
    axes[-1, 1].set_xlabel("variance between images, after over before")
    axes[0, 0].legend(loc="lower left", bbox_to_anchor=(0, 1.12), ncols=len(PARTS))
    return figure


def _arrows(ax: Axes, coordinates: xr.DataArray, augmentation: str) -> None:
    start, end = (
        coordinates.sel(view=view).transpose("image", "component").to_numpy()[:, :2]
        for view in (ORIGINAL, augmentation)
    )
    color = style.color(augmentation)
    # More images need lighter lines to stay readable.
    alpha = float(np.clip(30 / len(start), 0.25, 0.8))
    lines = np.stack([start, end], axis=1)
    ax.add_collection(LineCollection(lines, colors=color, alpha=alpha, linewidths=1, zorder=1))
    ax.scatter(*start.T, color=START, s=12, zorder=2, linewidths=0)
    ax.scatter(*end.T, color=color, s=14, zorder=3, linewidths=0)
    ax.set_aspect("equal")


def _parts(ax: Axes, shares: pd.DataFrame) -> None:
    left = np.zeros(len(shares))
    for name, color in PARTS.items():
        widths = shares[name].fillna(0).to_numpy()
        ax.barh(range(len(shares)), widths, left=left, color=color, height=0.72, label=name)
        left += widths
    if shares[[*PARTS]].isna().all(axis=None):
        ax.text(0.5, 0.5, NO_SHARES, transform=ax.transAxes, ha="center", color=style.REFERENCE)
    ax.axvline(0.5, color="white", linestyle=":", linewidth=1.2)
    ax.set_xlim(0, 1)
    ax.tick_params(axis="y", length=0)


def _left(ax: Axes, table: pd.DataFrame) -> None:
    ax.axvline(1, color=style.REFERENCE, linestyle=":", linewidth=1.2)
    for place, (name, row) in enumerate(table.iterrows()):
        color = style.color(name)
        ax.hlines(place, row["low"], row["high"], color=color, linewidth=1.8)
        ax.plot(row["mean"], place, "o", color=color, markersize=6)
    ax.set_xlim(left=0)
    ax.grid(axis="x")
    ax.tick_params(axis="y", length=0)
