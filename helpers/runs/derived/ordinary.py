"""The account of an ordinary difference: which components carry what two originals differ by."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from helpers.analysis.dissection import components
from helpers.analysis.sources import by_source
from helpers.analysis.specificity import ordinary_shares
from helpers.data.changes import ORIGINAL
from helpers.runs.derived.cache import derived

if TYPE_CHECKING:
    from helpers.runs.run import Run

MOST_IMAGES = 200
"""Of a source; their pairs are 19,900, and each takes as many products as a model has parts."""

PASS = 16
"""Images in a forward pass: always as many, as another number rounds differently."""


def ordinary_differences(run: "Run") -> xr.Dataset:
    """Return the account of differences between originals of one source, computing it if missing.

    An account of a shift says something of the change only beside this one: what carries any
    difference between two images is no mark of the change.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Dataset
        As of `helpers.analysis.specificity.ordinary_shares`, float32, with the coordinate
        ``source`` (image); of at most `MOST_IMAGES` of a source, drawn with the run's seed.

    Raises
    ------
    WorkbookError
        If the model gives no exact account.
    """
    run.dissection("shares")  # says why, where the model gives no account
    embeddings = run.encodings("embedding")["embedding"].sel(view=ORIGINAL, drop=True)
    return derived(run, "ordinary", lambda: _computed(run, embeddings), most=MOST_IMAGES)


def _computed(run: "Run", embeddings: xr.DataArray) -> xr.Dataset:
    rng = np.random.default_rng(run.parameters.seed)
    parts = []
    for group in by_source(embeddings).values():
        drawn = np.sort(rng.permutation(group.sizes["image"])[:MOST_IMAGES])
        chosen = group.isel(image=drawn)
        parts.append(ordinary_shares(_products(run, chosen), chosen, rng).astype(np.float32))
    return xr.concat(parts, "image")


def _products(run: "Run", embeddings: xr.DataArray) -> xr.DataArray:
    """Return c_i · e_j for each component, float64, (image, component, other)."""
    ids, toward = embeddings["image"].values, embeddings.values.astype(np.float64).T
    passes = []
    for start in range(0, len(ids), PASS):
        originals = [run.views(each, ())[ORIGINAL] for each in ids[start : start + PASS]]
        written = components(run.model.encode(np.stack(originals)))
        passes.append(written.astype(np.float64).values @ toward)
    coords = {name: embeddings[name] for name in ("image", "source")}
    return xr.DataArray(
        np.concatenate(passes),
        dims=("image", "component", "other"),
        coords=coords | {"component": written["component"]},
    )
