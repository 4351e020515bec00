"""Views side by side, where they differ, and by how much."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from helpers.checks import WorkbookError
from helpers.figures import style
from helpers.figures.layout import axes_or_new, sample_note, shortened, tall, tick_views, view_axes

FULL_SCALE = 255
DOTS = 200


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


def change_map(change: np.ndarray, *, ax: Axes | None = None) -> AxesImage:
    """Draw how much each pixel of a view changes."""
    ax = axes_or_new(ax, (3.5, 3.5))
    return ax.imshow(change, cmap=style.HEAT, vmin=0, vmax=FULL_SCALE)


def change_bars(means: pd.DataFrame, values: xr.DataArray, *, ax: Axes | None = None) -> Axes:
    """Mean change of a pixel per augmentation, and the change of single images.

    Parameters
    ----------
    means : pandas.DataFrame
        Result of `helpers.analysis.statistics.mean_with_interval` for these values.
    values : xarray.DataArray, (image, augmentation)
        Mean absolute change of each image's pixels, from 0 to 255. Dots show 200 images at most.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Bars with intervals, in the order of `means` from top to bottom.
    """
    means = means[::-1]
    ax = axes_or_new(ax, tall((9, 5), len(means)))
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
