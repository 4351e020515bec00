"""Curves: responses over severity, accuracy over ablated heads, shares over layers."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from helpers.figures import style
from helpers.figures.dots import SERIES
from helpers.figures.layout import MADE_FOR, panels

BAND = 0.18
LABEL_GAP = 0.062  # between names, as a part of the height
LOOKS = tuple(
    {"marker": marker, "linestyle": line, "ms": 4.5, "mfc": face}
    for marker, line, face in (
        ("o", "-", None),
        ("D", "--", "white"),
        ("s", ":", None),
        ("^", "-.", "white"),
    )
)
"""Line and marker of each series: colours are those of changes."""
PROFILE_LOOKS = {"shift": ("-", "o", style.INK), "ordinary": ("--", "s", style.REFERENCE)}
PROFILE_WORDS = {"shift": "shifts, mean over changes", "ordinary": "two different images"}


def dose_response(
    groups: Mapping[str, pd.DataFrame],
    *,
    ylabel: str,
    xlabel: str = "severity",
    reference: float | None = None,
) -> Figure:
    """Responses over severity, a panel per group and a line per series.

    Parameters
    ----------
    groups : mapping of str to DataFrame
        Title → columns `severity`, `series`, `mean`, `low`, `high`. A name of a view gets its
        label.
    ylabel : str
        What responds.
    xlabel : str
        What severity means, such as the axis of `helpers.data.scale_of`.
    reference : float, optional
        A value to mark with a dotted line.

    Returns
    -------
    Figure
        Bands are the intervals; one legend for all panels, which share their axes. A panel of a
        change has its colour; series differ by line and marker.
    """
    figure, axes = panels(len(groups), size=(3.4, 2.5), sharex=True, sharey=True)
    series = list(dict.fromkeys(next(iter(groups.values()))["series"]))
    looks = dict(zip(series, cycle(LOOKS), strict=False))
    for (title, table), ax in zip(groups.items(), axes, strict=True):
        color = style.colors().get(title, style.INK)
        for name, look in looks.items():
            curve = table[table["series"] == name]
            ax.fill_between(
                curve["severity"], curve["low"], curve["high"], color=color, alpha=BAND, lw=0
            )
            ax.plot(curve["severity"], curve["mean"], color=color, **look)
        if reference is not None:
            ax.axhline(reference, color=style.REFERENCE, linestyle=":", linewidth=1.4)
        ax.set_title(style.LABELS.get(title, title), fontsize=11)
        ax.grid(axis="y")
    figure.supxlabel(xlabel, fontsize=11)
    figure.supylabel(ylabel, fontsize=11)
    if len(series) > 1:
        handles = [Line2D([], [], color=style.INK, label=name, **looks[name]) for name in series]
        figure.legend(handles=handles, loc="outside upper left", ncols=len(series))
    return figure


def equal_change(
    points: pd.DataFrame,
    *,
    levels: Sequence[float] = (),
    ax: Axes,
) -> Axes:
    """Response of every augmentation over the pixel change that causes it.

    Parameters
    ----------
    points : DataFrame
        Columns `augmentation`, `change`, `mean`: the severities that were computed.
    levels : sequence of float
        Pixel changes to mark with dotted lines.
    ax : matplotlib.axes.Axes
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        Dots are the severities; an augmentation without a dose is a star. Each line is named at
        the right, where its end is.
    """
    for level in levels:
        ax.axvline(level, color="#CCCCCC", linestyle=":", linewidth=1.4, zorder=0)
    ends = {}
    for name, curve in points.sort_values("change").groupby("augmentation", sort=False):
        star = {"marker": "*", "ms": 12} if curve["change"].nunique() == 1 else {}
        look = {"ms": 4, **style.line(name), **star}
        ax.plot(curve["change"], curve["mean"], color=style.color(name), **look)
        ends[name] = curve[["change", "mean"]].iloc[-1].to_numpy()
    ax.set_xlim(0, None)
    ax.set(xlabel="mean pixel change (root mean square, 1: full scale)", ylabel="mean similarity")
    _name_ends(ax, ends)
    return ax


def _name_ends(ax: Axes, ends: Mapping[str, np.ndarray]) -> None:
    """Name lines in a column at the right, each tied to its end."""
    low, high = ax.get_ylim()
    names = sorted(ends, key=lambda name: ends[name][1])
    gap = LABEL_GAP * (high - low) * min(1.0, MADE_FOR / len(names))
    heights = _apart([ends[name][1] for name in names], gap)
    for name, height in zip(names, heights, strict=True):
        part = (height - low) / (high - low)
        ax.annotate(
            style.label(name),
            ends[name],
            xytext=(1.03, part),
            textcoords="axes fraction",
            va="center",
            fontsize=10,
            color=style.color(name),
            weight="bold",
            arrowprops={"arrowstyle": "-", "color": style.color(name), "lw": 0.7, "alpha": 0.6},
        )


def _apart(heights: Sequence[float], gap: float) -> np.ndarray:
    """Move ascending heights apart to at least a gap, keeping their middle."""
    steps = np.arange(len(heights)) * gap
    spread = np.maximum.accumulate(np.asarray(heights) - steps) + steps
    return spread - (spread.mean() - np.mean(heights))


def worst_groups(curves: Mapping[str, pd.DataFrame], *, even: float | None = None) -> Figure:
    """Draw the worst group against the number of heads ablated.

    Parameters
    ----------
    curves : mapping of str to DataFrame
        What chose the heads → columns `mean`, `low`, `high`, indexed by number of heads; the first
        and the last with their intervals as bands.
    even : float, optional
        What a probe reaches that was not misled.

    Returns
    -------
    Figure
    """
    figure, (ax,) = panels(1, columns=1, size=(7.6, 4.2))
    for (name, curve), (color, marker) in zip(curves.items(), SERIES, strict=False):
        if name in (next(iter(curves)), list(curves)[-1]):
            ax.fill_between(
                curve.index, curve["low"], curve["high"], color=color, alpha=0.12, linewidth=0
            )
        ax.plot(curve.index, curve["mean"], marker=marker, color=color, label=_order_label(name))
    if even is not None:
        ax.axhline(even, color=style.INK, linestyle=":", label="a probe that was not misled")
    ax.set_xlabel("heads ablated")
    ax.set_ylabel("accuracy of the worst group")
    ax.set_ylim(0, 1.02)
    ax.set_xticks(next(iter(curves.values())).index)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


def _order_label(order: str) -> str:
    return "random heads" if order == "random" else f"heads by {order}"


def layer_profiles(profiles: Mapping[str, pd.DataFrame], *, columns: int = 3) -> Figure:
    """Draw what each layer carries of shifts, and of ordinary differences.

    Parameters
    ----------
    profiles : mapping of str to DataFrame
        Title of a panel → columns ``shift`` and ``ordinary``: the share of each layer, its index.
    columns : int
        Panels side by side.

    Returns
    -------
    Figure
    """
    figure, axes = panels(len(profiles), columns=columns, size=(4.2, 2.6), sharey=True)
    for ax, (title, rows) in zip(axes, profiles.items(), strict=True):
        for name, (line, marker, color) in PROFILE_LOOKS.items():
            ax.plot(
                rows.index, rows[name], line, marker=marker, color=color, label=PROFILE_WORDS[name]
            )
        ax.set_xticks(rows.index)
        ax.set_title(title, fontsize=11)
        ax.grid(axis="y")
    axes[0].set_ylim(bottom=min(0, *(rows.min(axis=None) for rows in profiles.values())))
    figure.supxlabel("layer", fontsize=11)
    figure.supylabel("share", fontsize=11)
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=2)
    return figure
