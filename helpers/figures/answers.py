"""Figures of what a model sees instead: answers before and after a change."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from helpers.figures import style
from helpers.figures.layout import panels, shortened

ROW, GAP, HEAD = 0.27, 0.5, 1.3  # inches of an answer and around all; GAP in rows, between changes
LABEL = 0.045  # from the later dot to its name, as a part of the axis
LONGEST = 28


def gained_answers(
    gained: Mapping[str, pd.DataFrame],
    *,
    otherwise: Mapping[str, pd.Series],
    changes: Sequence[str],
) -> Figure:
    """Draw the answers that changes bring most, before and after.

    Parameters
    ----------
    gained : mapping of str to DataFrame
        Source → `augmentation`, `answer`, and of `n` images the numbers `before` and `after`
        (`helpers.analysis.flips.most_gained`).
    otherwise : mapping of str to Series
        Source → what is written for a change without such an answer, by change.
    changes : sequence of str
        The order of the rows.

    Returns
    -------
    Figure
        A panel per source, a group of rows per change. From the hollow dot, before, to the full
        one, after, in the colour of the change.
    """
    slots = {
        name: max(1, *(int((table["augmentation"] == name).sum()) for table in gained.values()))
        for name in changes
    }
    tops, height = {}, 0.0
    for name, count in slots.items():
        tops[name] = height
        height += count + GAP
    size = (max(4.4, 9.6 / len(gained)), HEAD + ROW * height)
    figure, axes = panels(len(gained), columns=2, size=size, sharey=True, sharex=True)
    for (source, table), ax in zip(gained.items(), axes, strict=True):
        for name, top in tops.items():
            rows = table[table["augmentation"] == name]
            for place, row in enumerate(rows.itertuples()):
                _before_after(ax, row, top + place)
            if rows.empty:
                ax.text(0.01, top, otherwise[source][name], color=style.REFERENCE, va="center")
            if top:
                ax.axhline(top - (1 + GAP) / 2, color="#EEEEEE", linewidth=0.8, zorder=0)
        ax.set_title(source)
        ax.grid(axis="x")
        ax.tick_params(axis="y", length=0)
    axes[0].set_yticks(list(tops.values()), [style.label(name) for name in tops])
    axes[0].set(ylim=(height - (1 - GAP) / 2 - GAP, -0.5 - GAP / 2), xlim=(-0.03, 1.4))
    axes[0].set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    figure.supxlabel("images that give the answer", fontsize=11)
    _legend(figure)
    return figure


def answers_by_depth(depths: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw how much more often answers are given after a change than before, at every depth.

    Parameters
    ----------
    depths : mapping of str to DataFrame
        Source → `augmentation`, `answer`, `depth` and `gain` (`helpers.analysis.flips.by_depth`).

    Returns
    -------
    Figure
        A panel per source, a line per answer in the colour of its change.
    """
    figure, axes = panels(len(depths), columns=2, size=(5.2, 3.6), sharey=True, sharex=True)
    for (source, table), ax in zip(depths.items(), axes, strict=True):
        ax.axhline(0, color=style.REFERENCE, linewidth=1)
        for (name, answer), curve in table.groupby(["augmentation", "answer"], sort=False):
            label = f"{style.label(name)}: {shortened(answer, LONGEST)}"
            look = style.line(name) | {"color": style.color(name), "label": label}
            ax.plot(curve["depth"].astype(str), curve["gain"], markersize=4, **look)
        if len(table):
            ax.legend(loc="upper left", fontsize=9)
        else:
            ax.text(0.5, 0.6, "no answer gains", transform=ax.transAxes, ha="center")
        ax.set_title(source)
        ax.grid(axis="y")
    axes[0].set_ylabel("images, after less before")
    axes[0].yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    figure.supxlabel("read out after layer", fontsize=11)
    return figure


def _before_after(ax: Axes, row, height: float) -> None:
    """One answer: its shares, and its name beside the later one."""
    before, after = row.before / row.n, row.after / row.n
    color = style.color(row.augmentation)
    ax.plot([before, after], [height, height], color=color, linewidth=3, solid_capstyle="butt")
    ax.plot(before, height, "o", markersize=6, markerfacecolor="white", markeredgecolor=color)
    ax.plot(after, height, "o", markersize=7, color=color)
    text = f"{shortened(row.answer, LONGEST)}  {row.before} → {row.after}"
    ax.text(max(before, after) + LABEL, height, text, va="center", fontsize=10)


def _legend(figure: Figure) -> None:
    look = {"linestyle": "", "marker": "o", "color": style.INK}
    handles = [
        Line2D([], [], markerfacecolor="white", markersize=6, label="before", **look),
        Line2D([], [], markersize=7, label="after the change (number of images)", **look),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=2)
