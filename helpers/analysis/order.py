"""Orders of augmentations, and what an agreement of two orders is worth.

An order agrees with another by chance, too, and the order by pixel change or that of an untrained
network may agree as well as a trained model's. So agreement is counted here for any order alike,
beside the agreement of all orders.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from scipy import stats

from helpers.analysis.scores import embedding_similarity
from helpers.analysis.statistics import CONFIDENCE, PUBLISHED_GROUPS, RESAMPLES, resampled_means
from helpers.checks import WorkbookError
from helpers.data.changes import ORIGINAL
from helpers.ties import merged

CHANCE = "chance"
Groups = Sequence[Sequence[str]]
PUBLISHED: Groups = tuple(PUBLISHED_GROUPS.values())
"""The published order: groups of augmentations, the furthest first."""
NOISE_FIRST: Groups = (PUBLISHED[0], sum(PUBLISHED[1:], ()))
"""Its trivial part: noise changes by far the most pixels."""
BEYOND_NOISE: Groups = PUBLISHED[1:]
"""The rest of it."""
MODEL, PIXELS, UNTRAINED = "this model", "pixel change", "untrained"
SAME_IMAGES = f"{MODEL}, their images"


@dataclass(frozen=True)
class Chance:
    """What random orders reach."""

    mean: float  # mean, and the interval that holds 95 % of random orders
    low: float
    high: float
    p: float  # share of random orders that reach at least what was found


@dataclass(frozen=True)
class PublishedPairs:
    """How many pairs of augmentations have the published order.

    Attributes
    ----------
    agreeing, pairs : int
        Pairs with the published order, and pairs that the study orders at all.
    low, high : float
        95 % bootstrap interval of `agreeing` over images (`bias_corrected`); NaN for one image.
    chance : Chance
        The same of random orders.
    """

    agreeing: int
    pairs: int
    low: float
    high: float
    chance: Chance


def moved_by(embeddings: xr.DataArray) -> xr.DataArray:
    """Say how far each augmentation moves each image: one less the cosine with the original.

    Of shape (image, augmentation).
    """
    original = embeddings.sel(view=ORIGINAL, drop=True)
    augmented = embeddings.drop_sel(view=ORIGINAL).rename(view="augmentation")
    similarity = xr.apply_ufunc(
        lambda *sides: embedding_similarity(sides[0][..., None, :], sides[1]),
        original,
        augmented,
        input_core_dims=[["feature"], ["augmentation", "feature"]],
        output_core_dims=[["augmentation"]],
    )
    return (1 - similarity).transpose("image", "augmentation")


def count_pairs(moved: ArrayLike, names: ArrayLike, groups: Groups = PUBLISHED) -> np.ndarray:
    """Count the pairs of augmentations that have the published order of a chain of groups."""
    further, nearer = _published_places(list(names), groups)
    moved = merged(moved)
    return (moved[..., further] > moved[..., nearer]).sum(axis=-1)


def published_pairs(
    moved: xr.DataArray, *, groups: Groups = PUBLISHED, seed: int = 0
) -> PublishedPairs:
    """Hold an order against the published one, and both against chance."""
    values = moved.transpose("image", "augmentation").to_numpy()
    names = list(moved["augmentation"].values)
    agreeing = int(count_pairs(np.nanmean(values, axis=0), names, groups))
    resampled = count_pairs(resampled_means(values, RESAMPLES, seed), names, groups)
    low, high = bias_corrected(resampled, agreeing) if len(values) > 1 else (np.nan, np.nan)
    stated = [name for group in groups for name in group]
    by_chance = count_pairs(_orders(len(stated)), stated, groups)
    pairs = len(_published_places(names, groups)[0])
    return PublishedPairs(agreeing, pairs, low, high, _chance(by_chance, agreeing))


def pairs_beside_baselines(orders: Mapping[str, xr.DataArray], **options: object) -> pd.DataFrame:
    """Hold several orders against the published one: a model's and its baselines'."""
    found = {name: published_pairs(moved, **options) for name, moved in orders.items()}
    rows = {
        name: [own.agreeing, own.low, own.high, own.pairs, own.chance.p]
        for name, own in found.items()
    }
    any_of = next(iter(found.values()))
    chance = any_of.chance
    rows[CHANCE] = [chance.mean, chance.low, chance.high, any_of.pairs, np.nan]
    columns = ["agreeing", "low", "high", "pairs", "p"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def pairs_beside_untrained(
    model: xr.DataArray, pixels: xr.DataArray, untrained: xr.DataArray, **options: object
) -> pd.DataFrame:
    """Hold a model's order against the published one, beside pixels and untrained networks."""
    networks = {
        f"{UNTRAINED} {number}": untrained.sel(network=number, drop=True)
        for number in untrained["network"].values
    }
    same = model.sel(image=untrained["image"])
    orders = {MODEL: model, PIXELS: pixels, SAME_IMAGES: same} | networks
    return pairs_beside_baselines(orders, **options)


def bias_corrected(resampled: ArrayLike, estimate: float) -> tuple[float, float]:
    """Correct a bootstrap interval for an estimate that lies off the middle of its resamples.

    Efron's bias-corrected percentile interval (1981). Resampling blurs an order, so that a count of
    pairs in the right order lies at the upper edge of its resamples. The acceleration of the BCa
    interval is taken as 0: it needs a statistic that changes when one image is left out, and a
    count hardly ever does.
    """
    resampled = np.asarray(resampled, np.float64)
    below = (resampled < estimate).mean() + (resampled == estimate).mean() / 2
    half_step = 1 / (2 * len(resampled))
    bias = stats.norm.ppf(np.clip(below, half_step, 1 - half_step))
    tails = stats.norm.ppf([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    places = stats.norm.cdf(2 * bias + tails)
    low, high = np.quantile(resampled, places, method="inverted_cdf")
    return float(low), float(high)


def _published_places(names: list[str], groups: Groups) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the further and the nearer augmentation of every published pair."""
    if missing := [name for own in groups for name in own if name not in names]:
        raise WorkbookError(
            f"There is no {', '.join(missing)} among the augmentations; the published order can"
            " only be compared with all its augmentations."
        )
    places = [[names.index(name) for name in own] for own in groups]
    pairs = [
        (one, other)
        for at, further in enumerate(places)
        for nearer in places[at + 1 :]
        for one in further
        for other in nearer
    ]
    return tuple(np.transpose(pairs))


def _orders(n: int) -> np.ndarray:
    """List all orders of n things, (orders, n)."""
    return np.array(list(permutations(range(n))))


def _chance(random: np.ndarray, found: float) -> Chance:
    return Chance(float(random.mean()), *_tails(random), float((random >= found).mean()))


def _tails(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
