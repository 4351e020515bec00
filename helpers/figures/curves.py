"""Curves with bands: what becomes of a measure as more and more is taken away."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from helpers.figures import style
from helpers.figures.dots import SERIES
from helpers.figures.layout import panels


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
    for (name, own), (color, marker) in zip(curves.items(), SERIES, strict=False):
        if name in (next(iter(curves)), list(curves)[-1]):
            ax.fill_between(
                own.index, own["low"], own["high"], color=color, alpha=0.12, linewidth=0
            )
        ax.plot(own.index, own["mean"], marker=marker, color=color, label=_label(name))
    if even is not None:
        ax.axhline(even, color=style.INK, linestyle=":", label="a probe that was not misled")
    ax.set_xlabel("heads ablated")
    ax.set_ylabel("accuracy of the worst group")
    ax.set_ylim(0, 1.02)
    ax.set_xticks(next(iter(curves.values())).index)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


def _label(order: str) -> str:
    return "random heads" if order == "random" else f"heads by {order}"
