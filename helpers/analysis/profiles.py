"""Profiles of augmentations: which heads respond to each, and whether profiles really differ.

The profile of an augmentation is what each head carries of its shift, the mean share over images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from scipy import stats
from scipy.spatial.distance import squareform

from helpers.analysis.statistics import FALSE_DISCOVERY_RATE
from helpers.checks import WorkbookError


@dataclass(frozen=True)
class Responses:
    """Which heads respond to which augmentations.

    A head *responds* to an augmentation when its mean share is above an equal split: above the mean
    share of all heads under that augmentation. It *prefers* an augmentation when its share there is
    larger than under every one of the others. Both are one-sided t tests over images (paired, and
    for a preference the weakest of the comparisons), with Benjamini and Hochberg's control of the
    false discovery rate at 5 % over all heads and augmentations.

    Attributes
    ----------
    responds, prefers : DataArray of bool, (augmentation, component)
    """

    responds: xr.DataArray
    prefers: xr.DataArray

    @property
    def to_every(self) -> list[str]:
        """Heads that respond to every augmentation."""
        return self.responds["component"].values[self.responds.all("augmentation")].tolist()

    @property
    def to_one(self) -> dict[str, str]:
        """Head → augmentation: heads that respond to it alone, and prefer it to all others."""
        alone = self.responds & self.prefers & (self.responds.sum("augmentation") == 1)
        places = np.argwhere(alone.transpose("component", "augmentation").values)
        heads, names = (alone[axis].values.tolist() for axis in ("component", "augmentation"))
        return {heads[head]: names[name] for head, name in places}

    def table(self) -> pd.DataFrame:
        """Return a row per head: to how many and which augmentations it responds, which it prefers.

        Returns
        -------
        DataFrame
            Columns `responds_to`, `augmentations` and `prefers`, indexed by head; those that
            respond to most come first.
        """
        rows = {
            head: {
                "responds_to": int(self.responds.sel(component=head).sum()),
                "augmentations": ", ".join(_true_names(self.responds.sel(component=head))),
                "prefers": ", ".join(_true_names(self.prefers.sel(component=head))),
            }
            for head in self.responds["component"].values
        }
        table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("head")
        return table.sort_values("responds_to", ascending=False, kind="stable")


def responses(heads: xr.DataArray) -> Responses:
    """Find which heads respond to which augmentations; `Responses` defines it.

    Parameters
    ----------
    heads : DataArray, (image, augmentation, component)
        Shares of the heads (`helpers.analysis.dissection.named_heads`).

    Returns
    -------
    Responses
        From fewer than two images nothing follows: no head responds. A single augmentation is
        preferred to nothing.
    """
    values = heads.transpose("image", "augmentation", "component")
    above_split = _p_of_positive_mean((values - values.mean("component")).values)
    weakest = np.stack([_weakest_comparison(values.values, at) for at in range(values.shape[1])])
    template = values.isel(image=0, drop=True)
    return Responses(
        *(template.copy(data=_discoveries(p)) for p in (above_split, weakest)),
    )


def profile_distances(heads: xr.DataArray) -> np.ndarray:
    """Cosine distance between augmentations' profiles: their heads' mean shares.

    Parameters
    ----------
    heads : DataArray, (image, augmentation, component)
        Shares of the heads.

    Returns
    -------
    ndarray, (augmentations, augmentations)
        In [0, 2], symmetric, zero on the diagonal. An augmentation that moves nothing has no
        profile: it is at 0 from its like and at 1 from all others.
    """
    return _cosine_distances(heads.transpose("augmentation", "image", "component").values.mean(1))


@dataclass(frozen=True)
class Contrast:
    """How far the profiles of augmentations differ, and how far they would by chance.

    Attributes
    ----------
    observed : float
        Mean distance between two augmentations' profiles.
    shuffled : ndarray, (shuffles,)
        The same after every image's augmentations have exchanged their names at random: profiles
        that differ as much as a sample of this size differs by itself.
    p : float
        Share of shuffles, the data counted in, with at least the observed distance.
    """

    observed: float
    shuffled: np.ndarray
    p: float


def contrast(heads: xr.DataArray, *, shuffles: int = 200, seed: int = 0) -> Contrast:
    """Hold the differences between profiles against shuffled names of augmentations.

    Parameters
    ----------
    heads : DataArray, (image, augmentation, component)
        Shares of the heads.
    shuffles, seed : int
        Number of shuffles and their seed.

    Returns
    -------
    Contrast
    """
    rng = np.random.default_rng(seed)
    observed = _mean_distance(profile_distances(heads))
    null = np.array(
        [_mean_distance(profile_distances(shuffle_names(heads, rng))) for _ in range(shuffles)]
    )
    return Contrast(observed, null, (1 + (null >= observed).sum()) / (1 + shuffles))


def shuffle_names(shares: xr.DataArray, rng: np.random.Generator) -> xr.DataArray:
    """Exchange the names of each image's augmentations at random: the negative control.

    Parameters
    ----------
    shares : DataArray, (image, augmentation, …)
        Shares.
    rng : numpy.random.Generator

    Returns
    -------
    DataArray
        The same values under other names, image by image.
    """
    shares = shares.transpose("image", "augmentation", ...)
    order = rng.permuted(np.tile(np.arange(shares.shape[1]), (len(shares), 1)), axis=1)
    return shares.copy(data=shares.values[np.arange(len(shares))[:, None], order])


@dataclass(frozen=True)
class Agreement:
    """How alike two matrices of distances between the same things are.

    Attributes
    ----------
    correlation : float
        Spearman's rank correlation over the pairs; NaN where one matrix has equal entries only.
    p : float
        Of a Mantel test: the share of permutations of the names, the data counted in, with at least
        this correlation; 1 where it is NaN.
    pairs : int
    """

    correlation: float
    p: float
    pairs: int


def agreement(
    first: ArrayLike, second: ArrayLike, *, permutations: int = 9999, seed: int = 0
) -> Agreement:
    """Correlate two distance matrices, with the permutation test of Mantel (1967).

    The pairs of nine things are not independent; permuting the things themselves respects that.

    Parameters
    ----------
    first, second : array_like, (n, n)
        Symmetric distances.
    permutations, seed : int
        Number of permutations and their seed.

    Returns
    -------
    Agreement

    Raises
    ------
    WorkbookError
        If the matrices have different shapes, or fewer than three rows.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape or len(first) < 3:
        raise WorkbookError(
            f"Distances of shape {first.shape} and {second.shape} can't be compared; both must be"
            " between the same things, three or more."
        )
    ranks, other = (_standardised_ranks(side) for side in (first, second))
    if not ranks.any() or not other.any():
        return Agreement(np.nan, 1.0, len(ranks))
    rng = np.random.default_rng(seed)
    grid = squareform(ranks)
    orders = rng.permuted(np.tile(np.arange(len(first)), (permutations, 1)), axis=1)
    upper = np.triu_indices(len(first), k=1)
    null = np.array([grid[np.ix_(order, order)][upper] @ other for order in orders])
    found = ranks @ other
    # A permutation that gives the same matrix must count as equal in spite of rounding.
    p = (1 + (null >= found - 1e-12).sum()) / (1 + permutations)
    return Agreement(float(found), float(p), len(ranks))


def _true_names(row: xr.DataArray) -> Sequence[str]:
    return row["augmentation"].values[row.values]


def _weakest_comparison(values: np.ndarray, at: int) -> np.ndarray:
    """Largest p value of an augmentation's shares against any other's, 1 without, (components,)."""
    others = np.delete(values, at, axis=1)
    if others.shape[1] == 0:
        return np.ones(values.shape[2])
    return _p_of_positive_mean(values[:, [at]] - others).max(axis=0)


def _p_of_positive_mean(differences: np.ndarray) -> np.ndarray:
    """One-sided t test over the first axis; 1 where the differences say nothing."""
    n = len(differences)
    if n < 2:
        return np.ones(differences.shape[1:])
    mean, error = differences.mean(axis=0), differences.std(axis=0, ddof=1) / np.sqrt(n)
    t = mean / np.where(error > 0, error, np.inf)
    return np.where(error > 0, stats.t.sf(t, n - 1), np.where(mean > 0, 0.0, 1.0))


def _discoveries(p: np.ndarray) -> np.ndarray:
    return (stats.false_discovery_control(p, axis=None) <= FALSE_DISCOVERY_RATE).reshape(p.shape)


def _cosine_distances(profiles: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(profiles, axis=1, keepdims=True)
    units = profiles / np.where(lengths > 0, lengths, 1)
    unmoved = lengths.ravel() == 0
    distances = np.clip(1 - units @ units.T, 0, 2)
    distances[np.outer(unmoved, unmoved)] = 0
    np.fill_diagonal(distances, 0)
    return (distances + distances.T) / 2


def _mean_distance(distances: np.ndarray) -> float:
    return float(squareform(distances).mean())


def _standardised_ranks(distances: np.ndarray) -> np.ndarray:
    """Ranks of the condensed distances, centred, of length 1; zeros where all are equal."""
    ranks = stats.rankdata(squareform(distances, checks=False))
    centred = ranks - ranks.mean()
    length = np.linalg.norm(centred)
    return centred / length if length else centred
