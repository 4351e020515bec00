"""Tables as heatmaps, with their numbers written in."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from helpers.checks import WorkbookError
from helpers.figures import style
from helpers.figures.layout import annotate_cells, bare

CELL = (0.78, 0.44)
LONG_LABEL = 6
EMPTY = "#F3F3F3"


def heatmaps(
    tables: Mapping[str, pd.DataFrame],
    *,
    texts: Mapping[str, pd.DataFrame] | None = None,
    limits: tuple[float, float] = (0, 1),
    cmap: str = style.SEQUENTIAL,
    bar_label: str = "",
    column_label: str = "",
    empty: str = "no value",
    cell: tuple[float, float] = CELL,
) -> Figure:
    """Draw tables with the same rows side by side, on one scale.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Title → numbers; NaN has the ground of an empty cell. A name of a view gets its label.
    texts : mapping of str to DataFrame, optional
        Title → what to write into the cells; by default the numbers with two decimals.
    limits : tuple of float
        Of the colours.
    cmap : str
        Name of a colour map.
    bar_label : str
        What the colours mean; no colour bar without it.
    column_label : str
        What the columns are.
    empty : str
        What is written over a table that has nothing in its cells.
    cell : tuple of float
        Width and height of a cell in inches.

    Returns
    -------
    Figure

    Raises
    ------
    WorkbookError
        If the tables have other rows.
    """
    first = next(iter(tables.values()))
    if any(list(table.index) != list(first.index) for table in tables.values()):
        raise WorkbookError("Heatmaps side by side need the same rows; these tables differ.")
    widths = [table.shape[1] for table in tables.values()]
    size = (2.6 + cell[0] * sum(widths), 1.9 + cell[1] * len(first))
    figure, axes = plt.subplots(
        1, len(tables), figsize=size, width_ratios=widths, sharey=True, squeeze=False
    )
    scale = Normalize(*limits)
    for (title, table), ax in zip(tables.items(), axes.flat, strict=True):
        written = texts[title] if texts else table.map(_two_decimals)
        image = ax.imshow(table.astype(float), cmap=cmap, norm=scale, aspect="auto")
        annotate_cells(image, written.to_numpy(), size=9)
        if (written == "").all(axis=None):
            ax.text(0.5, 0.5, empty, transform=ax.transAxes, ha="center", va="center")
        names = list(map(_text, table.columns))
        ax.set_xticks(range(len(names)), names, **_slant(names))
        ax.set(title=title, facecolor=EMPTY)
        bare(ax)
    axes.flat[0].set_yticks(range(len(first)), map(_text, first.index))
    if column_label:
        figure.supxlabel(column_label, fontsize=11)
    if bar_label:
        figure.colorbar(image, ax=list(axes.flat), pad=0.02, label=bar_label)
    return figure


def _text(name: object) -> str:
    return style.LABELS.get(name, f"{name:g}" if isinstance(name, float) else str(name))


def _two_decimals(value: float) -> str:
    # A value that rounds to nothing has no sign.
    return "" if np.isnan(value) else f"{round(value, 2) + 0:.2f}"


def _slant(names: Sequence[str]) -> dict[str, object]:
    if max(map(len, names)) <= LONG_LABEL:
        return {}
    return {"rotation": 45, "ha": "right", "rotation_mode": "anchor", "fontsize": 9}
