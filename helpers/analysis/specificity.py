"""What of a shift's account is its own: shares beyond those of an ordinary difference.

Heads carry more than MLPs, and late layers more than early ones, of the difference between any two
images. The *reference share* of a component is its mean share in the differences between originals
of one source (`helpers.runs.derived.ordinary`); its *excess share* under a change is the mean share
in the change's shifts less that. A component is *specific* to a change where its excess is surely
above 0.

The excess depends on the images twice, as both sides are taken on them. To first order (Hoeffding's
projection of the mean over pairs) it is a mean over images of one number each, its *influence*: so
intervals and tests resample images, never pairs, which share images.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from helpers import ties
from helpers.analysis.dissection import POOL, as_shares
from helpers.analysis.head_names import is_head
from helpers.analysis.sources import SOURCE, by_source
from helpers.analysis.statistics import (
    FALSE_DISCOVERY_RATE,
    RESAMPLES,
    TAILS,
    false_discovery_rates,
    resample_counts,
)

ANOTHER = "another_image"
"""The control that is treated like a change: the original of another image of the source."""

LEAST_IMAGES = 3
"""Fewer that moved say nothing of how much images differ."""


def ordinary_shares(
    products: xr.DataArray, embeddings: xr.DataArray, rng: np.random.Generator
) -> xr.Dataset:
    """Account for the differences between images, each with all others.

    With c_i what a component adds to image i and e_i its embedding, ⟨c_j - c_i, e_j - e_i⟩ needs
    the products c_i · e_j alone: a forward pass for each image, and none for a pair.
    """
    count = products.sizes["image"]
    order, following = rng.permutation(count), np.empty(count, int)
    following[order] = np.roll(order, -1)  # every image another one, and each once
    values, embedded = products.values, embeddings.values.astype(np.float64)
    found = [_against_others(values, embedded, *pair) for pair in enumerate(following)]
    mean, another = np.stack(found, axis=1)
    axes = ("image", "component")
    coords = {name: products[name] for name in (*axes, SOURCE) if name in products.coords}
    return xr.Dataset({"shares": (axes, mean), "another": (axes, another)}, coords=coords)


def _against_others(
    products: np.ndarray, embeddings: np.ndarray, image: int, another: int
) -> tuple[np.ndarray, np.ndarray]:
    own = np.einsum("ici->ic", products)
    along = own + own[image] - products[image].T - products[:, :, image]  # others × components
    shares = as_shares(along, embeddings - embeddings[image], embeddings[image])
    differs = shares.any(axis=1)  # not from itself, nor from a copy
    none = np.full(along.shape[1], np.nan)
    mean = shares[differs].mean(axis=0) if differs.any() else none
    return mean, shares[another] if differs[another] else none


def with_control(shares: xr.DataArray, ordinary: xr.Dataset) -> xr.DataArray:
    """Add the differences to one other image, as though they were a change.

    Of shape (image, augmentation, component).
    """
    control = (
        ordinary["another"].drop_vars(SOURCE, errors="ignore").expand_dims(augmentation=[ANOTHER])
    )
    return xr.concat([shares, control.reindex(image=shares["image"])], "augmentation").transpose(
        *shares.dims
    )


def excess_shares(shares: xr.DataArray, ordinary: xr.Dataset, *, seed: int = 0) -> xr.Dataset:
    """Hold the shares of heads and MLPs against those of an ordinary difference."""
    rows = [_tested(own, seed) for own in _influences(shares, ordinary)]
    found = xr.concat(rows, shares["augmentation"].variable)
    q = found["p"].copy(data=_rates(found["p"].values, shares["augmentation"].values))
    found = found.drop_vars("p").assign(q=q, specific=q <= FALSE_DISCOVERY_RATE)
    return found.assign(ordinary=_reference(ordinary, shares)[0].mean("image"))


def distances(shares: xr.DataArray, ordinary: xr.Dataset, *, seed: int = 0) -> pd.DataFrame:
    """Say how far each change's account is from that of an ordinary difference.

    Parameters
    ----------
    shares, ordinary, seed
        As for `excess_shares`.

    Returns
    -------
    DataFrame
        A row per change. `distance`: half the sum of the absolute excess shares of heads and MLPs,
        so 0 for the same account and about 1 for one carried by other components altogether;
        `low`, `high`: how much it varies with the images (95 %). Sampling alone makes it positive:
        `floor` is what it stays below, in 95 of 100 samples of as many images that vary as much,
        where there is no excess at all. `q`: how often it would be as large there, false discovery
        rate over changes. `own`: q of at most 5 %. `correlation`: of the heads' shares with those
        of an ordinary difference (Pearson). `heads` and `ordinary_heads`: what all heads carry,
        under the change and ordinarily. `n`: images that moved.
    """
    rows = [_apart(own, seed) for own in _influences(shares, ordinary)]
    table = pd.DataFrame(rows, index=pd.Index(shares["augmentation"].values, name="augmentation"))
    q = _rates(table.pop("p").to_numpy(), table.index.to_numpy())
    return table.assign(q=q, own=q <= FALSE_DISCOVERY_RATE)


def likeness(
    shares: xr.DataArray, ordinary: xr.Dataset, change: str, *, seed: int = 0
) -> pd.DataFrame:
    """Correlate the excess shares of heads and MLPs under a change with those under all others.

    Parameters
    ----------
    shares, ordinary, seed
        As for `excess_shares`, of one source.
    change : str

    Returns
    -------
    DataFrame
        By other change: `correlation` (Pearson over heads and MLPs), and `low` and `high`, how much
        it varies with the images (95 %); NaN where too few moved.
    """
    names = shares["augmentation"].values.tolist()
    influences = dict(zip(names, _influences(shares, ordinary), strict=True))
    own = influences.pop(change)
    rows = {name: _alike(own, other, seed) for name, other in influences.items()}
    columns = ["correlation", "low", "high"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def specific_heads(excess: xr.Dataset) -> dict[str, list[str]]:
    """List the heads that are specific to each change, the largest excess first."""
    found = {}
    for name in excess["augmentation"].values.tolist():
        own = excess.sel(augmentation=name)
        order = ties.largest_first(own["excess"].values)
        known = zip(own["component"].values[order], own["specific"].values[order], strict=True)
        found[name] = [head for head, specific in known if specific and is_head(head)]
    return found


@dataclass(frozen=True)
class Influence:
    """What each image adds to the mean shares of a change, and to those of ordinary differences."""

    # (images, components): means over images are the mean shares; how they vary gives the means'
    # uncertainty
    shares: np.ndarray
    ordinary: np.ndarray
    components: np.ndarray
    moved: int  # how many images moved

    @property
    def known(self) -> bool:
        """Whether both means have an uncertainty."""
        return self.moved >= LEAST_IMAGES and not np.isnan(self.ordinary).any()

    @property
    def excess(self) -> np.ndarray:
        """The influence on the excess shares, (images, components)."""
        return self.shares - self.ordinary


def is_counted(component: str) -> bool:
    """Tell heads and MLPs, a pool's own among them, from biases and constants."""
    return is_head(component) or component.endswith("MLP") or component == POOL


def _rates(p: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Adjust p values, (changes, …): of all changes together, and of the control by itself."""
    q, control = np.empty_like(p), names == ANOTHER
    for family in (control, ~control):
        q[family] = false_discovery_rates(p[family])
    return q


def _influences(shares: xr.DataArray, ordinary: xr.Dataset):
    """Yield the influence of every change in turn."""
    mean, reference = _reference(ordinary, shares)
    names = mean["component"].values
    values = shares.sel(component=names).transpose("augmentation", "image", "component")
    for own in values:
        own = own.values.astype(np.float64)
        moved = (own != 0).any(axis=1) & ~np.isnan(own).any(axis=1)
        yield Influence(_spread(own, moved), reference, names, int(moved.sum()))


def _reference(ordinary: xr.Dataset, shares: xr.DataArray) -> tuple[xr.DataArray, np.ndarray]:
    """Return the source's reference by image, and each image's influence on its mean."""
    names = [name for name in shares["component"].values if is_counted(name)]
    own = ordinary["shares"].sel(component=names)
    own = own.isel(image=np.isin(own["image"], shares["image"])).dropna("image")
    own = own.transpose("image", "component").astype(np.float64)
    everywhere = own.reindex(image=shares["image"]).values
    # Every image is in the pairs of others, too, and so counts twice.
    return own, _spread(everywhere, ~np.isnan(everywhere).any(axis=1), times=2)


def _spread(values: np.ndarray, counted: np.ndarray, times: int = 1) -> np.ndarray:
    """Return the influence of each image on the mean of those that are counted."""
    if not counted.any():
        return np.full(values.shape, np.nan)
    mean = values[counted].mean(axis=0)
    weight = times * len(values) / counted.sum()
    return mean + weight * np.where(counted[:, None], values - mean, 0)


def _resampled(values: np.ndarray, seed: int) -> np.ndarray:
    return resample_counts(len(values), RESAMPLES, seed) @ values / len(values)


def _tested(own: Influence, seed: int) -> xr.Dataset:
    excess = own.excess.mean(axis=0)
    low, high, p = np.full((3, len(excess)), np.nan)
    if own.known:
        low, high = np.quantile(_resampled(own.excess, seed), TAILS, axis=0)
        error = own.excess.std(axis=0, ddof=1) / np.sqrt(len(own.excess))
        p = stats.t.sf(excess / np.where(error > 0, error, np.inf), own.moved - 1)
    found = {"share": own.shares.mean(axis=0), "excess": excess, "low": low, "high": high, "p": p}
    return xr.Dataset(
        {name: ("component", values) for name, values in found.items()},
        coords={"component": own.components},
    )


def _apart(own: Influence, seed: int) -> dict[str, float]:
    heads = np.array([is_head(name) for name in own.components])
    shares, ordinary = own.shares.mean(axis=0), own.ordinary.mean(axis=0)
    found = {
        "distance": _half_sum(shares - ordinary),
        "low": np.nan,
        "high": np.nan,
        "floor": np.nan,
        "p": np.nan,
        "correlation": _correlation(shares[heads], ordinary[heads]),
        "heads": shares[heads].sum(),
        "ordinary_heads": ordinary[heads].sum(),
        "n": own.moved,
    }
    return found | (_varying(own, found["distance"], seed) if own.known else {})


def _varying(own: Influence, distance: float, seed: int) -> dict[str, float]:
    """Say how the distance varies with the images, and how large it would be by that alone."""
    excess = _resampled(own.excess, seed)
    resampled, by_chance = _half_sum(excess), _half_sum(excess - own.excess.mean(axis=0))
    # A resample varies once more than the sample does; only its spread is the sample's.
    low, high = np.quantile(resampled, TAILS) - resampled.mean() + distance
    return {
        "low": max(low, 0),
        "high": high,
        "floor": np.quantile(by_chance, 0.95),
        "p": (1 + (by_chance >= distance).sum()) / (1 + len(by_chance)),
    }


def _alike(own: Influence, other: Influence, seed: int) -> tuple[float, float, float]:
    if not (own.known and other.known):
        return (np.nan,) * 3
    pairs = zip(*(_resampled(each.excess, seed) for each in (own, other)), strict=True)
    found = _correlation(own.excess.mean(axis=0), other.excess.mean(axis=0))
    return found, *np.nanquantile([_correlation(*pair) for pair in pairs], TAILS)


def _half_sum(values: np.ndarray) -> np.ndarray:
    return np.abs(values).sum(axis=-1) / 2


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    return np.corrcoef(one, other)[0, 1] if one.std() and other.std() else np.nan


@dataclass(frozen=True)
class Account:
    """What is a change's own in its account, source by source.

    Attributes
    ----------
    distances : dict of str to DataFrame
        Source → as of `distances`; the last row is the control, `ANOTHER`.
    excess : dict of str to Dataset
        Source → as of `excess_shares`, the control last.
    """

    distances: dict[str, pd.DataFrame]
    excess: dict[str, xr.Dataset]

    @property
    def table(self) -> pd.DataFrame:
        """A row per source and change, and the control.

        Indexed by `source` and `augmentation`. The columns of `distances`, and `specific`: the
        names of the heads that are specific to the change, the largest excess first, in a list.
        """
        tables = {
            source: own.assign(specific=pd.Series(specific_heads(self.excess[source])))
            for source, own in self.distances.items()
        }
        return pd.concat(tables, names=["source"])


def account(shares: xr.DataArray, ordinary: xr.Dataset, *, seed: int = 0) -> Account:
    """Hold the account of every change against that of ordinary differences, source by source.

    Parameters
    ----------
    shares : DataArray, (image, augmentation, component)
        As of a run's `dissection`, with the coordinate ``source`` (image).
    ordinary : Dataset
        As of `helpers.runs.derived.ordinary.ordinary_differences`.
    seed : int
        Of the resamples.

    Returns
    -------
    Account
    """
    sources = by_source(with_control(shares, ordinary))
    return Account(
        {source: distances(own, ordinary, seed=seed) for source, own in sources.items()},
        {source: excess_shares(own, ordinary, seed=seed) for source, own in sources.items()},
    )
