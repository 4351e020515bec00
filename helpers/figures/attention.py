"""Grids of attention maps (figures 1, 4a, 10 and 11 of the study)."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from helpers.checks import WorkbookError, one_of
from helpers.figures import style
from helpers.figures.layout import axes_or_new, shortened, view_axes

OVERLAY_OPACITY = 0.55
MAX_IMAGES = 7


def attention_grid(
    pixels: np.ndarray,
    maps: np.ndarray,
    *,
    views: Sequence[str],
    titles: Sequence[str],
    rows: Sequence[str] = ("image", "overlay"),
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
    rows : sequence of str
        What to show of every image, from top to bottom: "image", "overlay" (the map over the
        image) and "difference" (the map less the original's).

    Returns
    -------
    matplotlib.figure.Figure
        A column per view, with a colour bar for each kind of map.

    Raises
    ------
    WorkbookError
        If there are more than 7 images, the arrays don't match or a kind of row is unknown.
    """
    kinds = [one_of("rows", row, _KINDS) for row in rows]
    _check_grid(np.shape(pixels), np.shape(maps), len(titles), len(views))
    names = [f"{shortened(title)}\n{kind}" for title in titles for kind in kinds]
    figure, axes = view_axes(views, names, extra=0.8)
    drawn = {kind: [] for kind in kinds}
    for place, ax in np.ndenumerate(axes):
        (image, line), view = divmod(place[0], len(kinds)), place[1]
        draw = _KINDS[kinds[line]]
        drawn[kinds[line]].append(draw(ax, pixels[image, view], maps[image, view], maps[image, 0]))
    for kind in (kind for kind in kinds if kind in _BAR_LABELS):
        _color_bar(figure, axes, kind, drawn[kind])
    return figure


def difference_map(
    original: np.ndarray, augmented: np.ndarray, *, ax: Axes | None = None
) -> AxesImage:
    """Draw the change of an attention map, with no change in white."""
    ax = axes_or_new(ax, (3.5, 3.5))
    change = augmented - original
    reach = max(np.abs(change).max(), np.finfo(float).tiny)
    return ax.imshow(change, cmap=style.DIVERGING, vmin=-reach, vmax=reach)


def _show_image(ax: Axes, pixels: np.ndarray, own: np.ndarray, original: np.ndarray) -> AxesImage:
    return ax.imshow(pixels)


def _show_overlay(ax: Axes, pixels: np.ndarray, own: np.ndarray, original: np.ndarray) -> AxesImage:
    # In grey, so that the image's colours aren't taken for the map's.
    ax.imshow(pixels.mean(axis=-1), cmap="gray", vmin=0, vmax=255)
    return ax.imshow(own, cmap=style.HEAT, vmin=0, vmax=1, alpha=OVERLAY_OPACITY)


def _show_difference(
    ax: Axes, pixels: np.ndarray, own: np.ndarray, original: np.ndarray
) -> AxesImage:
    return difference_map(original, own, ax=ax)


_KINDS: Mapping[str, Callable[[Axes, np.ndarray, np.ndarray, np.ndarray], AxesImage]] = (
    MappingProxyType(
        {"image": _show_image, "overlay": _show_overlay, "difference": _show_difference}
    )
)
_BAR_LABELS = {
    "overlay": "attention, from the lowest to the highest of the view",
    "difference": "attention of the changed view less the original's",
}


def _color_bar(figure: Figure, axes: np.ndarray, kind: str, images: list[AxesImage]) -> None:
    """One bar for all maps of a kind, which get the widest of their limits."""
    low, high = np.transpose([image.get_clim() for image in images])
    for image in images:
        image.set_clim(low.min(), high.max())
    colors = ScalarMappable(images[0].norm, images[0].cmap)
    figure.colorbar(
        colors,
        ax=axes,
        location="bottom",
        label=_BAR_LABELS[kind],
        aspect=60,
        shrink=0.5,
        fraction=0.05,
        pad=0.01,
    )


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
