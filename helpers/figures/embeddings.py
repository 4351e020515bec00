"""Figures of embeddings in a plane."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.figures import style
from helpers.figures.layout import axes_or_new, few_ticks, panels


def shift_arrows(
    coordinates: xr.DataArray, *, augmentation: str, mean: bool = True, ax: Axes | None = None
) -> Axes:
    """Draw how one augmentation moves every image in a plane.

    Parameters
    ----------
    coordinates : xarray.DataArray, (image, view, component)
        Coordinates of every view, as of `helpers.analysis.projection.principal_plane`.
    augmentation : str
        Which view the arrows lead to.
    mean : bool
        Add the mean shift as a black arrow from the mean of the originals.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        A grey dot per original and an arrow to its augmented view, both axes to one scale.
    """
    ax = axes_or_new(ax, (6, 5.2))
    start = coordinates.sel(view="original").transpose("image", "component").to_numpy()[:, :2]
    end = coordinates.sel(view=augmentation).transpose("image", "component").to_numpy()[:, :2]
    ax.scatter(*start.T, color="#AAAAAA", s=9, zorder=1)
    # More images need lighter arrows to stay readable.
    alpha = np.clip(30 / len(start), 0.25, 0.8)
    _arrows(ax, start, end, color=style.color(augmentation), alpha=alpha, width=0.005)
    if mean:
        middle = start.mean(axis=0, keepdims=True), end.mean(axis=0, keepdims=True)
        _arrows(ax, *middle, color=style.INK, width=0.011)
    ax.set_title(style.label(augmentation), fontsize=11)
    ax.set_aspect("equal")
    return ax


def shift_map(coordinates: xr.DataArray) -> Figure:
    """How every augmentation moves the images in one plane, a panel each.

    Parameters
    ----------
    coordinates : xarray.DataArray, (image, view, component)
        As in `shift_arrows`, with "original" among the views and the coordinate `explained`.

    Returns
    -------
    matplotlib.figure.Figure
        Panels of `shift_arrows` with common limits; a black arrow is the mean shift.
    """
    names = [name for name in coordinates["view"].values if name != "original"]
    figure, axes = panels(len(names), size=(3.7, 3.3), sharex=True, sharey=True)
    for name, ax in zip(names, axes, strict=True):
        shift_arrows(coordinates, augmentation=name, ax=ax)
        few_ticks(ax)
    explained = coordinates["explained"].to_numpy()
    figure.supxlabel(f"first principal component ({explained[0]:.0%} of the variance)")
    figure.supylabel(f"second principal component ({explained[1]:.0%})")
    return figure


def _arrows(ax: Axes, start: np.ndarray, end: np.ndarray, **options: object) -> None:
    """Arrows in data units, which `quiver` doesn't count when it sets limits."""
    ax.quiver(
        *start.T, *(end - start).T, angles="xy", scale_units="xy", scale=1, zorder=2, **options
    )
    ax.update_datalim(end)
    ax.autoscale_view()
