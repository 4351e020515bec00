"""Exact nearest neighbours, by inner product as CLIP-InterpreT searches, and by cosine.

What is searched are contributions to embeddings of length 1 (`to_unit_embeddings`), as it does, and
as Gandelsman, Efros and Steinhardt's code does (ICLR 2024, arXiv 2310.05916).

An inner product grows with the length of a contribution, so that an image in which a head says much
is near to all others, whatever they show: a *hub* (Radovanović et al., JMLR 2010). A cosine leaves
lengths out.

A search reads every contribution once, so that memory's speed decides and a matrix-vector product
is all it takes: an index would have to be built first, and answers only nearly right.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from helpers.checks import WorkbookError, one_of
from helpers.ties import TOLERANCE, largest_first

ROWS_AT_ONCE = 512  # of the matrix of all similarities; 27 MB for 13,312 images


def _inner_products(queries: np.ndarray, contributions: np.ndarray) -> np.ndarray:
    return queries @ contributions.T


def _cosines(queries: np.ndarray, contributions: np.ndarray) -> np.ndarray:
    own, others = _lengths(queries), _lengths(contributions)
    return queries @ contributions.T / (own[:, None] * others)


def _lengths(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1)
    return np.where(lengths > 0, lengths, 1)  # what says nothing is like nothing: cosine 0


SIMILARITIES: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "inner product": _inner_products,
    "cosine": _cosines,
}
"""Name → function from (queries, features) and (images, features) to (queries, images)."""


@dataclass(frozen=True)
class Neighbours:
    """What is nearest to a query, the nearest first."""

    # (count,): positions among the contributions; of tied ones the earlier comes first
    indices: np.ndarray
    similarities: np.ndarray  # (count,): with the query


def to_unit_embeddings(contributions: ArrayLike, embeddings: ArrayLike) -> np.ndarray:
    """Divide what was added to each embedding by the embedding's length.

    Parameters
    ----------
    contributions : array_like, (images, …, features)
        What heads added to each image's embedding.
    embeddings : array_like, (images, features)
        The embeddings, not normalised.

    Returns
    -------
    ndarray of float32, (images, …, features)
        Parts of embeddings of length 1. An embedding of length 0 leaves them as they are.
    """
    contributions = np.asarray(contributions, np.float32)
    lengths = _lengths(np.asarray(embeddings, np.float32))
    return contributions / lengths.reshape(-1, *[1] * (contributions.ndim - 1))


def nearest(
    contributions: ArrayLike,
    query: ArrayLike,
    count: int,
    exclude: int | None = None,
    similarity: str = "inner product",
) -> Neighbours:
    """Find the contributions most similar to a query, exactly."""
    contributions = np.asarray(contributions, np.float32)
    query = np.asarray(query, np.float32)
    _check(contributions, query, count)
    measure = SIMILARITIES[one_of("similarity", similarity, SIMILARITIES)]
    (similarities,) = measure(query[None], contributions)
    if exclude is not None:
        similarities[exclude] = -np.inf
    count = min(count, len(similarities) - (exclude is not None))
    indices = _largest(similarities, count)
    return Neighbours(indices, similarities[indices])


def occurrences(contributions: ArrayLike, count: int, similarity: str) -> np.ndarray:
    """Count for each image how many others have it among their nearest."""
    found = _neighbours_of_all(contributions, count, similarity)
    return np.bincount(np.concatenate(list(found)), minlength=len(contributions))


def precision(
    contributions: ArrayLike, values: Sequence[str], count: int, similarity: str
) -> np.ndarray:
    """Say how many of each image's nearest show what the image shows.

    Parameters
    ----------
    contributions : array_like, (images, features)
        As for `occurrences`.
    values : sequence of str, (images,)
        What each image shows.
    count : int
        How many nearest of each.
    similarity : str
        A row of `SIMILARITIES`.

    Returns
    -------
    ndarray, (images,)
        Share of the nearest with the image's own value.

    Raises
    ------
    WorkbookError
        If the similarity is unknown.
    """
    values = np.asarray(values)
    found = _neighbours_of_all(contributions, count, similarity)
    return np.array([(values[near] == own).mean() for near, own in zip(found, values, strict=True)])


def chance_precision(values: Sequence[str]) -> float:
    """Return the precision of neighbours drawn at random."""
    counts = np.unique(np.asarray(values), return_counts=True)[1]
    return float((counts * (counts - 1)).sum() / (counts.sum() * (counts.sum() - 1)))


def _neighbours_of_all(
    contributions: ArrayLike, count: int, similarity: str
) -> Iterator[np.ndarray]:
    """Yield the positions of each image's nearest among the others, a block of rows at a time."""
    contributions = np.asarray(contributions, np.float32)
    measure = SIMILARITIES[one_of("similarity", similarity, SIMILARITIES)]
    count = min(count, len(contributions) - 1)
    for start in range(0, len(contributions), ROWS_AT_ONCE):
        block = measure(contributions[start : start + ROWS_AT_ONCE], contributions)
        block[np.arange(len(block)), start + np.arange(len(block))] = -np.inf
        yield from (_largest(row, count) for row in block)


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
