"""Figures of responses to the severity of augmentations."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from helpers.figures import style
from helpers.figures.layout import annotate_cells, axes_or_new, bare, panels, tick_views

BAND = 0.18
BEYOND = 0.05  # how far outside answers beyond the range are drawn, as a part of its logarithm


def dose_response(
    curves: Mapping[str, pd.DataFrame],
    *,
    reference: Mapping[str, float],
    unordered: Sequence[str] = (),
) -> Figure:
    """Responses over severity, a panel per measure and a line per augmentation.

    Parameters
    ----------
    curves : mapping of str to DataFrame
        Measure → columns `severity`, `augmentation`, `mean`, `low`, `high`, as of
        `helpers.analysis.severity.dose_response`.
    reference : mapping of str to float
        Measure → a value to mark with a dotted line.
    unordered : sequence of str
        Augmentations without a dose, drawn dashed.

    Returns
    -------
    Figure
        Bands are the intervals; one legend for all panels.
    """
    figure, axes = panels(len(curves), columns=2, size=(4.6, 3.4))
    for (measure, table), ax in zip(curves.items(), axes, strict=True):
        for name, own in table.groupby("augmentation", sort=False):
            dash = "--" if name in unordered else "-"
            _band(ax, own["severity"], own, name, marker="o", markersize=3, linestyle=dash)
        if measure in reference:
            ax.axhline(reference[measure], color=style.REFERENCE, linestyle=":", linewidth=1.4)
        ax.set_title(measure)
        ax.set_xlabel("severity (1: as published)")
    names = list(dict.fromkeys(name for each in curves.values() for name in each["augmentation"]))
    _legend(figure, names)
    return figure


def flip_rates(rates: pd.DataFrame, by_property: pd.DataFrame, *, severity: float) -> Figure:
    """How often zero-shot answers change, over severity and by property.

    Parameters
    ----------
    rates : DataFrame
        Columns `severity`, `augmentation`, `mean`, `low`, `high`, of all properties together.
    by_property : DataFrame, (augmentations, properties)
        Share of images whose answer changes at one severity.
    severity : float
        That severity.

    Returns
    -------
    Figure
        Lines on the left, a heatmap on the right.
    """
    width = 3 + 0.55 * by_property.shape[1]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(5 + width, 4.6), width_ratios=[4.4, width], squeeze=True
    )
    for name, own in rates.groupby("augmentation", sort=False):
        _band(left, own["severity"], own, name, marker="o", markersize=3)
    left.set(xlabel="severity (1: as published)", ylabel="share of answers that change")
    left.set_ylim(0, None)
    left.set_title("All properties")
    image = right.imshow(by_property, cmap=style.SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
    annotate_cells(image, [[f"{rate:.2f}" for rate in row] for row in by_property.values], size=8)
    tick_views(right, list(by_property.index))
    places = range(by_property.shape[1])
    right.set_xticks(
        places, by_property.columns, rotation=45, ha="right", rotation_mode="anchor", fontsize=9
    )
    bare(right)
    right.set_title(f"By property, severity {severity:g}")
    return figure


def equal_change(
    curves: pd.DataFrame,
    points: pd.DataFrame,
    *,
    levels: Sequence[float] = (),
    ax: Axes | None = None,
) -> Axes:
    """Response of every augmentation over the pixel change that causes it.

    Parameters
    ----------
    curves : DataFrame
        Columns `augmentation`, `change`, `mean`, `low`, `high`, as of
        `helpers.analysis.severity.at_equal_change`.
    points : DataFrame
        Columns `augmentation`, `change`, `mean`: the severities that were computed.
    levels : sequence of float
        Pixel changes to mark with dotted lines.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Bands are the intervals, dots the severities; an augmentation without a dose is a dot.
    """
    ax = axes_or_new(ax, (9, 5))
    for level in levels:
        ax.axvline(level, color="#CCCCCC", linestyle=":", linewidth=1.4, zorder=0)
    for name, own in curves.groupby("augmentation", sort=False):
        color = style.color(name)
        ax.fill_between(own["change"], own["low"], own["high"], color=color, alpha=BAND, lw=0)
    for name, own in points.sort_values("change").groupby("augmentation", sort=False):
        size, marker = (12, "*") if own["change"].nunique() == 1 else (4, "o")
        ax.plot(own["change"], own["mean"], color=style.color(name), marker=marker, ms=size)
    ax.set_xlim(0, None)
    ax.set(xlabel="mean pixel change (root mean square, 1: full scale)", ylabel="mean similarity")
    _legend(ax.figure, list(points["augmentation"].unique()))
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
    ax = axes_or_new(ax, (8.5, 4.4))
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
    ax.set_xlabel("severity (dotted: range of the severities that were computed)")
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


def _band(ax: Axes, x: pd.Series, rows: pd.DataFrame, name: str, **options: object) -> None:
    color = style.color(name)
    ax.fill_between(x, rows["low"], rows["high"], color=color, alpha=BAND, linewidth=0)
    ax.plot(x, rows["mean"], color=color, linewidth=1.6, **options)


def _legend(figure: Figure, names: Sequence[str]) -> None:
    lines = [Line2D([], [], color=style.color(name), linewidth=3) for name in names]
    labels = [style.label(name) for name in names]
    figure.legend(lines, labels, loc="outside right upper")
