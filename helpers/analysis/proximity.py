"""What lies near what: unit vectors, nearest neighbours, and clusters of augmentations.

Neighbours are exact, by inner product as CLIP-InterpreT searches, and by cosine. What is searched
are contributions to embeddings of length 1 (`to_unit_embeddings`), as it does, and as Gandelsman,
Efros and Steinhardt's code does (ICLR 2024, arXiv 2310.05916). An inner product grows with the
length of a contribution, so that an image in which a head says much is near to all others, whatever
they show: a *hub* (Radovanović et al., JMLR 2010). A cosine leaves lengths out. A search reads
every contribution once, so that memory's speed decides and a matrix-vector product is all it takes:
an index would have to be built first, and answers only nearly right.

Clusters are those of Dahal, Murad and Rahimi, "Embedding Shift Dissection on CLIP", arXiv
2503.23495, A.1.1: pairwise distances, `squareform`, `linkage`, `fcluster`, equations (1) to (3).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import scipy
import xarray as xr
from numpy.typing import ArrayLike

from helpers import ties
from helpers.analysis.statistics import resample_counts
from helpers.checks import WorkbookError, one_of
from helpers.data.changes import ORIGINAL
from helpers.ties import TOLERANCE, largest_first

ROWS_AT_ONCE = 512  # of the matrix of all similarities; 27 MB for 13,312 images
RESAMPLES = 500
# Ward's criterion assumes Euclidean distances and the study feeds it cosine ones: a departure that
# is kept as an option. Average linkage makes no such assumption.
METHODS = ("average", "ward", "complete", "single", "weighted")
PUBLISHED_METHOD = "ward"
THRESHOLD_SHARE = 0.7
BLOCK = 512


def unit_vectors(vectors: xr.DataArray) -> xr.DataArray:
    """Scale vectors to length 1: (…, feature)."""
    length = np.sqrt(np.square(vectors).sum("feature"))
    return vectors / length.where(length > 0, 1)


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors, along the last axis, to length 1; one of length 0 becomes NaN."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


# Neighbours


def _inner_products(queries: np.ndarray, contributions: np.ndarray) -> np.ndarray:
    return queries @ contributions.T


def _cosines(queries: np.ndarray, contributions: np.ndarray) -> np.ndarray:
    lengths, others = _lengths(queries), _lengths(contributions)
    return queries @ contributions.T / (lengths[:, None] * others)


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
    result = _neighbours_of_all(contributions, count, similarity)
    return np.bincount(np.concatenate(list(result)), minlength=len(contributions))


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
    result = _neighbours_of_all(contributions, count, similarity)
    return np.array(
        [(values[near] == value).mean() for near, value in zip(result, values, strict=True)]
    )


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


# Clusters of augmentations


def cosine_distances(embeddings: ArrayLike) -> np.ndarray:
    """Pairwise cosine distance between the embeddings of each image: (images, pairs).

    Works through blocks of images, so that a float32 array from disk is never copied as a whole.
    """
    shape = np.shape(embeddings)
    if len(shape) != 3 or shape[0] < 1 or shape[1] < 2:
        raise WorkbookError(
            f"Embeddings of shape {shape} can't be clustered; they need the axes (image, "
            "augmentation, feature) with at least one image and two augmentations."
        )
    starts = range(0, shape[0], BLOCK)
    return np.concatenate([_block_distances(embeddings[start : start + BLOCK]) for start in starts])


def mean_cosine_distance(embeddings: ArrayLike) -> np.ndarray:
    """Mean over images of the pairwise cosine distance between augmentations.

    Parameters
    ----------
    embeddings : array_like, (images, augmentations, features)
        Embeddings of the augmented images.

    Returns
    -------
    numpy.ndarray, (augmentations, augmentations)
        Symmetric, zero on the diagonal. Images with a zero embedding are left out.

    Raises
    ------
    WorkbookError
        If the array has other axes, or no image has a distance for every pair.
    """
    return scipy.spatial.distance.squareform(_usable(cosine_distances(embeddings)).mean(axis=0))


def distances_beside_lengths(embeddings: xr.DataArray) -> pd.DataFrame:
    """List the distances between changes, beside how far the two of each pair move images.

    Views that hardly move lie near one another, whatever their directions.

    Parameters
    ----------
    embeddings : DataArray, (image, view, feature)
        With the view ``original``.

    Returns
    -------
    DataFrame
        A row per pair: `augmentation`, `other`, `distance` (mean cosine distance between the two
        views) and `moved`, the sum of both views' mean cosine distances from the original.
    """
    others = [name for name in embeddings["view"].values if name != ORIGINAL]
    ordered = embeddings.sel(view=[ORIGINAL, *others]).transpose("image", "view", "feature")
    distances = mean_cosine_distance(ordered.values)
    rows = [
        [name, other, distances[a, b], distances[0, a] + distances[0, b]]
        for (a, name), (b, other) in combinations(enumerate(others, start=1), 2)
    ]
    return pd.DataFrame(rows, columns=["augmentation", "other", "distance", "moved"])


@dataclass(frozen=True)
class Clustering:
    """A hierarchical clustering of augmentations.

    Attributes
    ----------
    names : tuple of str
        The augmentations, in the order of `distances` and `labels`.
    distances : numpy.ndarray, (augmentations, augmentations)
        Mean cosine distances.
    method : str
        The linkage method.
    linkage : numpy.ndarray, (augmentations - 1, 4)
        SciPy's linkage matrix Z.
    threshold : float
        t = 0.7 max(Z[:, 2]).
    labels : numpy.ndarray, (augmentations,)
        Cluster numbers of equation (1), from 1.
    """

    names: tuple[str, ...]
    distances: np.ndarray
    method: str
    linkage: np.ndarray
    threshold: float
    labels: np.ndarray

    def members(self) -> list[tuple[str, ...]]:
        """List the clusters.

        Returns
        -------
        list of tuple of str
            Names of each cluster, in the order of their numbers.
        """
        names = np.array(self.names)
        numbers = np.unique(self.labels)
        return [tuple(names[self.labels == number].tolist()) for number in numbers]


def cluster(distances: ArrayLike, names: Sequence[str], *, method: str = "average") -> Clustering:
    """Cluster augmentations by their distances, equations (1) and (3).

    Parameters
    ----------
    distances : array_like, (augmentations, augmentations)
        Symmetric distances with a zero diagonal, such as those of `mean_cosine_distance`.
    names : sequence of str
        The augmentations.
    method : str
        One of `METHODS`. "ward" is what the study used, although Ward's criterion assumes
        Euclidean distances.

    Returns
    -------
    Clustering
        The tree, and its clusters at 0.7 of its height.

    Raises
    ------
    WorkbookError
        If the method is unknown, or the distances don't fit the names or aren't distances.
    """
    one_of("method", method, METHODS)
    distances = np.asarray(distances, dtype=np.float64)
    _check_distances(distances, names)
    condensed = scipy.spatial.distance.squareform(distances, checks=False)
    tree = scipy.cluster.hierarchy.linkage(ties.merged(condensed), method=method)
    threshold = THRESHOLD_SHARE * tree[:, 2].max()
    return Clustering(
        names=tuple(names),
        distances=distances,
        method=method,
        linkage=tree,
        threshold=threshold,
        # A height tied with the threshold is below it.
        labels=scipy.cluster.hierarchy.fcluster(
            tree, threshold * (1 + ties.TOLERANCE), criterion="distance"
        ),
    )


@dataclass(frozen=True)
class Stability:
    """How bootstrap resamples of the images cluster.

    Both are NaN for a single image.
    """

    # (augmentations, augmentations): share of resamples in which two augmentations fall in one
    # cluster
    together: np.ndarray
    same_clusters: float  # share of resamples with exactly the same clusters as the sample


def stability(embeddings: ArrayLike, *, method: str = "average", seed: int = 0) -> Stability:
    """Cluster bootstrap resamples of the images, to see which clusters the sample decides."""
    per_image = _usable(cosine_distances(embeddings))  # (images, pairs)
    names = [str(position) for position in range(np.shape(embeddings)[1])]

    def partition(condensed: np.ndarray) -> np.ndarray:
        labels = cluster(scipy.spatial.distance.squareform(condensed), names, method=method).labels
        return labels[:, None] == labels  # (augmentations, augmentations)

    counts = resample_counts(len(per_image), RESAMPLES, seed)
    resampled = np.stack([partition(row) for row in counts @ per_image / len(per_image)])
    same = (resampled == partition(per_image.mean(axis=0))).all(axis=(1, 2))
    # Every resample of a single image is that image, which says nothing about others.
    known = 1 if len(per_image) > 1 else np.nan
    return Stability(together=known * resampled.mean(axis=0), same_clusters=known * same.mean())


def _block_distances(block: ArrayLike) -> np.ndarray:
    """Condensed cosine distances (images, pairs) of one block of embeddings."""
    block = np.asarray(block, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        unit = normalised(block)
    cosine = unit @ unit.swapaxes(-2, -1)  # (images, augmentations, augmentations)
    first, second = np.triu_indices(block.shape[1], k=1)
    return np.clip(1 - cosine[:, first, second], 0, 2)


def _usable(per_image: np.ndarray) -> np.ndarray:
    """Rows without NaN of (images, pairs)."""
    usable = per_image[~np.isnan(per_image).any(axis=1)]
    if not len(usable):
        raise WorkbookError(
            f"None of the {len(per_image)} images has a distance for every pair of augmentations, "
            "because each has an embedding that is zero or not a number; check the embeddings."
        )
    return usable


def _check_distances(distances: np.ndarray, names: Sequence[str]) -> None:
    if distances.shape != (len(names), len(names)) or len(names) < 2:
        raise WorkbookError(
            f"Distances of shape {distances.shape} don't fit {len(names)} names; "
            "both must have one entry per augmentation, and at least two."
        )
    symmetric = np.allclose(distances, distances.T) and not np.diagonal(distances).any()
    if not symmetric or (distances < 0).any():
        raise WorkbookError(
            "The matrix to cluster isn't one of distances, which are symmetric, not negative and "
            "zero on the diagonal; pass distances, not similarities."
        )
