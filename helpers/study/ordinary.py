"""The account of an ordinary difference: which components carry what two originals differ by."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from helpers.analysis.dissection import as_shares, components
from helpers.analysis.sources import by_source
from helpers.data.changes import ORIGINAL
from helpers.study.derived import derived

if TYPE_CHECKING:
    from helpers.study.run import Run

MOST_IMAGES = 200
"""Of a source; their pairs are 19,900, and each takes as many products as a model has parts."""

PASS = 16
"""Images in a forward pass: always as many, as another number rounds differently."""


def ordinary_differences(run: "Run") -> xr.Dataset:
    """Return the account of differences between originals of one source, computing it if missing.

    An account of a shift tells something of the change only beside this one: what carries any
    difference between two images is no mark of the change.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Dataset
        float32, with the coordinate ``source`` (image). ``shares`` (image, component): mean over
        all other images of the source of the shares of the difference to them, NaN for a source's
        only image; their mean is the mean over all pairs. ``another`` (image, component): the
        shares of the difference to one other image, drawn with the run's seed.

    Raises
    ------
    WorkbookError
        If the model gives no exact account.

    Notes
    -----
    With c_i what a component adds to image i and e_i its embedding, ⟨c_j - c_i, e_j - e_i⟩ needs
    the products c_i · e_j alone: a forward pass for each image, and none for a pair.
    """
    run.dissection()  # says why, where the model gives no account
    embeddings = run.encodings()["embedding"].sel(view="original", drop=True)
    return derived(run, "ordinary", lambda: _computed(run, embeddings), most=MOST_IMAGES)


def _computed(run: "Run", embeddings: xr.DataArray) -> xr.Dataset:
    rng = np.random.default_rng(run.parameters.seed)
    parts = []
    for own in by_source(embeddings).values():
        count = min(own.sizes["image"], MOST_IMAGES)
        drawn = np.sort(rng.permutation(own.sizes["image"])[:count])
        parts.append(_of_source(run, own.isel(image=drawn), rng))
    return xr.concat(parts, "image")


def _of_source(run: "Run", embeddings: xr.DataArray, rng: np.random.Generator) -> xr.Dataset:
    products = _products(run, embeddings)
    count = len(products["image"])
    order = rng.permutation(count)
    following = np.empty(count, int)
    following[order] = np.roll(order, -1)  # every image another one, and each once
    found = [
        _against_all(products.values, embeddings.values, image, other)
        for image, other in enumerate(following)
    ]
    mean, another = np.stack(found, axis=1).astype(np.float32)
    axes = ("image", "component")
    coords = {name: products[name] for name in (*axes, "source")}
    return xr.Dataset({"shares": (axes, mean), "another": (axes, another)}, coords=coords)


def _products(run: "Run", embeddings: xr.DataArray) -> xr.DataArray:
    """Return c_i · e_j for each component, float64, (image, component, other)."""
    ids, toward = embeddings["image"].values, embeddings.values.astype(np.float64).T
    found = []
    for start in range(0, len(ids), PASS):
        originals = [run.views(each, ())[ORIGINAL] for each in ids[start : start + PASS]]
        written = components(run.model.encode(np.stack(originals)))
        found.append(written.astype(np.float64).values @ toward)
    coords = {name: embeddings[name] for name in ("image", "source")}
    return xr.DataArray(
        np.concatenate(found),
        dims=("image", "component", "other"),
        coords=coords | {"component": written["component"]},
    )


def _against_all(
    products: np.ndarray, embeddings: np.ndarray, image: int, other: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares of an image's differences to all others, their mean; and to one."""
    own = np.einsum("ici->ic", products)
    along = own + own[image] - products[image].T - products[:, :, image]  # others × components
    embeddings = embeddings.astype(np.float64)
    shares = as_shares(along, embeddings - embeddings[image], embeddings[image])
    differs = shares.any(axis=1)  # not from itself, nor from a copy
    mean = shares[differs].mean(axis=0) if differs.any() else np.full(along.shape[1], np.nan)
    return mean, shares[other] if differs[other] else np.full_like(mean, np.nan)
