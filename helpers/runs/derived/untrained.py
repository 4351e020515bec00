"""How far untrained networks of a run's architecture move its images: several, not one."""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from helpers.analysis.order import moved_by
from helpers.analysis.sources import few_of_each
from helpers.clip.names import split_model
from helpers.runs.derived.cache import derived
from helpers.runs.variants import untrained_model

if TYPE_CHECKING:
    from helpers.clip import Model
    from helpers.runs.run import Run

LARGE = 50_000_000
"""Parameters of an image tower from which on fewer networks read fewer images."""
NETWORKS, IMAGES = 10, 25
NETWORKS_OF_LARGE, IMAGES_OF_LARGE = 3, 10
"""Networks, and images of each source that each of them reads."""
PASS = 10
"""Images in a forward pass: always as many, as another number rounds differently."""


def moved_untrained(run: "Run") -> xr.Dataset:
    """Return how far untrained networks move some of a run's images, computing it when missing.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Dataset
        ``moved`` (network, image, augmentation): one less the cosine with the original's embedding,
        of `NETWORKS` networks that differ in the seed of their weights, on `IMAGES` images of each
        source; of an image tower of `LARGE` parameters or more, `NETWORKS_OF_LARGE` on
        `IMAGES_OF_LARGE`. ``parameters``: how many the image tower has.
    """
    rule = [LARGE, NETWORKS, IMAGES, NETWORKS_OF_LARGE, IMAGES_OF_LARGE]
    return derived(run, "untrained", partial(_moved, run), rule=rule)


def _moved(run: "Run") -> xr.Dataset:
    # Seed 0 has the untrained network that other notebooks compare with.
    first = _network(run, 1)
    parameters = sum(values.numel() for values in first.clip.visual.parameters())
    is_large = parameters >= LARGE
    images = few_of_each(
        run.encodings("embedding")["image"], IMAGES_OF_LARGE if is_large else IMAGES
    )
    pixels = np.stack([np.stack(list(run.views(name).values())) for name in images.values])
    coords = {**images.coords, "view": list(run.view_names)}
    seeds = range(1, 1 + (NETWORKS_OF_LARGE if is_large else NETWORKS))
    by_network = []
    for seed in seeds:
        embeddings = _encoded(first if seed == 1 else _network(run, seed), pixels)
        by_network.append(moved_by(xr.DataArray(embeddings, coords, ("image", "view", "feature"))))
    moved = xr.concat(by_network, xr.Variable("network", list(seeds)))
    return xr.Dataset({"moved": moved.astype(np.float32), "parameters": parameters})


def _encoded(model: "Model", pixels: np.ndarray) -> np.ndarray:
    passes = (pixels[start : start + PASS] for start in range(0, len(pixels), PASS))
    encoded = [model.encode(each.reshape(-1, *each.shape[2:])).embedding for each in passes]
    return np.concatenate(encoded).reshape(*pixels.shape[:2], -1)


def _network(run: "Run", seed: int) -> "Model":
    from helpers.clip import load

    name, pretrained = split_model(untrained_model(run.parameters.model))
    return load(name, pretrained, run.parameters.device, run.parameters.precision, seed=seed)
