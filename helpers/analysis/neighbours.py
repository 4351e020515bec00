"""Exact nearest neighbours by inner product, as CLIP-InterpreT's searches need them.

A search reads every contribution once, so that memory's speed decides and a matrix-vector product
is all it takes: an index would have to be built first, and answers only nearly right.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from helpers.analysis.ties import TOLERANCE, largest_first
from helpers.checks import WorkbookError


@dataclass(frozen=True)
class Neighbours:
    """What is nearest to a query, the nearest first.

    Attributes
    ----------
    indices : ndarray of int, (count,)
        Positions among the contributions; of tied ones the earlier comes first.
    similarities : ndarray, (count,)
        Inner products with the query.
    """

    indices: np.ndarray
    similarities: np.ndarray


def nearest(
    contributions: ArrayLike, query: ArrayLike, count: int, exclude: int | None = None
) -> Neighbours:
    """Find the contributions with the largest inner products with a query, exactly.

    Parameters
    ----------
    contributions : array_like, (images, features)
        What a head, or the mean of several, added to each image's embedding. Contiguous float32
        is searched as it is; anything else is converted first.
    query : array_like, (features,)
        The contribution of an image, or the embedding of a text.
    count : int
        How many to find; where there are fewer, all are returned.
    exclude : int, optional
        Position that is left out, such as the query's own.

    Returns
    -------
    Neighbours

    Raises
    ------
    WorkbookError
        If shapes don't match, or `count` is less than 1.
    """
    contributions = np.asarray(contributions, np.float32)
    query = np.asarray(query, np.float32)
    _check(contributions, query, count)
    similarities = contributions @ query
    if exclude is not None:
        similarities[exclude] = -np.inf
    count = min(count, len(similarities) - (exclude is not None))
    indices = _largest(similarities, count)
    return Neighbours(indices, similarities[indices])


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Positions of the largest values, largest first, without sorting the rest."""
    if count == 0:
        return np.empty(0, int)
    least = np.partition(values, -count)[-count]
    margin = 2 * TOLERANCE * np.abs(values[np.isfinite(values)]).max()
    candidates = np.flatnonzero(values >= least - margin)  # with all that may be tied
    return candidates[largest_first(values[candidates])][:count]


def _check(contributions: np.ndarray, query: np.ndarray, count: int) -> None:
    if contributions.ndim != 2 or query.shape != contributions.shape[1:]:
        raise WorkbookError(
            f"A query of shape {query.shape} can't be searched among contributions of shape"
            f" {contributions.shape}; they need (features,) and (images, features)."
        )
    if count < 1:
        raise WorkbookError(f"count has no value {count!r}; ask for 1 neighbour or more.")
