"""What the changes of a run do to the pixels of its images, kept with the run."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from helpers.analysis.scores import PIXEL_EFFECTS, pixel_effects
from helpers.runs.derived.kept import derived

if TYPE_CHECKING:
    from helpers.runs.run import Run


def effects_on_pixels(run: "Run") -> xr.Dataset:
    """Return what every change does to every readable image, computing it if missing.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Dataset, (image, augmentation)
        As of `helpers.analysis.scores.pixel_effects`, with the coordinate ``source``.
    """
    return derived(run, "pixel_effects", partial(_computed, run))


def _computed(run: "Run") -> xr.Dataset:
    images = run.pixel_change()["image"]

    def measured(name: str) -> dict[str, np.ndarray]:
        return pixel_effects(np.stack(list(run.views(name).values())))

    with ThreadPoolExecutor(run.parameters.workers) as pool:
        rows = list(pool.map(measured, images.values))
    coords = {**images.coords, "augmentation": list(run.changes)}
    axes = ("image", "augmentation")
    return xr.Dataset(
        {n: (axes, np.stack([row[n] for row in rows])) for n in PIXEL_EFFECTS}, coords
    )
