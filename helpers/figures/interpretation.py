"""What heads find alike, where they read a text, and how well that fits true masks."""

from collections.abc import Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from helpers.checks import WorkbookError
from helpers.figures import style
from helpers.figures.layout import annotate_cells, axes_or_new, bare

OVERLAY_OPACITY = 0.6
THUMBNAIL = 1.75  # inches
BAR_WIDTH = 1.1  # inches, of a colour bar with its label
NEIGHBOURS_IN_ROW = 4
LETTERS_PER_INCH = 11  # of a thumbnail's title
MAP_COLORS = ("#88CCEE", "#332288")
LEVEL_LINES = (
    {"color": "#CC6677", "linestyle": "-", "linewidth": 2},
    {"color": "#CC6677", "linestyle": ":", "linewidth": 2},
    {"color": style.INK, "linestyle": "--", "linewidth": 1.5},
)


def image_neighbours(
    query: np.ndarray,
    name: str,
    *,
    images: Sequence[np.ndarray],
    names: Sequence[str],
    similarities: Sequence[float],
    heads: str,
) -> Figure:
    """Draw an image and those nearest to it.

    Parameters
    ----------
    query : numpy.ndarray of uint8, (h, w, 3)
        The image that was searched for.
    name : str
        Its name.
    images : sequence of numpy.ndarray
        The nearest images, the nearest first.
    names : sequence of str
        Their names.
    similarities : sequence of float
        Their inner products with the query.
    heads : str
        Which heads compared them.

    Returns
    -------
    matplotlib.figure.Figure
        The query on the left, framed; its neighbours in reading order beside it.

    Raises
    ------
    WorkbookError
        If there isn't one name and similarity per image.
    """
    rows = max(1, -(-len(images) // NEIGHBOURS_IN_ROW))
    figure, axes = _thumbnails(rows, NEIGHBOURS_IN_ROW + 1)
    for ax in axes[1:, 0]:
        ax.remove()
    _thumbnail(axes[0, 0], query, f"searched: {name}")
    axes[0, 0].spines[:].set(visible=True, color=style.INK, linewidth=2)
    _fill(list(axes[:, 1:].flat), images, names, similarities)
    figure.suptitle(f"Nearest by {heads}", x=0, ha="left", weight="bold", fontsize=12)
    return figure


def text_neighbours(
    text: str,
    *,
    images: Sequence[np.ndarray],
    names: Sequence[str],
    similarities: Sequence[float],
    heads: str,
) -> Figure:
    """Draw the images nearest to a text.

    Parameters
    ----------
    text : str
        The text that was searched for.
    images : sequence of numpy.ndarray
        The nearest images, the nearest first.
    names : sequence of str
        Their names.
    similarities : sequence of float
        Their inner products with the text's embedding.
    heads : str
        Which heads were searched.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    WorkbookError
        If there isn't one name and similarity per image.
    """
    figure, axes = _thumbnails(1, len(images))
    _fill(list(axes.flat), images, names, similarities)
    title = fill(
        f"“{text}”, nearest by {heads}", int(figure.get_figwidth() * LETTERS_PER_INCH * 0.8)
    )
    figure.suptitle(title, x=0, ha="left", weight="bold", fontsize=12)
    return figure


def topic_maps(
    pixels: np.ndarray,
    name: str,
    maps: np.ndarray,
    *,
    titles: Sequence[str],
    heads: str,
) -> Figure:
    """Draw maps of texts over an image, all on one scale about zero.

    Parameters
    ----------
    pixels : numpy.ndarray of uint8, (h, w, 3)
        The image.
    name : str
        Its name.
    maps : numpy.ndarray, (maps, h, w)
        Inner products with texts; negative where a place speaks against a text.
    titles : sequence of str
        What each map shows.
    heads : str
        Which heads the maps are of.

    Returns
    -------
    matplotlib.figure.Figure
        The image and, over its grey version, the maps, with one colour bar.

    Raises
    ------
    WorkbookError
        If the maps don't fit the image or the titles.
    """
    if np.shape(maps) != (len(titles), *np.shape(pixels)[:2]):
        raise WorkbookError(
            f"Maps of shape {np.shape(maps)} don't fit {len(titles)} titles and an image of shape"
            f" {np.shape(pixels)}; they need (map, height, width)."
        )
    reach = max(np.abs(maps).max(), np.finfo(float).tiny)
    scale = ScalarMappable(Normalize(-reach, reach), style.DIVERGING)
    figure, axes = _thumbnails(1, len(titles) + 1, side=2.3, margin=BAR_WIDTH)
    _thumbnail(axes[0, 0], pixels, name)
    for ax, values, title in zip(axes[0, 1:], maps, titles, strict=True):
        # In grey, so that the image's colours aren't taken for the map's.
        _thumbnail(ax, pixels.mean(axis=-1), title, cmap="gray", vmin=0, vmax=255)
        ax.imshow(values, cmap=scale.cmap, norm=scale.norm, alpha=OVERLAY_OPACITY)
    figure.colorbar(scale, ax=axes, label=f"inner product\n{heads}", aspect=16, pad=0.02)
    return figure


def segmentation_scores(
    table: pd.DataFrame, *, levels: pd.DataFrame, ax: Axes | None = None
) -> Axes:
    """Draw how well maps of texts find the things that the texts name.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows (wording, map) with `mean`, `low` and `high` of the intersection over union.
    levels : pandas.DataFrame
        Rows (wording, level) with `mean`: what the same score is without any skill, and at best.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        A group of bars per wording, with 95 % intervals and a mark per level.
    """
    means, lines = table["mean"].unstack(sort=False), levels["mean"].unstack(sort=False)
    ax = axes_or_new(ax, (6.4, 3.8))
    places, width = np.arange(len(means)), 0.8 / means.shape[1]
    for number, name in enumerate(means):
        at = places + (number - (means.shape[1] - 1) / 2) * width
        rows = table.xs(name, level="map").loc[means.index]
        reach = [rows["mean"] - rows["low"], rows["high"] - rows["mean"]]
        color = MAP_COLORS[number]
        ax.bar(at, rows["mean"], width, label=name, color=color, yerr=reach, error_kw=style.WHISKER)
    for name, line in zip(lines, LEVEL_LINES, strict=True):
        ax.hlines(lines[name], places - 0.45, places + 0.45, label=name, **line)
    ax.set_xticks(places, [fill(name, 12) for name in means.index])
    ax.set(ylabel="intersection over union", title="All heads together", ylim=(0, None))
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.24), ncols=2)
    return ax


def head_scores(scores: xr.DataArray, *, chance: float, ax: Axes | None = None) -> Axes:
    """Draw a score of every head as a map of layers and heads.

    Parameters
    ----------
    scores : xarray.DataArray, (layer, head)
        Mean intersection over union; NaN where it is undefined.
    chance : float
        Score without any skill, where the colours start.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The last layer on top.
    """
    ax = axes_or_new(ax, (5, 3.8))
    values = scores.transpose("layer", "head").values
    top = max(np.nanmax(values), chance + np.finfo(np.float32).eps)
    image = ax.imshow(values, style.SEQUENTIAL, vmin=chance, vmax=top, aspect="auto")
    ax.invert_yaxis()
    annotate_cells(image, [[f"{one:.2f}" for one in row] for row in values], size=_cell_size(ax))
    ax.set_xticks(range(values.shape[1]), scores["head"].values)
    ax.set_yticks(range(values.shape[0]), scores["layer"].values)
    ax.set(xlabel="head", ylabel="layer", title="Each head alone")
    bare(ax)
    ax.figure.colorbar(image, ax=ax, label="intersection over union; darkest: chance")
    return ax


def _thumbnails(
    rows: int, columns: int, side: float = THUMBNAIL, margin: float = 0
) -> tuple[Figure, np.ndarray]:
    size = (side * columns + margin, (side + 0.45) * rows + 0.3)
    return plt.subplots(rows, columns, figsize=size, squeeze=False)


def _thumbnail(ax: Axes, image: np.ndarray, title: str, **options: object) -> None:
    ax.imshow(image, **options)
    ax.set(xticks=[], yticks=[])
    bare(ax)
    width = ax.figure.get_figwidth() / ax.get_gridspec().ncols
    ax.set_title(_wrapped(title, width), loc="left", fontsize=9, weight="normal")


def _wrapped(title: str, inches: float) -> str:
    letters = int(inches * LETTERS_PER_INCH)
    return "\n".join(fill(line, letters) for line in title.splitlines())


def _fill(
    axes: list[Axes],
    images: Sequence[np.ndarray],
    names: Sequence[str],
    similarities: Sequence[float],
) -> None:
    """Draw the nearest images into the first axes and remove those left over."""
    if not len(images) == len(names) == len(similarities):
        raise WorkbookError(
            f"{len(images)} images have {len(names)} names and {len(similarities)} similarities;"
            " each image needs one of both."
        )
    for ax, image, name, similarity in zip(axes, images, names, similarities, strict=False):
        _thumbnail(ax, image, f"{name}\n{similarity:.3g}")
    for unused in axes[len(images) :]:
        unused.remove()


def _cell_size(ax: Axes) -> float:
    columns = ax.images[0].get_array().shape[1]
    return min(10, 62 / columns)
