"""The logit lens: images of a run, read out at every depth."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from tqdm import tqdm

if TYPE_CHECKING:
    from helpers.study.run import Run

MOST_IMAGES = 200
"""Embeddings at every depth are large, and so many images tell an accuracy to a few percent."""


def read_at_every_depth(run: "Run", images: Sequence[str]) -> xr.DataArray:
    """Read the residual stream of all views out at every depth.

    Parameters
    ----------
    run : Run
        Gives the views and the model. Nothing is kept on disk.
    images : sequence of str
        Ids of the images.

    Returns
    -------
    DataArray, (image, view, depth, feature)
        The class token before the first block (``start``) and after each, through the last norm and
        the projection: the logit lens (nostalgebraist, 2020). The last is the embedding.
    """
    found = []
    for image in tqdm(images, desc="Reading depths", unit="image", leave=False):
        views = run.views(image)
        found.append(run.model.encode(np.stack(list(views.values()))).depths)
    depths = np.stack(found)
    coords = {"image": list(images), "view": list(views)}
    labels = ["start", *map(str, range(depths.shape[2] - 1))]
    return xr.DataArray(
        depths, dims=("image", "view", "depth", "feature"), coords=coords | {"depth": labels}
    )
