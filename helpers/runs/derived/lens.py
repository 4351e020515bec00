"""The logit lens: what a model answers at every depth."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from helpers.analysis.predictions import named, zero_shot
from helpers.analysis.sources import few_of_each
from helpers.runs.derived.kept import derived

if TYPE_CHECKING:
    from helpers.runs.run import Run

MOST_IMAGES = 30
"""Of each source: every view of an image takes a forward pass."""


def answers_at_every_depth(run: "Run", texts: xr.DataArray) -> xr.DataArray:
    """Ask every question of all views, read out at every depth.

    Parameters
    ----------
    run : Run
        Gives the views and the model; the answers are kept with it.
    texts : DataArray, (text, feature)
        Values and their properties, as of `helpers.analysis.predictions.ensembles`.

    Returns
    -------
    DataArray of str, (image, view, depth, property)
        Of `MOST_IMAGES` images of each source at most, evenly among them, with the coordinate
        ``source``. What the class token answers before the first block (``start``) and after each,
        through the last norm and the projection: the logit lens (nostalgebraist, 2020). The last is
        the answer of the embedding.
    """
    images = few_of_each(run.encodings("embedding")["image"], MOST_IMAGES).values.tolist()
    asked = list(zip(texts["property"].values.tolist(), texts["text"].values.tolist(), strict=True))
    found = derived(
        run,
        "answers_by_depth",
        lambda: zero_shot(read_at_every_depth(run, images), texts)[["prediction"]].astype(np.int16),
        images=images,
        texts=run.texts.fingerprint,
        asked=asked,
    )
    source = run.encodings("embedding")["source"].sel(image=images)
    return named(found["prediction"], texts).assign_coords(source=source)


def read_at_every_depth(run: "Run", images: Sequence[str]) -> xr.DataArray:
    """Read the residual stream of all views out at every depth: (image, view, depth, feature)."""
    found = []
    for image in images:
        views = run.views(image)
        found.append(run.model.encode(np.stack(list(views.values()))).depths)
    depths = np.stack(found)
    coords = {"image": list(images), "view": list(views)}
    labels = ["start", *map(str, range(depths.shape[2] - 1))]
    return xr.DataArray(
        depths, dims=("image", "view", "depth", "feature"), coords=coords | {"depth": labels}
    )
