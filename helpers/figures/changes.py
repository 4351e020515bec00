"""One image before and after a change, and what the change does to its embedding.

These figures are redrawn while a slider is dragged. Their axes therefore have places of their own:
to let Matplotlib's layout engine find some takes longer than all the rest.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from helpers.figures import style
from helpers.figures.images import change_map
from helpers.figures.layout import bare, few_ticks, shortened

BEFORE, AFTER = "#88CCEE", "#882255"
LEAST_SHARE = 0.25  # to which the axis of shares goes at least, so that small shares look small
HEIGHT, PANEL, BOTTOM = 2.75, 1.9, 0.3  # inches
LONGEST_ANSWER = 36
PICTURE, MOSAIC, TITLE = 1.6, 3.6, 0.5  # inches


def changed_pixels(
    original: np.ndarray, changed: np.ndarray, *, title: str, similarity: float
) -> Figure:
    """Draw an image, its changed view, where the two differ, and how alike they are to a model."""
    figure, axes = _row((0.05, PANEL), (0.3, PANEL), (0.3, PANEL), (0.95, 0.4), right=0.6)
    _pair(axes, original, changed, title)
    difference = np.abs(changed.astype(float) - original).mean(axis=-1)
    change_map(difference, ax=axes[2])
    axes[2].set(xticks=[], yticks=[])
    axes[2].set_title(f"mean change of a\npixel: {difference.mean():.1f} of 255")
    _similarity(axes[3], similarity)
    return figure


def shifted(
    original: np.ndarray,
    changed: np.ndarray,
    *,
    title: str,
    similarity: float,
    heads: pd.Series,
    predictions: pd.DataFrame | None,
) -> Figure:
    """Draw an image, its changed view, and the shift of its embedding in parts and in words."""
    pictures = (0.05, PANEL), (0.3, PANEL), (0.95, 0.4)
    figure, axes = _row(*pictures, (1.5, 1.7), (3.1, 2.2), right=0.15)
    _pair(axes, original, changed, title)
    _similarity(axes[2], similarity)
    _heads(axes[3], heads)
    if predictions is None:
        axes[4].remove()
    else:
        _predictions(axes[4], predictions)
    return figure


def attended(
    original: np.ndarray,
    changed: np.ndarray,
    *,
    title: str,
    before: np.ndarray,
    after: np.ndarray,
) -> Figure:
    """Draw an image, its changed view, and what every head of every layer reads of both.

    Parameters
    ----------
    original, changed : ndarray of uint8, (h, w, 3)
    title : str
        Of the changed view.
    before, after : ndarray, (layers, heads, rows, columns)
        How much of each patch is read.

    Returns
    -------
    Figure
        Mosaics with a row per layer, the first at the bottom, and a column per head: before, after
        and the difference, each head on a scale of its own.
    """
    layers, heads = before.shape[:2]
    height = max(MOSAIC * layers / heads, 2 * PICTURE + TITLE)
    size = PICTURE + 3 * (MOSAIC + 0.45) + 0.25, height + 0.85
    figure = plt.figure(figsize=size, layout="none")
    pictures = [
        _at(figure, 0.05, height - PICTURE - place * (PICTURE + TITLE), PICTURE, PICTURE)
        for place in (0, 1)
    ]
    _pair(pictures, original, changed, title)
    for ax, name in zip(pictures, ("original", title), strict=True):
        ax.set_title(name, fontsize=9)
    most = np.maximum(before, after).max(axis=(2, 3), keepdims=True)
    scale = np.where(most > 0, most, 1)
    shown = {"before": before, "after": after, "after minus before": after - before}
    for place, (name, maps) in enumerate(shown.items()):
        left = PICTURE + 0.45 + place * (MOSAIC + 0.45)
        ax = _at(figure, left, 0, MOSAIC, height)
        _mosaic(ax, maps / scale, signed=place == 2)
        ax.set_title(name)
    figure.text(
        0.5,
        0.01,
        "columns are heads, rows layers; each head from 0 to its most attention to a patch,"
        " before or after (difference: red more, blue less)",
        ha="center",
        va="bottom",
        fontsize=9,
    )
    return figure


def _at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add axes at a place in inches, above the line at the bottom."""
    whole = figure.get_figwidth(), figure.get_figheight()
    place = left / whole[0], (bottom + 0.45) / whole[1], width / whole[0], height / whole[1]
    return figure.add_axes(place)


def _mosaic(ax: Axes, maps: np.ndarray, *, signed: bool) -> None:
    layers, heads, rows, columns = maps.shape
    joined = maps[::-1].transpose(0, 2, 1, 3).reshape(layers * rows, heads * columns)
    colors = {"cmap": style.DIVERGING, "vmin": -1} if signed else {"cmap": style.HEAT, "vmin": 0}
    extent = (-0.5, heads - 0.5, -0.5, layers - 0.5)
    ax.imshow(joined, extent=extent, vmax=1, interpolation="nearest", **colors)
    line = {"color": style.REFERENCE if signed else "white", "linewidth": 0.8}
    ax.hlines(np.arange(1, layers) - 0.5, -0.5, heads - 0.5, **line)
    ax.vlines(np.arange(1, heads) - 0.5, -0.5, layers - 0.5, **line)
    for axis, letter in ((ax.xaxis, "H"), (ax.yaxis, "L")):
        axis.set_major_locator(MaxNLocator(12, integer=True))
        axis.set_major_formatter(lambda value, _, letter=letter: f"{letter}{value:.0f}")
    ax.tick_params(labelsize=8)
    ax.set(xlim=extent[:2], ylim=extent[2:])
    bare(ax)


def _row(*columns: tuple[float, float], right: float) -> tuple[Figure, list[Axes]]:
    """Put axes side by side, each with a gap before it and a width, in inches."""
    ends = np.cumsum([gap + width for gap, width in columns])
    size = ends[-1] + right, HEIGHT
    figure = plt.figure(figsize=size, layout="none")
    places = [
        ((end - width) / size[0], BOTTOM / HEIGHT, width / size[0], PANEL / HEIGHT)
        for end, (_, width) in zip(ends, columns, strict=True)
    ]
    return figure, [figure.add_axes(place) for place in places]


def _pair(axes: Sequence[Axes], original: np.ndarray, changed: np.ndarray, title: str) -> None:
    for ax, pixels, name in zip(axes, (original, changed), ("original", title), strict=False):
        ax.imshow(pixels)
        ax.set(xticks=[], yticks=[])
        ax.set_title(name)


def _similarity(ax: Axes, similarity: float) -> None:
    ax.bar(0, similarity, width=1, color=BEFORE)
    ax.set(xlim=(-0.5, 0.5), ylim=(min(0, similarity), 1), xticks=[], yticks=[0, 0.5, 0.9])
    ax.set_title(f"embedding\nsimilarity {similarity:.3f}", loc="center")


def _heads(ax: Axes, heads: pd.Series) -> None:
    _bars(ax, heads, [f"{name}  {share:.0%}" for name, share in heads.items()], BEFORE)
    ax.set_xlim(min(0, heads.min()), max(LEAST_SHARE, heads.max()))
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_title("leading heads:\nshare of the shift")


def _predictions(ax: Axes, predictions: pd.DataFrame) -> None:
    flips = predictions["original"] != predictions["changed"]
    _bars(ax, predictions["margin"], list(map(_told, predictions.itertuples())), BEFORE)
    for bar, label, flipped in zip(ax.patches, ax.get_yticklabels(), flips, strict=True):
        if flipped:
            bar.set_color(AFTER)
            label.set_color(AFTER)
    ax.set_title(f"margin of zero-shot\npredictions: {flips.sum()} flipped")


def _told(row) -> str:
    answers = dict.fromkeys([row.original, row.changed])
    return shortened(f"{row.Index}: {' → '.join(answers)}", LONGEST_ANSWER)


def _bars(ax: Axes, values: pd.Series, labels: Sequence[str], color: str) -> None:
    ax.barh(range(len(values)), values, color=color)
    ax.set_yticks(range(len(values)), labels)
    ax.invert_yaxis()
    bare(ax)
    few_ticks(ax, 3)
    ax.grid(axis="x")
