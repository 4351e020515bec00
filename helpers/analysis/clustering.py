"""Which augmentations move images the same way: distances between them, and clusters.

As in Dahal, Murad and Rahimi, "Embedding Shift Dissection on CLIP", arXiv 2503.23495, A.1.1:
pairwise distances, `squareform`, `linkage`, `fcluster`, equations (1) to (3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from helpers import ties
from helpers.analysis.directions import normalised
from helpers.analysis.statistics import resample_counts
from helpers.checks import WorkbookError, one_of
from helpers.data.changes import ORIGINAL

RESAMPLES = 500

# Ward's criterion assumes Euclidean distances and the study feeds it cosine ones: a departure that
# is kept as an option. Average linkage makes no such assumption.
METHODS = ("average", "ward", "complete", "single", "weighted")
PUBLISHED_METHOD = "ward"
THRESHOLD_SHARE = 0.7
BLOCK = 512


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
    return squareform(_usable(cosine_distances(embeddings)).mean(axis=0))


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
        [one, other, distances[a, b], distances[0, a] + distances[0, b]]
        for (a, one), (b, other) in combinations(enumerate(others, start=1), 2)
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
    cophenetic : float
        Cophenetic correlation: how well heights in the tree reproduce the distances; 1 is
        perfect, NaN if all distances are equal.
    """

    names: tuple[str, ...]
    distances: np.ndarray
    method: str
    linkage: np.ndarray
    threshold: float
    labels: np.ndarray
    cophenetic: float

    def members(self) -> list[tuple[str, ...]]:
        """List the clusters.

        Returns
        -------
        list of tuple of str
            Names of each cluster, in the order of their numbers.
        """
        return [
            tuple(name for name, own in zip(self.names, self.labels, strict=True) if own == label)
            for label in np.unique(self.labels)
        ]


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
        The tree, its clusters at 0.7 of its height and its cophenetic correlation.

    Raises
    ------
    WorkbookError
        If the method is unknown, or the distances don't fit the names or aren't distances.
    """
    one_of("method", method, METHODS)
    distances = np.asarray(distances, dtype=np.float64)
    _check_distances(distances, names)
    condensed = squareform(distances, checks=False)
    tree = hierarchy.linkage(ties.merged(condensed), method=method)
    threshold = THRESHOLD_SHARE * tree[:, 2].max()
    return Clustering(
        names=tuple(names),
        distances=distances,
        method=method,
        linkage=tree,
        threshold=threshold,
        # A height tied with the threshold is below it.
        labels=hierarchy.fcluster(tree, threshold * (1 + ties.TOLERANCE), criterion="distance"),
        cophenetic=_cophenetic_correlation(tree, condensed),
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
        labels = cluster(squareform(condensed), names, method=method).labels
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


def _cophenetic_correlation(tree: np.ndarray, condensed: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):
        return float(hierarchy.cophenet(tree, condensed)[0])
