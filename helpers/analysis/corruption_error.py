"""The mean corruption error: how much accuracy changes cost, relative to another model.

D. Hendrycks and T. Dietterich, ICLR 2019, arXiv 1903.12261, section 4.1.
"""

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis.statistics import RESAMPLES, TAILS, resample_counts
from helpers.checks import WorkbookError
from helpers.data.changes import ORIGINAL

MEAN = "mean"


def corruption_errors(right: xr.DataArray, reference: xr.DataArray) -> pd.DataFrame:
    """Compare errors under changes with those of a reference model.

    Parameters
    ----------
    right, reference : DataArray, (severity, image, view)
        1 where the answer is right, else 0, of the model and of the reference; with the view
        ``original``. Of the same images, severities and views.

    Returns
    -------
    DataFrame
        A row per change, and ``mean`` over those that have a value. ``ce``, ``ce_low``,
        ``ce_high``: errors summed over severities, over the reference's (CE, and mCE in the last
        row; 1 is as many errors as the reference's). ``relative``, …: the same of errors beyond
        those on originals, which says what changes cost whatever the accuracy without them. NaN
        where the reference makes no such errors.

    Raises
    ------
    WorkbookError
        If the two have other images, severities or views.
    """
    axes = ("severity", "image", "view")
    right, reference = right.transpose(*axes), reference.transpose(*axes)
    for axis in axes:
        if right[axis].values.tolist() != reference[axis].values.tolist():
            raise WorkbookError(
                f"A model and its reference differ in their axis {axis!r}; compare answers to the"
                " same images, at the same severities and under the same changes."
            )
    images = right.sizes["image"]
    counts = np.concatenate([np.ones((1, images)), resample_counts(images, RESAMPLES)])
    names = [name for name in right["view"].values.tolist() if name != ORIGINAL]
    own, other = (_errors(values, counts / images, names) for values in (right, reference))
    columns = {
        "ce": _ratio(own[0], other[0]),
        "relative": _ratio(own[0] - own[1], other[0] - other[1]),
    }
    return pd.DataFrame(
        {
            name + end: values
            for name, draws in columns.items()
            for end, values in _with_interval(draws).items()
        },
        index=[*names, MEAN],
    )


def _errors(right: xr.DataArray, weights: np.ndarray, names: list[str]) -> tuple:
    """Sum errors over severities, draws × changes, and those on originals alike, draws × 1."""
    wrong = 1 - right.sum("severity") / right.sizes["severity"]  # image × view
    changed = weights @ wrong.sel(view=names).values
    return changed, weights @ wrong.sel(view=[ORIGINAL]).values


def _ratio(errors: np.ndarray, of_reference: np.ndarray) -> np.ndarray:
    """Divide, and append the mean over changes: draws × (changes + 1)."""
    ratio = np.divide(
        errors, of_reference, out=np.full_like(errors, np.nan), where=of_reference > 1e-9
    )
    known = ~np.isnan(ratio)
    total = np.where(known, ratio, 0).sum(axis=1)
    mean = np.divide(total, known.sum(axis=1), out=np.full(len(ratio), np.nan), where=known.any(1))
    return np.concatenate([ratio, mean[:, None]], axis=1)


def _with_interval(draws: np.ndarray) -> dict[str, np.ndarray]:
    resampled = np.where(np.isnan(draws[0]), np.nan, draws[1:])
    low, high = (_quantile(resampled, level) for level in TAILS)
    return {"": draws[0], "_low": low, "_high": high}


def _quantile(draws: np.ndarray, level: float) -> np.ndarray:
    known = ~np.isnan(draws)
    columns = zip(draws.T, known.T, strict=True)
    return np.array([np.quantile(own[at], level) if at.any() else np.nan for own, at in columns])
