"""What figures share: panels, annotated cells, notes on the sample, descriptions."""

from collections.abc import Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from helpers.figures import style

MADE_FOR = 9  # changes that heights of figures suit: the study's
AROUND = 1.6  # inches that titles and axes take of such a height
LEAST = (5.6, 3.4)  # inches of a figure of panels, which has room for the names of its axes
MOST_COLUMNS = 11  # of views side by side: the original and ten changes
LONGEST_TITLE = 14  # characters on a line above a small panel
MOST = 12

SIDES = ("left", "center", "right")


def tall(size: tuple[float, float], changes: int) -> tuple[float, float]:
    """Fit the height of a figure that has a row per change to their number.

    Parameters
    ----------
    size : tuple of float
        Width and height in inches that suit `MADE_FOR` changes.
    changes : int

    Returns
    -------
    tuple of float
    """
    return size[0], AROUND + (size[1] - AROUND) * changes / MADE_FOR


def panels(
    count: int, *, columns: int = 3, size: tuple[float, float] = (3.6, 2.6), **options: object
) -> tuple[Figure, list[Axes]]:
    """Small multiples: a grid of equal axes, unused ones removed.

    Parameters
    ----------
    count : int
        Number of panels.
    columns : int
        Panels side by side.
    size : tuple of float
        Width and height of a panel in inches; more where there are too few panels for `LEAST`.
    **options
        Passed to `matplotlib.pyplot.subplots`.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : list of matplotlib.axes.Axes
        The panels in reading order.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    if size[0] * columns < LEAST[0]:
        size = LEAST[0] / columns, max(size[1], LEAST[1] / rows)
    figure, axes = plt.subplots(
        rows, columns, figsize=(size[0] * columns, size[1] * rows), squeeze=False, **options
    )
    for unused in axes.flat[count:]:
        unused.remove()
    if options.get("sharex"):  # a panel above a removed one is the lowest of its column
        for lowest in axes.flat[max(0, count - columns) : count]:
            lowest.tick_params(labelbottom=True)
    return figure, list(axes.flat[:count])


def view_axes(
    views: Sequence[str],
    titles: Sequence[str],
    *,
    size: tuple[float, float] = (1.45, 1.5),
    extra: float = 0.6,
) -> tuple[Figure, np.ndarray]:
    """Make a grid of bare axes, a row per title and a column per view.

    More than `MOST_COLUMNS` views go into several blocks of rows, one below the other.
    """
    rows, count = len(titles), len(views)
    blocks = _blocks(count)
    columns = -(-count // blocks)
    shape = rows * blocks, columns
    figsize = size[0] * columns, size[1] * shape[0] + extra
    figure, grid = plt.subplots(*shape, figsize=figsize, squeeze=False)
    for ax in grid.flat:
        ax.set(xticks=[], yticks=[])
        bare(ax)
    for ax, title in zip(grid[:, 0], [*titles] * blocks, strict=True):
        ax.set_ylabel(title, fontsize=9)
    # Blocks side by side again, as the caller counts.
    axes = np.concatenate(np.split(grid, blocks), axis=1)
    for unused in axes[:, count:].flat:
        unused.remove()
    for name, ax in zip(views, axes[0], strict=False):
        title_view(ax, name)
    return figure, axes[:, :count]


def _blocks(views: int) -> int:
    return -(-views // MOST_COLUMNS)


def annotate_cells(image: AxesImage, texts: Sequence[Sequence[str]], *, size: float = 10) -> None:
    """Write a text into every cell of a heatmap, dark on light and light on dark."""
    red_green_blue = image.cmap(image.norm(image.get_array()))[..., :3]
    luminance = red_green_blue @ np.array([0.2126, 0.7152, 0.0722])
    for row, column in np.ndindex(luminance.shape):
        ink = "white" if luminance[row, column] < 0.5 else style.INK
        image.axes.text(
            column, row, texts[row][column], ha="center", va="center", color=ink, fontsize=size
        )


def bare(ax: Axes) -> None:
    """Take away spines and tick marks, as suits a heatmap or an image; labels stay."""
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)


def tick_views(ax: Axes, names: Sequence[str]) -> None:
    """Label positions 0, 1, … of the y axis with views."""
    places, labels = range(len(names)), [style.label(name) for name in names]
    ax.set_yticks(places, labels)


def title_view(ax: Axes, name: str) -> None:
    """Write a view's label above a small panel, on as many lines as it needs."""
    ax.set_title(fill(style.label(name), LONGEST_TITLE), fontsize=10, loc="center")


def few_ticks(ax: Axes, count: int = 4) -> None:
    """Keep the number of ticks on the x axis small enough for a small panel."""
    ax.xaxis.set_major_locator(MaxNLocator(count))


def shortened(text: object, length: int = 18) -> str:
    """Cut a text that is too long for its place in a figure, such as the name of a file."""
    text = str(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def sample_note(counts: pd.Series) -> str:
    """Say how many images stand behind a figure."""
    low, high = int(counts.min()), int(counts.max())
    count = str(high) if low == high else f"{low} to {high}"
    return f"n = {count} image{'' if high == 1 else 's'}"


# Descriptions


def describe(figure: Figure) -> str:
    """Say what a figure shows: its titles, axes and series, as it names them itself."""
    shown = [ax for ax in figure.axes if ax.get_visible()]
    titles = [figure.get_suptitle(), *(ax.get_title(at) for ax in shown for at in SIDES)]
    labels = {
        "Panels": titles,
        "Horizontal axis": [ax.get_xlabel() for ax in shown],
        "Vertical axis": [ax.get_ylabel() for ax in shown],
        "Rows": [text for ax in shown for text in _ticks(ax)],
        "Series": [text for holder in (figure, *shown) for text in _legend(holder)],
    }
    return " ".join(
        f"{name}: {_listed(texts)}." for name, texts in labels.items() if any(map(str.strip, texts))
    )


def _ticks(ax: Axes) -> list[str]:
    """Return the names along the vertical axis, top first; numbers are no names."""
    texts = [label.get_text() for label in ax.get_yticklabels()]
    named = [text for text in texts if any(map(str.isalpha, text))]
    return named if ax.yaxis_inverted() else named[::-1]


def _legend(holder: Figure | Axes) -> list[str]:
    legends = holder.legends if isinstance(holder, Figure) else [holder.get_legend()]
    return [text.get_text() for legend in legends if legend for text in legend.get_texts()]


def _listed(texts: list[str]) -> str:
    """List each text once, on one line, and say how many are left out."""
    different = list(dict.fromkeys(" ".join(text.split()) for text in texts if text.strip()))
    more = len(different) - MOST
    return "; ".join(different[:MOST]) + (f" and {more} more" if more > 0 else "")
