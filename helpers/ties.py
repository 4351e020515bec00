"""Choices that don't hang on the last bit of a float.

Products in float32 differ in their last bits between processors and numbers of threads. Two
candidates that are closer than that can't be distinguished, and which is larger means nothing.
Wherever the workbook chooses or orders by value, candidates within `TOLERANCE` of each other, in
units of the largest magnitude among them, therefore count as tied, and the earlier one comes first.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

TOLERANCE = 1e-5
"""Largest difference of tied values, as a part of the largest magnitude among the candidates.

Float32 keeps seven digits, and sums over some hundred features lose one or two of them.
"""


def first_largest(values: ArrayLike, axis: int = -1) -> np.ndarray:
    """Return the position of the first value that is tied with the largest.

    Parameters
    ----------
    values : array_like
        NaN and -inf are never chosen where there is anything else.
    axis : int
        The axis of the candidates.

    Returns
    -------
    ndarray of int
        Without that axis.
    """
    values = _with_smallest_for_nan(values)
    least = values.max(axis=axis, keepdims=True) - _margin(values, axis)
    return (values >= least).argmax(axis=axis)


def merged(values: ArrayLike, axis: int = -1) -> np.ndarray:
    """Return values with tied ones made equal: all become the largest of them.

    Parameters
    ----------
    values : array_like
        NaN stays NaN.
    axis : int
        The axis of the candidates.

    Returns
    -------
    ndarray
        Of the same shape. Values are tied, too, where a chain of ties connects them.
    """
    values = np.moveaxis(np.asarray(values), axis, -1)
    known = _with_smallest_for_nan(values)
    order = np.argsort(-known, axis=-1, kind="stable")
    falling = np.take_along_axis(known, order, axis=-1)
    with np.errstate(invalid="ignore"):  # -inf less -inf is NaN, which is no step
        steps = falling[..., :-1] - falling[..., 1:] > _margin(known, -1)
    firsts = np.arange(1, order.shape[-1]) * steps  # where a chain begins, else 0
    firsts = np.concatenate([np.zeros_like(order[..., :1]), firsts], axis=-1)
    chains = np.take_along_axis(falling, np.maximum.accumulate(firsts, axis=-1), axis=-1)
    np.put_along_axis(known, order, chains, axis=-1)
    return np.moveaxis(np.where(np.isnan(values), values, known), -1, axis)


def largest_first(values: ArrayLike, axis: int = -1) -> np.ndarray:
    """Return the order of values from the largest to the smallest; tied ones keep theirs."""
    return np.argsort(-merged(_with_smallest_for_nan(values), axis), axis=axis, kind="stable")


def ranked(series: pd.Series, *, ascending: bool = False) -> pd.Series:
    """Sort a series by value; tied entries keep their order.

    Parameters
    ----------
    series : Series
    ascending : bool
        Smallest first.

    Returns
    -------
    Series
        NaN comes last.
    """
    values = series.to_numpy(float)
    return series.iloc[largest_first(-values if ascending else values)]


def _with_smallest_for_nan(values: ArrayLike) -> np.ndarray:
    values = np.asarray(values)
    values = values if values.dtype.kind == "f" else values.astype(float)
    return np.where(np.isnan(values), -np.inf, values)


def _margin(values: np.ndarray, axis: int) -> np.ndarray:
    magnitudes = np.where(np.isfinite(values), np.abs(values), 0)
    return TOLERANCE * magnitudes.max(axis=axis, keepdims=True, initial=0)
