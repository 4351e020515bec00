"""The study's answer in one figure."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.figures import style
from helpers.figures.layout import tall, tick_views

# Two hues for two kinds of part, which differ in lightness too; dark is late.
COLORS: Mapping[str, str] = MappingProxyType(
    {
        "heads, first half": "#A6CEE3",
        "heads, second half": "#1F5A94",
        "MLPs, first half": "#FDD0A2",
        "MLPs, second half": "#D9730D",
        "pool": "#6A51A3",
        "rest": "#BBBBBB",
    }
)
WHOLE = "#7F7F7F"
NOTHING = "–"
WIDTH = 0.66
SPLIT = "bars are split like the shares of the shift, mean over images, by the part that wrote it"


def answer(
    shift: Mapping[str, pd.DataFrame],
    parts: Mapping[str, pd.DataFrame] | None,
    notes: Mapping[str, pd.DataFrame],
) -> Figure:
    """How far each augmentation moves embeddings, where in the model that arises, and what follows.

    Parameters
    ----------
    shift : mapping of str to DataFrame
        Source of images → by augmentation, `mean`, `low`, `high` of the shift's size.
    parts : mapping of str to DataFrame, (augmentations, parts)
        Source → shares of the shift, columns among `COLORS`. Bars are as long as the shift and
        split like these; a negative share, which works against the shift, has no length. None
        where the model gives no account: bars are whole.
    notes : mapping of str to DataFrame of str, (augmentations, notes)
        Source → what to write beside each bar; a column has its name on top, and is left out where
        it is `NOTHING` throughout.

    Returns
    -------
    Figure
        A panel per source, in each the augmentation that moves embeddings furthest on top.
    """
    told = [name for own in notes.values() for name in own if (own[name] != NOTHING).any()]
    notes = {source: own[[name for name in own if name in told]] for source, own in notes.items()}
    columns = next(iter(notes.values())).shape[1]
    panel = tall((7.5 + 2.1 * columns, 4.3), len(next(iter(shift.values()))))
    size = panel[0], 0.9 + panel[1] * len(shift)
    figure, axes = plt.subplots(len(shift), 1, figsize=size, sharex=True, squeeze=False)
    for source, ax in zip(shift, axes.flat, strict=True):
        _bars(ax, shift[source].sort_values("mean"), parts and parts[source], notes[source])
        ax.set_title(source)
    longest = max(np.nan_to_num(own[["mean", "high"]]).max() for own in shift.values())
    ax.set_xlim(0, 1.05 * longest or 1)
    ax.set_xlabel("size of the shift: 1 less the cosine similarity of embeddings")
    if parts:
        handles = ax.get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=len(handles[0]), title=SPLIT)
    return figure


def _bars(ax: Axes, rows: pd.DataFrame, parts: pd.DataFrame | None, notes: pd.DataFrame) -> None:
    if parts is None:
        ax.barh(range(len(rows)), rows["mean"], height=WIDTH, color=WHOLE)
    else:
        _stacked(ax, rows["mean"], parts.loc[rows.index])
    lengths = [rows["mean"] - rows["low"], rows["high"] - rows["mean"]]
    ax.errorbar(
        rows["mean"],
        range(len(rows)),
        xerr=np.clip(np.nan_to_num(lengths), 0, None),
        linestyle="none",
        **style.WHISKER,
    )
    tick_views(ax, list(rows.index))
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    _write(ax, notes.loc[rows.index])


def _stacked(ax: Axes, lengths: pd.Series, parts: pd.DataFrame) -> None:
    positive = parts.clip(lower=0)
    portions = positive.div(positive.sum(axis=1).replace(0, np.nan), axis=0).fillna(0)
    start = np.zeros(len(lengths))
    for name in parts.columns[(portions > 0).any()]:
        width = (portions[name] * lengths).to_numpy()
        color = COLORS[name]
        ax.barh(range(len(lengths)), width, left=start, height=WIDTH, color=color, label=name)
        start = start + width


def _write(ax: Axes, notes: pd.DataFrame, *, step: float = 0.23) -> None:
    """Write the notes in columns to the right of the axes."""
    for place, name in enumerate(notes.columns):
        _column(ax, 1.03 + step * place, name, list(notes[name]))


def _column(ax: Axes, at: float, name: str, texts: Sequence[str]) -> None:
    look = {"va": "center", "fontsize": 9.5, "annotation_clip": False}
    ax.annotate(name, (at, 1.035), xycoords="axes fraction", weight="bold", **look)
    for height, text in enumerate(texts):
        ax.annotate(text, (at, height), xycoords=("axes fraction", "data"), **look)
