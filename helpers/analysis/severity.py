"""What a change does by its severity: responses, thresholds, accuracy, and mean corruption error.

Every severity scales the same random draws (`helpers.data.views`), so an image's responses form a
curve, and a bootstrap resample of the images keeps whole curves together. The mean corruption error
is that of D. Hendrycks and T. Dietterich, ICLR 2019, arXiv 1903.12261, section 4.1.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis.statistics import (
    RESAMPLES,
    TAILS,
    mean_with_interval,
    percentile_interval,
    resample_counts,
)
from helpers.checks import WorkbookError
from helpers.data.changes import ORIGINAL

UNCHANGED = 1.0
"""The response to no change: a similarity of 1."""
FEWER_RESAMPLES = 500
MOST_IMAGES = 1000
"""Images of a larger run that the notebooks compute curves of."""
THRESHOLD = 0.9
AXES = ("severity", "image", "augmentation")
NO_DOSE = "no strength"
MEAN = "mean"


def dose_response(values: xr.DataArray) -> pd.DataFrame:
    """Mean response of every augmentation at every severity, with bootstrap intervals.

    Parameters
    ----------
    values : DataArray, (severity, image, augmentation)
        A response, such as embedding similarity.

    Returns
    -------
    DataFrame
        Columns `severity`, `augmentation`, `mean`, `low`, `high`, `sd`, `n`.

    Raises
    ------
    WorkbookError
        If an axis is missing or has no entry.
    """
    values = _checked(values)
    parts = {
        severity: mean_with_interval(values.sel(severity=severity))
        for severity in values["severity"].values
    }
    return pd.concat(parts, names=["severity", "augmentation"]).reset_index()


def has_dose(values: xr.DataArray) -> pd.Series:
    """Say which augmentations respond differently to different severities.

    A flip doesn't: it has no magnitude, and every severity above 0 flips.
    """
    values = _checked(values)
    varies = (values != values.isel(severity=0)) & values.notnull()
    return varies.any(("severity", "image")).to_series().rename("has_dose")


def crossings(values: xr.DataArray) -> pd.DataFrame:
    """Find the severity at which each augmentation's mean response falls below a threshold.

    The mean curve is interpolated linearly between severities; its first crossing counts. The
    percentile bootstrap needs no finite numbers: a resample that never crosses lies above all
    that do, and one that is below the threshold from the start lies below them.

    Parameters
    ----------
    values : DataArray, (severity, image, augmentation)
        A response that falls with severity, such as embedding similarity.

    Returns
    -------
    DataFrame
        By augmentation: `severity`, with the 95 % interval `low` to `high` (NaN for one image); inf
        where the curve never crosses in the range, -inf where it starts below the threshold, NaN
        where severity makes no difference. `answer` says the same in words, such as ``0.52 [0.45,
        0.61]``, ``> 3``, ``< 0.25`` or ``no strength``.

    Raises
    ------
    WorkbookError
        If an axis is missing or has no entry.
    """
    values = _checked(values).sortby("severity")
    severities = values["severity"].values.astype(float)
    means, resampled = _mean_curves(values, RESAMPLES)
    crossing = _first_crossing(means, severities)
    low, high = _interval(_first_crossing(resampled, severities), values.sizes["image"])
    table = pd.DataFrame(
        {"severity": crossing, "low": low, "high": high},
        index=pd.Index(values["augmentation"].values, name="augmentation"),
    )
    table[~has_dose(values)] = np.nan
    table["answer"] = [_in_words(*row, severities) for row in table.itertuples(index=False)]
    return table


def overlapping(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Find what is not distinguished from some rows, by its interval."""
    chosen, rest = table.loc[list(names)], table.drop(index=list(names))
    met = (rest["low"] <= chosen["high"].max()) & (rest["high"] >= chosen["low"].min())
    return list(rest.index[met])


def at_equal_change(
    change: xr.DataArray, response: xr.DataArray, levels: Sequence[float]
) -> pd.DataFrame:
    """Read every augmentation's mean response at equal mean pixel change.

    Both means are functions of severity; together they are a curve of response over change, which
    begins at no change at all and is interpolated linearly. Nothing is extrapolated.

    Parameters
    ----------
    change : DataArray, (severity, image, augmentation)
        Pixel change, as of `helpers.analysis.scores.pixel_change`.
    response : DataArray, (severity, image, augmentation)
        Such as embedding similarity, of the same images and severities.
    levels : sequence of float
        Pixel changes to read the response at.

    Returns
    -------
    DataFrame
        Columns `augmentation`, `change`, `mean`, `low`, `high`; NaN at a change that the
        augmentation's severities don't reach, and no interval where fewer than 95 % of the
        resamples reach it. An augmentation without a dose has no curve: NaN throughout.

    Raises
    ------
    WorkbookError
        If an axis is missing or has no entry, or the two are of different images.
    """
    change, response = (_checked(each).sortby("severity") for each in (change, response))
    _check_same(change, response)
    levels = np.asarray(levels, float)
    (x, x_resampled), (y, y_resampled) = (
        _mean_curves(each, FEWER_RESAMPLES) for each in (change, response)
    )
    mean = _interpolated(x, y, levels)  # augmentations × levels
    resampled = _interpolated(x_resampled, y_resampled, levels)
    low, high = _interval(resampled, change.sizes["image"])
    names = change["augmentation"].values
    index = pd.MultiIndex.from_product([names, levels], names=["augmentation", "change"])
    columns = {"mean": mean, "low": low, "high": high}
    table = pd.DataFrame({name: values.ravel() for name, values in columns.items()}, index=index)
    return table.reset_index()


def _mean_curves(values: xr.DataArray, n_resamples: int) -> tuple[np.ndarray, ...]:
    """Means (augmentations, severities), and those of resamples (resamples, …)."""
    rows = values.transpose("image", "augmentation", "severity").to_numpy().astype(np.float64)
    counts = resample_counts(len(rows), n_resamples)
    return _means(np.ones((1, len(rows))), rows)[0], _means(counts, rows)


def _means(counts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    flat = rows.reshape(len(rows), -1)
    with np.errstate(invalid="ignore"):
        means = counts @ np.nan_to_num(flat) / (counts @ ~np.isnan(flat))
    return means.reshape(len(counts), *rows.shape[1:])


def _first_crossing(curves: np.ndarray, severities: np.ndarray) -> np.ndarray:
    """Severities at which curves (…, severities) first fall below a threshold."""
    below = curves < THRESHOLD
    after = below.argmax(axis=-1)
    before = np.maximum(after - 1, 0)
    high, low = (
        np.take_along_axis(curves, at[..., None], axis=-1)[..., 0] for at in (before, after)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        part = (high - THRESHOLD) / (high - low)
        crossed = severities[before] + part * (severities[after] - severities[before])
    crossed = np.where(after == 0, -np.inf, crossed)
    return np.where(below.any(axis=-1), crossed, np.inf)


def _interpolated(x: np.ndarray, y: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Values at levels of curves y over x, both (…, severities); NaN beyond a curve."""
    curves = zip(x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1]), strict=True)
    values = [_one_curve(*curve, levels) for curve in curves]
    return np.stack(values).reshape(*x.shape[:-1], -1)


def _one_curve(x: np.ndarray, y: np.ndarray, levels: np.ndarray) -> np.ndarray:
    if np.ptp(x) == 0:
        return np.full(len(levels), np.nan)
    order = np.argsort(x, kind="stable")
    x, y = np.append(0, x[order]), np.append(UNCHANGED, y[order])
    return np.interp(levels, x, y, right=np.nan)


def _interval(resampled: np.ndarray, n_images: int) -> np.ndarray:
    """Percentile interval (2, …) over the first axis, of extended real numbers."""
    # Order statistics: between a number and infinity there is nothing to interpolate.
    bounds = percentile_interval(resampled, method="nearest")
    return np.where(n_images > 1, bounds, np.nan)


def _in_words(severity: float, low: float, high: float, severities: np.ndarray) -> str:
    if np.isnan(severity):
        return NO_DOSE
    said = [_bound_in_words(value, severities) for value in (severity, low, high)]
    certain = np.isnan(low) or (np.isinf(severity) and low == high)
    return said[0] if certain else f"{said[0]} [{said[1]}, {said[2]}]"


def _bound_in_words(value: float, severities: np.ndarray) -> str:
    beyond = {np.inf: f"> {severities[-1]:g}", -np.inf: f"< {severities[0]:g}"}
    return beyond.get(value, f"{value:.2f}")


def _checked(values: xr.DataArray) -> xr.DataArray:
    if set(values.dims) != set(AXES) or 0 in values.shape:
        raise WorkbookError(
            f"A response with the axes {dict(values.sizes)} is no dose-response; it needs the axes"
            f" {', '.join(AXES)}, with at least one entry each."
        )
    return values


def _check_same(change: xr.DataArray, response: xr.DataArray) -> None:
    for axis in AXES:
        if not np.array_equal(change[axis], response[axis]):
            raise WorkbookError(
                f"Change and response differ in {axis}; give both of the same images,"
                " augmentations and severities."
            )


# Accuracy


def accuracy_by_severity(right: xr.DataArray) -> pd.DataFrame:
    """Average right answers over images, at every severity and under every change.

    Parameters
    ----------
    right : DataArray, (severity, image, view)
        1 where an answer is right, else 0, with the view ``original``.

    Returns
    -------
    DataFrame
        Columns ``severity``, ``augmentation``, ``lost``, the accuracy lost, and of the accuracy
        what `helpers.analysis.statistics.mean_with_interval` gives.
    """
    tables = []
    for severity, answers in zip(right["severity"].values, right, strict=True):
        table = mean_with_interval(answers.drop_sel(view=ORIGINAL).rename(view="augmentation"))
        lost_there = float(answers.sel(view=ORIGINAL).mean()) - table["mean"]
        table = table.assign(lost=lost_there).rename_axis("augmentation").reset_index()
        tables.append(table.assign(severity=float(severity)))
    return pd.concat(tables, ignore_index=True)


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
    errors, other = (_errors(values, counts / images, names) for values in (right, reference))
    columns = {
        "ce": _ratio(errors[0], other[0]),
        "relative": _ratio(errors[0] - errors[1], other[0] - other[1]),
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
    unknown = np.isnan(draws[0])
    bounds = np.nanquantile(np.where(unknown, 0, draws[1:]), TAILS, axis=0)
    low, high = np.where(unknown, np.nan, bounds)
    return {"": draws[0], "_low": low, "_high": high}
