"""Shifts down to the neurons of the MLPs: means over images, and what is beyond an ordinary one.

A neuron n adds a_n G_n to an embedding, where a_n is how strongly it fires, over the final norm's
deviation, and G_n what it writes, through norm and projection. Its share of a shift Δ is
(a'_n - a_n) ⟨G_n, Δ⟩ / ‖Δ‖², and the shares of a layer's neurons sum to its MLP's but for the bias.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from helpers import ties
from helpers.analysis.causal import GENERIC, OWN, RANDOM
from helpers.analysis.dissection import NO_SHIFT, fewest_for_half
from helpers.analysis.sources import by_source
from helpers.analysis.specificity import ANOTHER, LEAST_IMAGES
from helpers.analysis.statistics import (
    FALSE_DISCOVERY_RATE,
    TAILS,
    false_discovery_rates,
    mean_with_interval,
)

CHOICES = {
    OWN: "this change's neurons",
    GENERIC: "ordinary differences'",
    RANDOM: "random neurons",
}
"""What neurons are ablated for, in words: the largest excess share, the largest ordinary one."""

TOP_SHARE = 0.01
"""Part of all neurons that is ablated."""

EXCITING = 3
"""Images that are named of each neuron and source."""


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
    found = {
        "share": by_image.mean(axis=0),
        "error": 2 * _error(by_image),  # every image is in the pairs of others, too
        "another": each.mean(axis=0),
        "another_error": _error(each),
    }
    axes = ("depth", "neuron")
    dataset = xr.Dataset(
        {name: (axes, own.reshape(shape).astype(np.float32)) for name, own in found.items()}
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


def _error(values: np.ndarray) -> np.ndarray:
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    return values.std(axis=0, ddof=1) / np.sqrt(len(values))


def excess_shares(account: xr.Dataset, reference: xr.Dataset) -> xr.Dataset:
    """Hold the shares of neurons against those of an ordinary difference.

    A change's shares and the reference are taken on the same images, and only their own standard
    errors are known: these are added, as though both erred together. So intervals are too wide
    rather than too narrow, and fewer neurons count as specific.
    """
    control = [reference[name].expand_dims(augmentation=[ANOTHER]) for name in _CONTROL]
    share, error = (
        xr.concat([account[name], own], "augmentation").transpose(*account["share"].dims)
        for name, own in zip(("share", "error"), control, strict=True)
    )
    excess, error = share - reference["share"], error + reference["error"]
    known = account["images"] >= LEAST_IMAGES
    freedom = (account["images"] - 1).where(known)
    p = xr.apply_ufunc(stats.t.sf, excess / error.where(error > 0), freedom)
    q = p.copy(data=np.stack([_rates(own) for own in p]))
    half = stats.norm.ppf(TAILS[1]) * error
    found = {"share": share, "excess": excess, "low": excess - half, "high": excess + half, "q": q}
    return xr.Dataset(found).assign(specific=q <= FALSE_DISCOVERY_RATE)


_CONTROL = ("another", "another_error")


def _rates(p: xr.DataArray) -> np.ndarray:
    control = (p["augmentation"] == ANOTHER).values
    q = np.empty(p.shape)
    for family in (control, ~control):
        q[family] = false_discovery_rates(p.values[family])
    return q


def leading(excess: xr.Dataset) -> pd.DataFrame:
    """Name the specific neuron of the largest excess, of every change that has one.

    Parameters
    ----------
    excess : Dataset
        As of `excess_shares`, of one source.

    Returns
    -------
    DataFrame
        Columns `neuron` (its name), `depth`, `place`, `excess`, `low`, `high` and `count` (of
        specific neurons), indexed by change, the largest excess first. Without the control.
    """
    rows = {}
    for change in excess["augmentation"].values:
        own = excess.sel(augmentation=change)
        specific = own["specific"].values
        if change == ANOTHER or not specific.any():
            continue
        sizes = np.where(specific, own["excess"].values, -np.inf)
        depth, place = np.unravel_index(ties.first_largest(sizes.ravel()), sizes.shape)
        row = {name: float(own[name].values[depth, place]) for name in ("excess", "low", "high")}
        name = f"L{depth}.N{place}"
        places = {"depth": int(depth), "place": int(place)}
        rows[change] = {"neuron": name, "count": int(specific.sum())} | places | row
    columns = ["neuron", "depth", "place", "excess", "low", "high", "count"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.loc[ties.ranked(table["excess"].astype(float)).index] if len(table) else table


def choose(shares: xr.DataArray, ordinary: xr.DataArray, *, seed: int) -> xr.DataArray:
    """Choose neurons to ablate under every change: (choice, augmentation, depth, neuron)."""
    changes, total = shares.sizes["augmentation"], ordinary.size
    count = int(np.ceil(TOP_SHARE * total))
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
class Account:
    """The account of shifts down to neurons.

    Attributes
    ----------
    excess : Dataset
        As of `excess_shares`.
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
        """Source → as of `leading`."""
        names = self.excess["of_source"].values.tolist()
        return {name: leading(self.excess.sel(of_source=name)) for name in names}

    @property
    def control(self) -> dict[str, int]:
        """Source → neurons that would be specific to another image."""
        own = self.excess["specific"].sel(augmentation=ANOTHER).sum(["depth", "neuron"])
        return dict(zip(own["of_source"].values.tolist(), own.values.tolist(), strict=True))


def account(shares: xr.Dataset, reference: xr.Dataset, effects: xr.Dataset) -> Account:
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
    Account
    """
    halves = {
        source: mean_with_interval(own.where(own > 0))
        for source, own in by_source(shares["neurons_for_half"]).items()
    }
    ordinary = {source: float(reference["for_half"].sel(of_source=source)) for source in halves}
    total = shares.sizes["depth"] * shares.sizes["neuron"]
    excess = excess_shares(shares, reference)
    return Account(excess, halves, ordinary, total, effects, reference["exciting"])
