"""What changes do to pixels, as measured here and by the published code, kept with a run."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from helpers.analysis.scores import (
    PIXEL_EFFECTS,
    detail_similarity,
    patch_similarity,
    pixel_effects,
    pixel_scores,
)
from helpers.analysis.sources import few_of_each
from helpers.data.changes import ORIGINAL
from helpers.data.changes import changed as draw_changed
from helpers.runs.derived.cache import derived

if TYPE_CHECKING:
    from helpers.runs.run import Run

MOST = 40
"""Images of each source."""
DEPARTURES = {
    "patch_uint8": partial(patch_similarity, uint8_wraparound=True),
    "detail_grey": partial(detail_similarity, grey=True),
    "detail_by_64": partial(detail_similarity, divide_by_all_patches=True),
    "detail_grey_by_64": partial(detail_similarity, grey=True, divide_by_all_patches=True),
}
"""Name → the score as the published code has it."""
REDRAWN = ("patch_similarity", "edge_similarity", "detail_similarity")
"""Scores that are computed of a second draw, too, under the same names."""


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
    return derived(run, "pixel_effects", partial(_effects_on_pixels, run))


def _effects_on_pixels(run: "Run") -> xr.Dataset:
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


def departures(run: "Run") -> xr.Dataset:
    """Return what the published code gives where it departs from its equations.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Dataset, (image, augmentation)
        The scores of `DEPARTURES`, of the run's own draw, and those of `REDRAWN`, by their
        equations, of another; of at most `MOST` images of each source.
    """
    rule = {"scores": [*DEPARTURES, *REDRAWN], "most": MOST}
    return derived(run, "departures", partial(_departures, run), **rule)


def _departures(run: "Run") -> xr.Dataset:
    images = few_of_each(run.encodings("embedding")["image"], MOST)
    rows = [_of_image(run, name) for name in images.values]
    coords = {**images.coords, "augmentation": list(run.changes)}
    axes = ("image", "augmentation")
    return xr.Dataset(
        {name: (axes, np.stack([row[name] for row in rows])) for name in rows[0]}, coords
    )


def _of_image(run: "Run", name: str) -> dict[str, np.ndarray]:
    views = run.views(name)
    original, changed = views[ORIGINAL], np.stack([views[change] for change in run.changes])
    given = run.parameters
    drawn = (name, given.seed + 1, given.severity)
    other = np.stack([draw_changed(original, change, *drawn) for change in run.changes])
    redrawn = pixel_scores(original, other)
    return {key: score(original, changed) for key, score in DEPARTURES.items()} | {
        key: redrawn[key] for key in REDRAWN
    }
