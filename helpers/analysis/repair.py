"""Does knowing where a shift lies help against it: embeddings repaired, and what that costs.

A repair is learned on half of the images and measured on the other half: how many more questions
are answered rightly after a change, and how many fewer without any. Each stands beside a control
that knows less.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis.statistics import mean_with_interval
from helpers.data.changes import ORIGINAL

DIRECTIONS = 4
"""How many directions are projected out."""

PLAIN = "no repair"
MEAN_SHIFT, OTHERS_MEAN = "change's mean shift", "another change's mean shift"
SHIFTS, DIFFERENCES = "directions of shifts", "directions between images"
SPECIFIC, GENERIC, RANDOM = "specific heads", "generic heads", "random heads"
MILD = "mean of mild views"
CONTROL = {
    MEAN_SHIFT: OTHERS_MEAN,
    SHIFTS: DIFFERENCES,
    SPECIFIC: GENERIC,
    GENERIC: RANDOM,
    MILD: PLAIN,
}
"""Each repair, and the control that it has to surpass."""

CONFIDENCE = 1 - 0.05 / len(CONTROL)
"""Of an interval: those of all repairs hold together with at least 95 % (Bonferroni)."""


def repaired(learning: xr.DataArray, measuring: xr.DataArray) -> xr.DataArray:
    """Repair embeddings by what was learned on others, without a forward pass.

    Of shape (repair, choice, image, view, feature).
    """
    names = [name for name in measuring["view"].values if name != ORIGINAL]
    before = learning.sel(view=ORIGINAL)
    shifts = (learning.sel(view=names) - before.drop_vars("view")).mean("image").values
    pooled = (learning.sel(view=names) - before.drop_vars("view")).transpose("image", "view", ...)
    plain = measuring.sel(view=[ORIGINAL, *names]).transpose("image", "view", "feature")
    values = plain.values.astype(np.float64)
    centre = before.values.astype(np.float64).mean(axis=0)
    unit = pooled.values.reshape(-1, pooled.shape[-1]).astype(np.float64)
    lengths = np.linalg.norm(unit, axis=1, keepdims=True)
    unit = unit / np.where(lengths > 0, lengths, 1)
    choices = range(len(names))
    following = np.roll(shifts, -1, axis=0)
    found = {
        PLAIN: [values for _ in choices],
        MEAN_SHIFT: [_subtracted(values, shifts, shifts[n]) for n in choices],
        OTHERS_MEAN: [_subtracted(values, following, following[n]) for n in choices],
        SHIFTS: [_projected(values, unit, centre) for _ in choices],
        DIFFERENCES: [_projected(values, before.values - centre, centre) for _ in choices],
    }
    return xr.DataArray(
        np.stack([np.stack(own) for own in found.values()]),
        dims=("repair", "choice", *plain.dims),
        coords={"repair": list(found), "image": plain["image"], "view": plain["view"]},
    )


def _subtracted(values: np.ndarray, shifts: np.ndarray, suspected: np.ndarray) -> np.ndarray:
    return values - np.concatenate([suspected[None], shifts])


def _projected(values: np.ndarray, rows: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Take the leading directions of rows out of what differs from a centre."""
    directions = np.linalg.svd(rows, full_matrices=False)[2][:DIRECTIONS]
    return values - (values - centre) @ directions.T @ directions


def gains(right: xr.DataArray, *, seed: int = 0) -> pd.DataFrame:
    """Say what repairs gain on changed images, and cost on clean ones.

    Parameters
    ----------
    right : DataArray, (repair, image, view, property)
        1 where the answer is right, 0 where wrong, NaN where nothing is asked, of one source; mean
        over choices. With `PLAIN`.
    seed : int
        Of the resamples.

    Returns
    -------
    DataFrame
        A row per repair, `PLAIN` first: ``changed`` and ``clean``, the accuracies; `gain` and
        `gain_low`, `gain_high`, on changed images, beyond no repair; `cost`, …, likewise on clean
        ones, below 0 where answers are lost; `beyond`, …, what the gain has beyond that of the
        control; `helps`: gain and beyond are surely above 0; NaN where there is no control.
    """
    by_image = right.mean("property")
    changed = by_image.drop_sel(view=ORIGINAL).mean("view").to_pandas().T
    clean = by_image.sel(view=ORIGINAL).to_pandas().T
    known = changed.notna().all(axis=1)
    changed, clean = changed[known], clean[known]
    against = pd.DataFrame({n: changed[CONTROL.get(n, PLAIN)] for n in changed.columns})
    measures = {
        "gain": changed.sub(changed[PLAIN], axis=0),
        "cost": clean.sub(clean[PLAIN], axis=0),
        "beyond": changed - against,
    }
    table = pd.DataFrame({"changed": changed.mean(), "clean": clean.mean()})
    for name, own in measures.items():
        found = mean_with_interval(own, confidence=CONFIDENCE, seed=seed)
        table[[name, f"{name}_low", f"{name}_high"]] = found[["mean", "low", "high"]]
    table["helps"] = (table["gain_low"] > 0) & (table["beyond_low"] > 0)
    table["helps"] &= table.index.isin(list(CONTROL))
    order = [PLAIN, *(name for pair in CONTROL.items() for name in pair)]
    return table.loc[[name for name in dict.fromkeys(order) if name in table.index]]


def by_change(right: xr.DataArray) -> pd.DataFrame:
    """Return what each repair gains under each change, repairs × changes."""
    changed = right.mean("property").drop_sel(view=ORIGINAL).mean("image").to_pandas()
    return changed.sub(changed.loc[PLAIN]).drop(index=PLAIN)


def any_helps(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """List the repairs that help on every source that was asked anything."""
    helping = [set(own.index[own["helps"]]) for own in tables.values()]
    return [name for name in CONTROL if helping and all(name in own for own in helping)]


def with_known_shift(embeddings: xr.DataArray) -> xr.DataArray:
    """Replace changes by one that a repair must undo: every image moves by the same known shift.

    Of shape (image, view, feature).
    """
    before = embeddings.sel(view=ORIGINAL, drop=True)
    shifts = (embeddings - before).mean("image")
    return (before + 2 * shifts).transpose(*embeddings.dims)
