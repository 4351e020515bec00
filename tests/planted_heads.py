"""Heads that vary along texts of one property each, and the texts."""

import numpy as np
import xarray as xr

POOL = ["red", "green", "blue", "circle", "square", "star", "left", "right"]
PROPERTIES = ["colour"] * 3 + ["shape"] * 3 + ["place"] * 2


def pool(properties=PROPERTIES):
    coords = {"text": POOL, "property": ("text", properties)}
    return xr.DataArray(np.eye(8), coords, ("text", "feature"))


def planted(seed=0, images=200):
    """Heads that vary along texts of one property each, most along the first."""
    rng = np.random.default_rng(seed)
    scales = np.zeros((2, 2, 8))
    scales[0, 0, :3] = 4, 2, 1
    scales[0, 1, 3:6] = 1, 4, 2
    scales[1, 0, 6:] = 2, 1
    scales[1, 1, [0, 3, 4]] = 3, 2, 2.5
    data = rng.normal(size=(images, 2, 2, 8)) * scales
    coords = {"layer": [4, 5], "head": [0, 1]}
    return xr.DataArray(data, coords, ("image", "layer", "head", "feature"))


def chosen(texts, explained):
    texts = np.asarray(texts)[None]  # one layer
    explained = np.broadcast_to(explained, texts.shape)
    axes = ("layer", "head", "choice")
    coords = {"layer": [0], "head": range(texts.shape[1])}
    return xr.Dataset({"text": (axes, texts), "explained": (axes, explained)}, coords)
