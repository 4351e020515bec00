"""Attention of every layer and head to one image of a run, before and after a change."""

import numpy as np
import xarray as xr

from helpers.data.changes import ORIGINAL
from helpers.runs.derived.kept import derived
from helpers.runs.run import Run

AXES = ("view", "layer", "head", "row", "column")


def heads_attention(run: Run, image: str, change: str) -> xr.DataArray:
    """Return how much every head reads of each patch, computing it if missing.

    Parameters
    ----------
    run : Run
    image, change : str
        One of the run's images, and of its changes.

    Returns
    -------
    DataArray, (view, layer, head, row, column)
        float16, of the original and of the changed view, as of
        `helpers.clip.decomposition.Encoding.attention_of_heads`.

    Raises
    ------
    WorkbookError
        If the model gives no exact account, or there is no such image or change.
    """
    run.require("account")

    def compute() -> xr.Dataset:
        drawn = run.views(image, [change])
        # One by one: in one pass, each would round as the other lets it.
        found = [
            run.model.encode(drawn[name][None], by_token=True).attention_of_heads[0]
            for name in (ORIGINAL, change)
        ]
        values = np.stack(found).astype(np.float16)
        return xr.Dataset({"attention": (AXES, values)}, {"view": [ORIGINAL, change]})

    return derived(run, "heads_attention", compute, image=image, change=change)["attention"]
