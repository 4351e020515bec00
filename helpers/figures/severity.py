"""Figures of responses to the severity of augmentations."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.figures import style
from helpers.figures.dots import SERIES
from helpers.figures.layout import MADE_FOR, axes_or_new, panels, tall, tick_views

BAND = 0.18
LABEL_GAP = 0.062  # between names, as a part of the height
BEYOND = 0.05  # how far outside answers beyond the range are drawn, as a part of its logarithm


def dose_response(
    groups: Mapping[str, pd.DataFrame],
    *,
    ylabel: str,
    xlabel: str = "severity",
    reference: float | None = None,
    columns: int = 3,
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
    columns : int
        Panels side by side.

    Returns
    -------
    Figure
        Bands are the intervals; one legend for all panels, which share their axes. A single series
        has the colour of the change that its panel is of.
    """
    figure, axes = panels(len(groups), columns=columns, size=(3.4, 2.5), sharex=True, sharey=True)
    series = list(dict.fromkeys(next(iter(groups.values()))["series"]))
    for (title, table), ax in zip(groups.items(), axes, strict=True):
        for name, (color, marker) in _looks(title, series).items():
            own = table[table["series"] == name]
            ax.fill_between(own["severity"], own["low"], own["high"], color=color, alpha=BAND, lw=0)
            ax.plot(own["severity"], own["mean"], color=color, marker=marker, ms=4, label=name)
        if reference is not None:
            ax.axhline(reference, color=style.REFERENCE, linestyle=":", linewidth=1.4)
        ax.set_title(style.LABELS.get(title, title), fontsize=11)
        ax.grid(axis="y")
    figure.supxlabel(xlabel, fontsize=11)
    figure.supylabel(ylabel, fontsize=11)
    if len(series) > 1:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(series))
    return figure


def _looks(title: str, series: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of every series."""
    if len(series) == 1 and title in style.colors():
        return {series[0]: (style.color(title), "o")}
    return dict(zip(series, cycle(SERIES), strict=False))


def equal_change(
    points: pd.DataFrame,
    *,
    levels: Sequence[float] = (),
    ax: Axes | None = None,
) -> Axes:
    """Response of every augmentation over the pixel change that causes it.

    Parameters
    ----------
    points : DataFrame
        Columns `augmentation`, `change`, `mean`: the severities that were computed.
    levels : sequence of float
        Pixel changes to mark with dotted lines.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Dots are the severities; an augmentation without a dose is a star. Each line is named at
        the right, where its end is.
    """
    ax = axes_or_new(ax, tall((8, 5), max(MADE_FOR, points["augmentation"].nunique())))
    for level in levels:
        ax.axvline(level, color="#CCCCCC", linestyle=":", linewidth=1.4, zorder=0)
    ends = {}
    for name, own in points.sort_values("change").groupby("augmentation", sort=False):
        star = {"marker": "*", "ms": 12} if own["change"].nunique() == 1 else {}
        look = {"ms": 4, **style.line(name), **star}
        ax.plot(own["change"], own["mean"], color=style.color(name), **look)
        ends[name] = own[["change", "mean"]].iloc[-1].to_numpy()
    ax.set_xlim(0, None)
    ax.set(xlabel="mean pixel change (root mean square, 1: full scale)", ylabel="mean similarity")
    _name_ends(ax, ends)
    return ax


def crossings(table: pd.DataFrame, *, severities: Sequence[float], ax: Axes | None = None) -> Axes:
    """Severities at which augmentations cross a threshold.

    Parameters
    ----------
    table : DataFrame
        As of `helpers.analysis.severity.crossings`.
    severities : sequence of float
        The severities that were computed; their range is the axis.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The first to cross on top, with interval and answer. An arrow points to an answer beyond
        the range; an augmentation without a dose has its answer alone.
    """
    ax = axes_or_new(ax, tall((8.5, 4.4), len(table)))
    rows = table.sort_values("severity", ascending=False, na_position="first")
    low, high = min(severities), max(severities)
    margin = (high / low) ** BEYOND
    for height, (name, row) in enumerate(rows.iterrows()):
        at, start, end = (
            np.clip(row[column], low / margin, high * margin)
            for column in ("severity", "low", "high")
        )
        ax.plot([start, end], [height, height], color=style.color(name), linewidth=2.5)
        marker = {np.inf: ">", -np.inf: "<"}.get(row["severity"], "o")
        ax.plot(at, height, marker, color=style.color(name), markersize=9)
    for bound in (low, high):
        ax.axvline(bound, color=style.REFERENCE, linestyle=":", linewidth=1.2)
    tick_views(ax, list(rows.index))
    ax.tick_params(axis="y", length=0)
    _write_answers(ax, rows["answer"])
    ax.set_xscale("log")
    ax.set_xticks(severities, [f"{each:g}" for each in severities])
    ax.minorticks_off()
    ax.set_xlim(low / margin**2, high * margin**2)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_xlabel("severity (dotted: range that was computed)")
    return ax


def _write_answers(ax: Axes, answers: pd.Series) -> None:
    for height, answer in enumerate(answers):
        ax.annotate(
            answer,
            (1, height),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=10,
        )


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
