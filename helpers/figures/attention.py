"""Grids of attention maps (figures 1, 4a, 10 and 11 of the study)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from helpers.checks import WorkbookError
from helpers.figures import style
from helpers.figures.layout import shortened, view_axes

OVERLAY_OPACITY = 0.55
MAX_IMAGES = 7


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
    _check_grid(np.shape(pixels), np.shape(maps), len(titles), len(views))
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


def _overlay(ax: Axes, pixels: np.ndarray, own: np.ndarray) -> AxesImage:
    # In grey, so that the image's colours aren't taken for the map's.
    ax.imshow(pixels.mean(axis=-1), cmap="gray", vmin=0, vmax=255)
    return ax.imshow(own, cmap=style.HEAT, vmin=0, vmax=1, alpha=OVERLAY_OPACITY)


def _check_grid(pixels: tuple, maps: tuple, images: int, views: int) -> None:
    if not 1 <= images <= MAX_IMAGES:
        raise WorkbookError(
            f"An attention grid of {images} images can't be read; show 1 to {MAX_IMAGES}."
        )
    if pixels[:2] != (images, views) or pixels[:-1] != maps:
        raise WorkbookError(
            f"Pixels of shape {pixels} and maps of shape {maps} don't fit {images} titles and "
            f"{views} views; they need (image, view, h, w, 3) and (image, view, h, w)."
        )
