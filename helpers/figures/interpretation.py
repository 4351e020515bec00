"""What heads find alike, where they read a text, and how well that fits true masks."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from helpers.checks import WorkbookError
from helpers.figures import style
from helpers.figures.layout import annotate_cells, bare

Nearest = Mapping[str, Mapping[str, Sequence]]

OVERLAY_OPACITY = 0.6
THUMBNAIL = 1.75  # inches
BAR_WIDTH = 1.1  # inches, of a colour bar with its label
WIDEST = 11.7  # inches, of a row of thumbnails
LETTERS_PER_INCH = 11  # of a thumbnail's title
MAP_COLORS = ("#88CCEE", "#332288", "#DDCC77")
LEVEL_LINES = (
    {"color": "#CC6677", "linestyle": "-", "linewidth": 2},
    {"color": "#CC6677", "linestyle": ":", "linewidth": 2},
    {"color": style.INK, "linestyle": "--", "linewidth": 1.5},
)


def image_neighbours(query: np.ndarray, name: str, *, nearest: Nearest, heads: str) -> Figure:
    """Draw an image and those nearest to it.

    Parameters
    ----------
    query : numpy.ndarray of uint8, (h, w, 3)
        The image that was searched for.
    name : str
        Its name.
    nearest : mapping of str to mapping
        Similarity → the nearest images, the nearest first: ``images``, their ``names`` and their
        ``similarities`` with the query.
    heads : str
        Which heads compared them.

    Returns
    -------
    matplotlib.figure.Figure
        The query on the left, framed; a row of neighbours for each similarity.

    Raises
    ------
    WorkbookError
        If there isn't one name and similarity per image.
    """
    figure, axes = _rows_of_thumbnails(nearest, 1)
    for ax in axes[1:, 0]:
        ax.remove()
    _thumbnail(axes[0, 0], query, f"searched: {name}")
    axes[0, 0].spines[:].set(visible=True, color=style.INK, linewidth=2)
    _fill_rows(axes[:, 1:], nearest)
    _title(figure, f"Nearest by {heads}")
    return figure


def text_neighbours(text: str, *, nearest: Nearest, heads: str) -> Figure:
    """Draw the images nearest to a text.

    Parameters
    ----------
    text : str
        The text that was searched for.
    nearest : mapping of str to mapping
        As for `image_neighbours`, with similarities to the text's embedding.
    heads : str
        Which heads were searched.

    Returns
    -------
    matplotlib.figure.Figure
        A row of images for each similarity.

    Raises
    ------
    WorkbookError
        If there isn't one name and similarity per image.
    """
    figure, axes = _rows_of_thumbnails(nearest, 0)
    _fill_rows(axes, nearest)
    _title(figure, f"“{text}”, nearest by {heads}")
    return figure


def hubs(counts: pd.DataFrame, *, expected: float) -> Axes:
    """Draw how many images have one and the same image among their nearest.

    Parameters
    ----------
    counts : pandas.DataFrame
        Heads by similarities: share of the images that have the commonest neighbour of all.
    expected : float
        What the share would be if all images were neighbours equally often.

    Returns
    -------
    matplotlib.axes.Axes
        A line per head from the one similarity to the other, sorted by the first.
    """
    _, ax = plt.subplots(figsize=(7, 1.2 + 0.19 * len(counts)))
    ordered = counts.sort_values(counts.columns[0], kind="stable")
    rows = range(len(ordered))
    ax.hlines(rows, ordered.min(axis=1), ordered.max(axis=1), color="#BBBBBB", linewidth=1.5)
    for name, color in zip(ordered, (LEVEL_LINES[0]["color"], MAP_COLORS[1]), strict=True):
        ax.plot(ordered[name], rows, "o", color=color, label=f"by {name}")
    ax.axvline(expected, color=style.INK, linestyle="--", linewidth=1, label="all equally often")
    ax.set_yticks(rows, ordered.index, fontsize=8)
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.grid(axis="x")
    ax.set_xlabel("images that have the commonest neighbour among their nearest")
    ax.legend(loc="lower right")
    ax.set_title("Is one image everyone's neighbour?")
    return ax


def topic_maps(
    pixels: np.ndarray,
    name: str,
    maps: np.ndarray,
    *,
    titles: Sequence[str],
    heads: str,
) -> Figure:
    """Draw maps of texts over an image, all on one scale about zero."""
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


def segmentation_scores(table: pd.DataFrame, *, levels: pd.DataFrame, ax: Axes) -> Axes:
    """Draw how well maps of texts find the things that the texts name.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows (wording, map) with `mean`, `low` and `high` of the intersection over union.
    levels : pandas.DataFrame
        Rows (wording, level) with `mean`: what the same score is without any skill, and at best.
    ax : matplotlib.axes.Axes
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        A group of bars per wording, with 95 % intervals and a mark per level.
    """
    means, lines = table["mean"].unstack(sort=False), levels["mean"].unstack(sort=False)
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


def head_scores(scores: xr.DataArray, *, chance: float, ax: Axes) -> Axes:
    """Draw a score of every head as a map of layers and heads.

    Parameters
    ----------
    scores : xarray.DataArray, (layer, head)
        Mean intersection over union; NaN where it is undefined.
    chance : float
        Score without any skill, where the colours start.
    ax : matplotlib.axes.Axes
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        The last layer on top.
    """
    values = scores.transpose("layer", "head").values
    top = max(np.nanmax(values), chance + np.finfo(np.float32).eps)
    image = ax.imshow(values, style.SEQUENTIAL, vmin=chance, vmax=top, aspect="auto")
    ax.invert_yaxis()
    annotate_cells(image, [[f"{item:.2f}" for item in row] for row in values], size=_cell_size(ax))
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


def _rows_of_thumbnails(nearest: Nearest, before: int) -> tuple[Figure, np.ndarray]:
    """Make a row for each similarity, with columns before those of the images."""
    columns = before + max(1, *(len(row["images"]) for row in nearest.values()))
    return _thumbnails(len(nearest), columns, side=min(THUMBNAIL, WIDEST / columns))


def _fill_rows(axes: np.ndarray, nearest: Nearest) -> None:
    for row, (similarity, neighbours) in zip(axes, nearest.items(), strict=True):
        row[0].set_ylabel(f"by {similarity}", fontsize=9)
        _fill(list(row), **neighbours)


def _title(figure: Figure, title: str) -> None:
    title = fill(title, int(figure.get_figwidth() * LETTERS_PER_INCH * 0.8))
    figure.suptitle(title, x=0, ha="left", weight="bold", fontsize=12)


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
        _thumbnail(ax, image, f"{name}\n{similarity:#.3g}")
    for unused in axes[len(images) :]:
        unused.remove()


def _cell_size(ax: Axes) -> float:
    columns = ax.images[0].get_array().shape[1]
    return min(10, 62 / columns)
