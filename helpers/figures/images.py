"""Views of images side by side, with the attention that they get, before and after a change.

Figures of one image before and after a change are redrawn while a slider is dragged. Their axes
therefore have places of their own: to let Matplotlib's layout engine find some takes longer than
all the rest.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator, PercentFormatter

from helpers.checks import WorkbookError
from helpers.figures import style
from helpers.figures.layout import bare, few_ticks, sample_note, shortened, tick_views, view_axes

FULL_SCALE = 255
DOTS = 200
OVERLAY_OPACITY = 0.55
MAX_IMAGES = 7
BEFORE, AFTER = "#88CCEE", "#882255"
LEAST_SHARE = 0.25  # to which the axis of shares goes at least, so that small shares look small
HEIGHT, PANEL, BOTTOM = 2.75, 1.9, 0.3  # inches
LONGEST_ANSWER = 36
PICTURE, MOSAIC, TITLE = 1.6, 3.6, 0.5  # inches


def view_grid(pixels: np.ndarray, *, views: Sequence[str], titles: Sequence[str]) -> Figure:
    """Draw views of some images, or of one image at some severities.

    Parameters
    ----------
    pixels : numpy.ndarray of uint8, (rows, views, h, w, 3)
        The views.
    views : sequence of str
        Names of the views, which head the columns.
    titles : sequence of str
        What stands beside each row.

    Returns
    -------
    matplotlib.figure.Figure
        A row per title, a column per view; many views go on in rows below.

    Raises
    ------
    WorkbookError
        If the pixels don't fit the names.
    """
    _check_grid(np.shape(pixels), 5, "(row, view, h, w, 3)", titles, views)
    figure, axes = view_axes(views, [shortened(title) for title in titles])
    for place, ax in np.ndenumerate(axes):
        ax.imshow(pixels[place])
    return figure


def change_bars(means: pd.DataFrame, values: xr.DataArray, *, ax: Axes) -> Axes:
    """Mean change of a pixel per augmentation, and the change of single images.

    Parameters
    ----------
    means : pandas.DataFrame
        Result of `helpers.analysis.statistics.mean_with_interval` for these values.
    values : xarray.DataArray, (image, augmentation)
        Mean absolute change of each image's pixels, from 0 to 255. Dots show 200 images at most.
    ax : matplotlib.axes.Axes
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        Bars with intervals, in the order of `means` from top to bottom.
    """
    means = means[::-1]
    names, heights = list(means.index), np.arange(len(means))
    whiskers = (means["mean"] - means["low"], means["high"] - means["mean"])
    colors = [style.color(name) for name in names]
    ax.barh(heights, means["mean"], color=colors, height=0.72, alpha=0.8)
    for height, name in zip(heights, names, strict=True):
        dots = values.sel(augmentation=name).values[:DOTS]
        # Spread evenly over the bar, so that dots of like images don't hide each other.
        places = height + np.linspace(-0.3, 0.3, len(dots))
        ax.plot(dots, places, ".", color=style.INK, markersize=3, alpha=0.35)
    ax.errorbar(means["mean"], heights, xerr=np.array(whiskers), fmt="none", **style.WHISKER)
    tick_views(ax, names)
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(left=0)
    ax.grid(axis="x")
    ax.set_xlabel("mean absolute change of a pixel, in levels of 255")
    ax.set_title(sample_note(means["n"]))
    return ax


def _check_grid(
    shape: tuple[int, ...],
    dimensions: int,
    axes: str,
    titles: Sequence[str],
    views: Sequence[str],
) -> None:
    if len(shape) != dimensions or shape[:2] != (len(titles), len(views)) or 0 in shape:
        raise WorkbookError(
            f"An array of shape {shape} doesn't fit {len(titles)} titles and {len(views)} views; "
            f"it needs {axes}, none of them empty."
        )


# Attention


def attention_grid(
    pixels: np.ndarray, maps: np.ndarray, *, views: Sequence[str], titles: Sequence[str]
) -> Figure:
    """Draw views of some images with the attention that they get.

    Parameters
    ----------
    pixels : numpy.ndarray of uint8, (images, views, h, w, 3)
        The views, at most 7 images.
    maps : numpy.ndarray, (images, views, h, w)
        Attention maps in [0, 1], as of `helpers.analysis.scores.attention_map`.
    views : sequence of str
        Names of the views, "original" first.
    titles : sequence of str
        A short title for every image.

    Returns
    -------
    matplotlib.figure.Figure
        A column per view; of every image a row of its views and one of the maps over them.

    Raises
    ------
    WorkbookError
        If there are more than 7 images, or the arrays don't match.
    """
    _check_attention(np.shape(pixels), np.shape(maps), len(titles), len(views))
    names = [f"{shortened(title)}\n{kind}" for title in titles for kind in ("image", "overlay")]
    figure, axes = view_axes(views, names, extra=0.8)
    for (line, view), ax in np.ndenumerate(axes):
        image, is_overlay = divmod(line, 2)
        if is_overlay:
            overlay = _overlay(ax, pixels[image, view], maps[image, view])
        else:
            ax.imshow(pixels[image, view])
    figure.colorbar(
        ScalarMappable(overlay.norm, overlay.cmap),
        ax=axes,
        location="bottom",
        label="attention, from the lowest to the highest of the view",
        aspect=60,
        shrink=0.5,
        fraction=0.05,
        pad=0.01,
    )
    return figure


def _overlay(ax: Axes, pixels: np.ndarray, heat: np.ndarray) -> AxesImage:
    # In grey, so that the image's colours aren't taken for the map's.
    ax.imshow(pixels.mean(axis=-1), cmap="gray", vmin=0, vmax=255)
    return ax.imshow(heat, cmap=style.HEAT, vmin=0, vmax=1, alpha=OVERLAY_OPACITY)


def _check_attention(pixels: tuple, maps: tuple, images: int, views: int) -> None:
    if not 1 <= images <= MAX_IMAGES:
        raise WorkbookError(
            f"An attention grid of {images} images can't be read; show 1 to {MAX_IMAGES}."
        )
    if pixels[:2] != (images, views) or pixels[:-1] != maps:
        raise WorkbookError(
            f"Pixels of shape {pixels} and maps of shape {maps} don't fit {images} titles and "
            f"{views} views; they need (image, view, h, w, 3) and (image, view, h, w)."
        )


# One change to one image


def changed_pixels(
    original: np.ndarray, changed: np.ndarray, *, title: str, similarity: float
) -> Figure:
    """Draw an image, its changed view, where the two differ, and how alike they are to a model."""
    figure, axes = _row((0.05, PANEL), (0.3, PANEL), (0.3, PANEL), (0.95, 0.4), right=0.6)
    _pair(axes, original, changed, title)
    difference = np.abs(changed.astype(float) - original).mean(axis=-1)
    axes[2].imshow(difference, cmap=style.HEAT, vmin=0, vmax=FULL_SCALE)
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
    _bars(ax, predictions["margin"], list(map(_answers, predictions.itertuples())), BEFORE)
    for bar, label, flipped in zip(ax.patches, ax.get_yticklabels(), flips, strict=True):
        if flipped:
            bar.set_color(AFTER)
            label.set_color(AFTER)
    ax.set_title(f"margin of zero-shot\npredictions: {flips.sum()} flipped")


def _answers(row) -> str:
    answers = dict.fromkeys([row.original, row.changed])
    return shortened(f"{row.Index}: {' → '.join(answers)}", LONGEST_ANSWER)


def _bars(ax: Axes, values: pd.Series, labels: Sequence[str], color: str) -> None:
    ax.barh(range(len(values)), values, color=color)
    ax.set_yticks(range(len(values)), labels)
    ax.invert_yaxis()
    bare(ax)
    few_ticks(ax, 3)
    ax.grid(axis="x")
