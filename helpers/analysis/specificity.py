"""What of a shift's account is its own: shares beyond those of an ordinary difference.

Heads carry more than MLPs, and late layers more than early ones, of the difference between any two
images. The *reference share* of a component is its mean share in the differences between originals
of one source (`helpers.runs.derived.ordinary`); its *excess share* under a change is the mean share
in the change's shifts less that. A component is *specific* to a change where its excess is surely
above 0.

The excess depends on the images twice, as both sides are taken on them. To first order (Hoeffding's
projection of the mean over pairs) it is a mean over images of one number each, its *influence*: so
intervals and tests resample images, never pairs, which share images.

The same goes down to the neurons of the MLPs. A neuron n adds a_n G_n to an embedding, where a_n is
how strongly it fires, over the final norm's deviation, and G_n what it writes, through norm and
projection. Its share of a shift Δ is (a'_n - a_n) ⟨G_n, Δ⟩ / ‖Δ‖², and the shares of a layer's
neurons sum to its MLP's but for the bias. Of neurons only means over images and their errors are
known.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy
import xarray as xr

from helpers import ties
from helpers.analysis.dissection import NO_SHIFT, POOL, as_shares, fewest_for_half, is_head
from helpers.analysis.patching import GENERIC, OWN, RANDOM
from helpers.analysis.sources import SOURCE, by_source
from helpers.analysis.statistics import (
    FALSE_DISCOVERY_RATE,
    RESAMPLES,
    TAILS,
    false_discovery_rates,
    mean_with_interval,
    resample_counts,
)

ANOTHER = "another_image"
"""The control that is treated like a change: the original of another image of the source."""
LEAST_IMAGES = 3
"""Fewer that moved say nothing of how much images differ."""
NEURON_CHOICES = {
    OWN: "this change's neurons",
    GENERIC: "ordinary differences'",
    RANDOM: "random neurons",
}
"""What neurons are ablated for, in words: the largest excess share, the largest ordinary one."""
TOP_NEURONS = 0.01
"""Part of all neurons that is ablated."""
EXCITING = 3
"""Images that are named of each neuron and source."""

_NEURON_CONTROL = ("another", "another_error")


# Heads and MLPs


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
    pairs = [_against_others(values, embedded, *pair) for pair in enumerate(following)]
    mean, another = np.stack(pairs, axis=1)
    axes = ("image", "component")
    coords = {name: products[name] for name in (*axes, SOURCE) if name in products.coords}
    return xr.Dataset({"shares": (axes, mean), "another": (axes, another)}, coords=coords)


def _against_others(
    products: np.ndarray, embeddings: np.ndarray, image: int, another: int
) -> tuple[np.ndarray, np.ndarray]:
    same = np.einsum("ici->ic", products)
    along = same + same[image] - products[image].T - products[:, :, image]  # others × components
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
    rows = [_tested(influence, seed) for influence in _influences(shares, ordinary)]
    result = xr.concat(rows, shares["augmentation"].variable)
    q = result["p"].copy(data=_rates(result["p"].values, shares["augmentation"].values))
    result = result.drop_vars("p").assign(q=q, specific=q <= FALSE_DISCOVERY_RATE)
    return result.assign(ordinary=_reference(ordinary, shares)[0].mean("image"))


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
    rows = [_apart(influence, seed) for influence in _influences(shares, ordinary)]
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
    influence = influences.pop(change)
    rows = {name: _alike(influence, other, seed) for name, other in influences.items()}
    columns = ["correlation", "low", "high"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def specific_heads(excess: xr.Dataset) -> dict[str, list[str]]:
    """List the heads that are specific to each change, the largest excess first."""
    result = {}
    for name in excess["augmentation"].values.tolist():
        group = excess.sel(augmentation=name)
        order = ties.largest_first(group["excess"].values)
        known = zip(group["component"].values[order], group["specific"].values[order], strict=True)
        result[name] = [head for head, specific in known if specific and is_head(head)]
    return result


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
    """Check that a component is a head or an MLP, a pool's own included, not a bias or constant."""
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
    for by_image in values:
        by_image = by_image.values.astype(np.float64)
        moved = (by_image != 0).any(axis=1) & ~np.isnan(by_image).any(axis=1)
        yield Influence(_spread(by_image, moved), reference, names, int(moved.sum()))


def _reference(ordinary: xr.Dataset, shares: xr.DataArray) -> tuple[xr.DataArray, np.ndarray]:
    """Return the source's reference by image, and each image's influence on its mean."""
    names = [name for name in shares["component"].values if is_counted(name)]
    pairs = ordinary["shares"].sel(component=names)
    pairs = pairs.isel(image=np.isin(pairs["image"], shares["image"])).dropna("image")
    pairs = pairs.transpose("image", "component").astype(np.float64)
    everywhere = pairs.reindex(image=shares["image"]).values
    # Every image is in the pairs of others, too, and so counts twice.
    return pairs, _spread(everywhere, ~np.isnan(everywhere).any(axis=1), times=2)


def _spread(values: np.ndarray, counted: np.ndarray, times: int = 1) -> np.ndarray:
    """Return the influence of each image on the mean of those that are counted."""
    if not counted.any():
        return np.full(values.shape, np.nan)
    mean = values[counted].mean(axis=0)
    weight = times * len(values) / counted.sum()
    return mean + weight * np.where(counted[:, None], values - mean, 0)


def _resampled(values: np.ndarray, seed: int) -> np.ndarray:
    return resample_counts(len(values), RESAMPLES, seed) @ values / len(values)


def _tested(influence: Influence, seed: int) -> xr.Dataset:
    excess = influence.excess.mean(axis=0)
    low, high, p = np.full((3, len(excess)), np.nan)
    if influence.known:
        low, high = np.quantile(_resampled(influence.excess, seed), TAILS, axis=0)
        error = influence.excess.std(axis=0, ddof=1) / np.sqrt(len(influence.excess))
        p = scipy.stats.t.sf(excess / np.where(error > 0, error, np.inf), influence.moved - 1)
    share = influence.shares.mean(axis=0)
    result = {"share": share, "excess": excess, "low": low, "high": high, "p": p}
    return xr.Dataset(
        {name: ("component", values) for name, values in result.items()},
        coords={"component": influence.components},
    )


def _apart(influence: Influence, seed: int) -> dict[str, float]:
    heads = np.array([is_head(name) for name in influence.components])
    shares, ordinary = influence.shares.mean(axis=0), influence.ordinary.mean(axis=0)
    result = {
        "distance": _half_sum(shares - ordinary),
        "low": np.nan,
        "high": np.nan,
        "floor": np.nan,
        "p": np.nan,
        "correlation": _correlation(shares[heads], ordinary[heads]),
        "heads": shares[heads].sum(),
        "ordinary_heads": ordinary[heads].sum(),
        "n": influence.moved,
    }
    return result | (_varying(influence, result["distance"], seed) if influence.known else {})


def _varying(influence: Influence, distance: float, seed: int) -> dict[str, float]:
    """Say how the distance varies with the images, and how large it would be by that alone."""
    excess = _resampled(influence.excess, seed)
    resampled, by_chance = _half_sum(excess), _half_sum(excess - influence.excess.mean(axis=0))
    # A resample varies once more than the sample does; only its spread is the sample's.
    low, high = np.quantile(resampled, TAILS) - resampled.mean() + distance
    return {
        "low": max(low, 0),
        "high": high,
        "floor": np.quantile(by_chance, 0.95),
        "p": (1 + (by_chance >= distance).sum()) / (1 + len(by_chance)),
    }


def _alike(influence: Influence, other: Influence, seed: int) -> tuple[float, float, float]:
    if not (influence.known and other.known):
        return (np.nan,) * 3
    pairs = zip(*(_resampled(each.excess, seed) for each in (influence, other)), strict=True)
    result = _correlation(influence.excess.mean(axis=0), other.excess.mean(axis=0))
    return result, *np.nanquantile([_correlation(*pair) for pair in pairs], TAILS)


def _half_sum(values: np.ndarray) -> np.ndarray:
    return np.abs(values).sum(axis=-1) / 2


def _correlation(first: np.ndarray, other: np.ndarray) -> float:
    return np.corrcoef(first, other)[0, 1] if first.std() and other.std() else np.nan


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
            source: group.assign(specific=pd.Series(specific_heads(self.excess[source])))
            for source, group in self.distances.items()
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
        {source: distances(group, ordinary, seed=seed) for source, group in sources.items()},
        {source: excess_shares(group, ordinary, seed=seed) for source, group in sources.items()},
    )


# Neurons


def merged_moments(moments: xr.DataArray, counts: xr.DataArray) -> xr.Dataset:
    """Put the moments of batches together."""
    weights = counts / counts.sum("batch")
    scaled = moments.astype(float) / moments.sizes["neuron"]
    mean = (scaled.sel(moment="mean", drop=True) * weights).sum("batch")
    square = ((scaled.sel(moment="root mean square", drop=True) ** 2) * weights).sum("batch")
    images = counts.sum("batch")
    variance = (square - mean**2).clip(0) / (images - 1).where(images > 1)
    return xr.Dataset({"share": mean, "error": variance**0.5, "images": images})


def ordinary_neurons(
    fired: xr.DataArray, written: xr.DataArray, embeddings: xr.DataArray, rng: np.random.Generator
) -> xr.Dataset:
    """Account for the differences between images down to neurons, each with all others."""
    shape, count = fired.shape[1:], fired.sizes["image"]
    a, g = (side.values.reshape(count, -1).astype(np.float64) for side in (fired, written))
    weights = _inverse_squares(embeddings.values.astype(np.float64))
    by_image = _means_over_others(a, g, weights)
    order, following = rng.permutation(count), np.empty(count, int)
    following[order] = np.roll(order, -1)  # every image another one, and each once
    each = (a[following] - a) * (g[following] - g)
    each = each * weights[np.arange(count), following][:, None]
    falling = -np.sort(-np.abs(each), axis=1)
    most = np.argsort(-a, axis=0, kind="stable")[:EXCITING]
    names = fired["image"].values[most].astype(object)
    measures = {
        "share": by_image.mean(axis=0),
        "error": 2 * _neuron_error(by_image),  # every image is in the pairs of others, too
        "another": each.mean(axis=0),
        "another_error": _neuron_error(each),
    }
    axes = ("depth", "neuron")
    dataset = xr.Dataset(
        {name: (axes, each.reshape(shape).astype(np.float32)) for name, each in measures.items()}
    )
    dataset["for_half"] = float(np.mean(fewest_for_half(falling)))
    return dataset.assign(exciting=(("rank", *axes), names.reshape(len(names), *shape)))


def _inverse_squares(embeddings: np.ndarray) -> np.ndarray:
    """Return 1 / ‖e_j - e_i‖², 0 where there is no difference."""
    squares = np.square(embeddings).sum(axis=1)
    lengths = squares + squares[:, None] - 2 * embeddings @ embeddings.T
    return np.where(lengths > NO_SHIFT**2 * squares, 1 / np.where(lengths > 0, lengths, np.inf), 0)


def _means_over_others(a: np.ndarray, g: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean over j of w_ij (a_j - a_i)(g_j - g_i), images × neurons."""
    total = weights.sum(axis=1, keepdims=True)
    summed = weights @ (a * g) - a * (weights @ g) - g * (weights @ a) + a * g * total
    others = (weights > 0).sum(axis=1, keepdims=True)
    return summed / np.where(others > 0, others, np.nan)


def _neuron_error(values: np.ndarray) -> np.ndarray:
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    return values.std(axis=0, ddof=1) / np.sqrt(len(values))


def neuron_excess(account: xr.Dataset, reference: xr.Dataset) -> xr.Dataset:
    """Hold the shares of neurons against those of an ordinary difference.

    A change's shares and the reference are taken on the same images, and only their own standard
    errors are known: these are added, as though both erred together. So intervals are too wide
    rather than too narrow, and fewer neurons count as specific.
    """
    control = [reference[name].expand_dims(augmentation=[ANOTHER]) for name in _NEURON_CONTROL]
    share, error = (
        xr.concat([account[name], another], "augmentation").transpose(*account["share"].dims)
        for name, another in zip(("share", "error"), control, strict=True)
    )
    excess, error = share - reference["share"], error + reference["error"]
    known = account["images"] >= LEAST_IMAGES
    freedom = (account["images"] - 1).where(known)
    p = xr.apply_ufunc(scipy.stats.t.sf, excess / error.where(error > 0), freedom)
    q = p.copy(data=np.stack([_neuron_rates(rows) for rows in p]))
    half = scipy.stats.norm.ppf(TAILS[1]) * error
    result = {"share": share, "excess": excess, "low": excess - half, "high": excess + half, "q": q}
    return xr.Dataset(result).assign(specific=q <= FALSE_DISCOVERY_RATE)


def _neuron_rates(p: xr.DataArray) -> np.ndarray:
    control = (p["augmentation"] == ANOTHER).values
    q = np.empty(p.shape)
    for family in (control, ~control):
        q[family] = false_discovery_rates(p.values[family])
    return q


def leading_neurons(excess: xr.Dataset) -> pd.DataFrame:
    """Name the specific neuron of the largest excess, of every change that has one.

    Parameters
    ----------
    excess : Dataset
        As of `neuron_excess`, of one source.

    Returns
    -------
    DataFrame
        Columns `neuron` (its name), `depth`, `place`, `excess`, `low`, `high` and `count` (of
        specific neurons), indexed by change, the largest excess first. Without the control.
    """
    rows = {}
    for change in excess["augmentation"].values:
        group = excess.sel(augmentation=change)
        specific = group["specific"].values
        if change == ANOTHER or not specific.any():
            continue
        sizes = np.where(specific, group["excess"].values, -np.inf)
        depth, place = np.unravel_index(ties.first_largest(sizes.ravel()), sizes.shape)
        row = {name: float(group[name].values[depth, place]) for name in ("excess", "low", "high")}
        name = f"L{depth}.N{place}"
        places = {"depth": int(depth), "place": int(place)}
        rows[change] = {"neuron": name, "count": int(specific.sum())} | places | row
    columns = ["neuron", "depth", "place", "excess", "low", "high", "count"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.loc[ties.ranked(table["excess"].astype(float)).index] if len(table) else table


def choose_neurons(shares: xr.DataArray, ordinary: xr.DataArray, *, seed: int) -> xr.DataArray:
    """Choose neurons to ablate under every change: (choice, augmentation, depth, neuron)."""
    changes, total = shares.sizes["augmentation"], ordinary.size
    count = int(np.ceil(TOP_NEURONS * total))
    excess = (shares - ordinary.fillna(0)).values.reshape(changes, total)
    drawn = np.random.default_rng(seed).permutation(total)
    orders = {
        OWN: ties.largest_first(excess),
        GENERIC: np.tile(ties.largest_first(ordinary.fillna(0).values.ravel()), (changes, 1)),
        RANDOM: np.tile(drawn, (changes, 1)),
    }
    chosen = np.zeros((len(orders), changes, total), bool)
    for row, order in zip(chosen, orders.values(), strict=True):
        np.put_along_axis(row, order[:, :count], True, axis=1)
    return xr.DataArray(
        chosen.reshape(len(orders), *shares.shape),
        dims=("choice", *shares.dims),
        coords={"choice": list(orders), "augmentation": shares["augmentation"]},
    )


@dataclass(frozen=True)
class NeuronAccount:
    """The account of shifts down to neurons.

    Attributes
    ----------
    excess : Dataset
        As of `neuron_excess`.
    for_half : dict of str to DataFrame
        Source → how many neurons carry half of a shift: `mean`, `low`, `high`, by change.
    ordinary : dict of str to float
        Source → how many carry half of an ordinary difference.
    neurons : int
        Of all layers.
    effects : Dataset
        As of `helpers.runs.derived.neurons.ablated_neurons`.
    exciting : DataArray, (of_source, rank, depth, neuron)
        Names of images.
    """

    excess: xr.Dataset
    for_half: Mapping[str, pd.DataFrame]
    ordinary: Mapping[str, float]
    neurons: int
    effects: xr.Dataset
    exciting: xr.DataArray

    @property
    def leading(self) -> dict[str, pd.DataFrame]:
        """Source → as of `leading_neurons`."""
        names = self.excess["of_source"].values.tolist()
        return {name: leading_neurons(self.excess.sel(of_source=name)) for name in names}

    @property
    def control(self) -> dict[str, int]:
        """Source → neurons that would be specific to another image."""
        counts = self.excess["specific"].sel(augmentation=ANOTHER).sum(["depth", "neuron"])
        return dict(zip(counts["of_source"].values.tolist(), counts.values.tolist(), strict=True))


def neuron_account(shares: xr.Dataset, reference: xr.Dataset, effects: xr.Dataset) -> NeuronAccount:
    """Put together what is known of neurons.

    Parameters
    ----------
    shares : Dataset
        As of a run's `neurons`.
    reference : Dataset
        As of `helpers.runs.derived.neurons.ordinary_neurons`.
    effects : Dataset
        As of `helpers.runs.derived.neurons.ablated_neurons`.

    Returns
    -------
    NeuronAccount
    """
    halves = {
        source: mean_with_interval(group.where(group > 0))
        for source, group in by_source(shares["neurons_for_half"]).items()
    }
    ordinary = {source: float(reference["for_half"].sel(of_source=source)) for source in halves}
    total = shares.sizes["depth"] * shares.sizes["neuron"]
    excess = neuron_excess(shares, reference)
    return NeuronAccount(excess, halves, ordinary, total, effects, reference["exciting"])
