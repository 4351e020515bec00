"""A plane to look at embeddings in."""

import numpy as np
import xarray as xr

from helpers.checks import WorkbookError
from helpers.ties import first_largest

COMPONENTS = 2


def principal_plane(embeddings: xr.DataArray) -> xr.DataArray:
    """Project the embeddings of all views onto their first principal components.

    Parameters
    ----------
    embeddings : xarray.DataArray, (image, view, feature)
        Embeddings of every view, in any order of the axes.

    Returns
    -------
    xarray.DataArray, (image, view, component)
        Coordinates in the units of the embedding, about the mean of all views; the coordinate
        `explained` holds each component's share of the variance. A component's sign is chosen so
        that its largest loading is positive, and so doesn't depend on the linear algebra library.

    Raises
    ------
    WorkbookError
        If there are fewer features or embeddings than components.
    """
    flat = embeddings.transpose("image", "view", "feature")
    points = flat.to_numpy().reshape(-1, flat.sizes["feature"]).astype(np.float64)
    if min(points.shape) < COMPONENTS:
        raise WorkbookError(
            f"{points.shape[0]} embeddings of {points.shape[1]} features have no plane to be drawn"
            f" in; give {COMPONENTS} of each at least."
        )
    points -= points.mean(axis=0)
    values, axes = _principal_axes(points)
    total = np.square(points).sum()
    coordinates = (points @ axes).reshape(*flat.shape[:2], COMPONENTS)
    explained = values / total if total > 0 else np.full(COMPONENTS, np.nan)
    return xr.DataArray(
        coordinates,
        dims=("image", "view", "component"),
        coords={name: flat[name] for name in ("image", "view") if name in flat.coords}
        | {"component": np.arange(1, COMPONENTS + 1), "explained": ("component", explained)},
    )


def _principal_axes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of the scatter matrix and its axes (features, components), largest first."""
    # The scatter matrix stays small however many images there are, unlike the SVD of the points.
    values, axes = np.linalg.eigh(points.T @ points)
    values, axes = values[::-1][:COMPONENTS], axes[:, ::-1][:, :COMPONENTS]
    largest = first_largest(np.abs(axes), axis=0)
    return values, axes * np.sign(axes[largest, np.arange(COMPONENTS)])
