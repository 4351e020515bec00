"""Which texts an embedding is closest to."""

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from helpers.analysis.ties import merged
from helpers.checks import WorkbookError


def cosine_similarities(images: ArrayLike, texts: ArrayLike) -> np.ndarray:
    """Cosine similarity of every image with every text: (images, texts)."""
    images, texts = (np.atleast_2d(np.asarray(side, np.float64)) for side in (images, texts))
    if images.shape[-1] != texts.shape[-1]:
        raise WorkbookError(
            f"Images with {images.shape[-1]} features and texts with {texts.shape[-1]} can't be"
            " compared; encode both with one model."
        )
    with np.errstate(invalid="ignore"):
        units = [side / np.linalg.norm(side, axis=-1, keepdims=True) for side in (images, texts)]
    return units[0] @ units[1].T


def own_rank(similarities: ArrayLike) -> np.ndarray:
    """Return the place at which each query finds its own entry: (…, n)."""
    values = merged(np.asarray(similarities, np.float64))
    own = np.diagonal(values, axis1=-2, axis2=-1)[..., None]
    return 1 + (values > own).sum(axis=-1)


def retrieved(embeddings: xr.DataArray, gallery: xr.DataArray, k: int) -> xr.DataArray:
    """Tell whether each view finds its image's own entry among the k most similar of a gallery.

    Of shape (image, view).
    """
    asked = embeddings.sel(image=gallery["image"].values).transpose("view", "image", "feature")
    ranks = [own_rank(cosine_similarities(view, gallery.values)) for view in asked.values]
    found = (k >= np.array(ranks).T).astype(float)
    coords = {name: asked[name] for name in ("image", "view")}
    coords |= {"source": ("image", asked["source"].values)} if "source" in asked.coords else {}
    return xr.DataArray(found, dims=("image", "view"), coords=coords)
