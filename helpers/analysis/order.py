"""Orders of augmentations: by score, by model, and against the published one.

An order agrees with another by chance, too, and the order by pixel change or that of an untrained
network may agree as well as a trained model's. So agreement with the published order is counted for
any order alike, beside the agreement of all orders.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from scipy import stats

from helpers import ties
from helpers.analysis.scores import SCORES, embedding_similarity
from helpers.analysis.statistics import (
    RESAMPLES,
    TAILS,
    bias_corrected,
    correlate_scores,
    image_table,
    resampled_means,
)
from helpers.checks import WorkbookError, one_of
from helpers.data.changes import ORIGINAL
from helpers.ties import merged

# What the study says about which augmentations move embeddings most. Within a group it states no
# order, and it makes no statement about elastic.
PUBLISHED_GROUPS: Mapping[str, tuple[str, ...]] = {
    "most": ("noise",),
    "strongly": ("perspective", "shift_scale_rotate"),
    "moderately": ("blur", "coarse_dropout", "color_jitter"),
    "least": ("horizontal_flip", "random_brightness_contrast"),
}
# The scores that the study found to correlate with embedding similarity.
PUBLISHED_CORRELATES = ("edge_similarity", "detail_similarity")

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
RESAMPLES_OF_ORDERS = 500


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
    agreements = {name: published_pairs(moved, **options) for name, moved in orders.items()}
    rows = {
        name: [each.agreeing, each.low, each.high, each.pairs, each.chance.p]
        for name, each in agreements.items()
    }
    any_of = next(iter(agreements.values()))
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


def _published_places(names: list[str], groups: Groups) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the further and the nearer augmentation of every published pair."""
    if missing := [name for group in groups for name in group if name not in names]:
        raise WorkbookError(
            f"There is no {', '.join(missing)} among the augmentations; the published order can"
            " only be compared with all its augmentations."
        )
    places = [[names.index(name) for name in group] for group in groups]
    pairs = [
        (item, other)
        for at, further in enumerate(places)
        for nearer in places[at + 1 :]
        for item in further
        for other in nearer
    ]
    return tuple(np.transpose(pairs))


def _orders(n: int) -> np.ndarray:
    """List all orders of n things, (orders, n)."""
    return np.array(list(permutations(range(n))))


def _chance(random: np.ndarray, agreeing: float) -> Chance:
    low, high = np.quantile(random, TAILS).tolist()
    return Chance(float(random.mean()), low, high, float((random >= agreeing).mean()))


# By score and by model


@dataclass(frozen=True)
class Ranking:
    """Augmentations ordered by how far they move images, and how sure that order is.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per augmentation, furthest first: `mean`, `rank` (1 moves furthest; ties share the
        smaller rank) and `agreement`, the share of bootstrap resamples with the same rank.
    distribution : pandas.DataFrame, (augmentations, ranks)
        Share of resamples in which the augmentation has the rank.
    order_agreement : float
        Share of resamples with the same rank for every augmentation.
    """

    table: pd.DataFrame
    distribution: pd.DataFrame
    order_agreement: float


def rank_augmentations(
    values: xr.DataArray | pd.DataFrame | ArrayLike, *, higher_is_closer: bool
) -> Ranking:
    """Rank augmentations by a score's mean, with how often bootstrap resamples agree.

    Parameters
    ----------
    values : xarray.DataArray, pandas.DataFrame or array_like, (images, augmentations)
        A score; NaN where it is undefined.
    higher_is_closer : bool
        As in `helpers.analysis.scores.SCORES`: true for similarities, false for distances.

    Returns
    -------
    Ranking
        Furthest from the original first.

    Raises
    ------
    WorkbookError
        If the values have no image, aren't two-dimensional, or one is infinite.
    """
    table = image_table(values)
    sign = 1 if higher_is_closer else -1
    ranks = _ranks(sign * table.mean().to_numpy())  # (augmentations,)
    resampled = _ranks(sign * resampled_means(table.to_numpy(), RESAMPLES))
    places = np.arange(1, table.shape[1] + 1)
    known = 1 if len(table) > 1 else np.nan
    same = known * (resampled == ranks)  # (resamples, augmentations)
    shares = known * (resampled[:, :, None] == places).mean(axis=0)  # (augmentations, ranks)
    rows = pd.DataFrame(
        {"mean": table.mean(), "rank": ranks, "agreement": same.mean(axis=0)}
    ).sort_values("rank", kind="stable")
    distribution = pd.DataFrame(shares, index=table.columns, columns=pd.Index(places, name="rank"))
    return Ranking(rows, distribution.loc[rows.index], float(same.min(axis=1).mean()))


def rank_by_each_score(scores: xr.Dataset) -> dict[str, Ranking]:
    """Rank augmentations by every score.

    Parameters
    ----------
    scores : xarray.Dataset
        A variable per score of `SCORES`, each (image, augmentation).

    Returns
    -------
    dict of str to Ranking
        In the order of the dataset.

    Raises
    ------
    WorkbookError
        If a variable is no score.
    """
    return {
        name: rank_augmentations(
            values,
            higher_is_closer=SCORES[one_of("score", name, SCORES)].higher_is_closer,
        )
        for name, values in scores.items()
    }


def _ranks(values: np.ndarray) -> np.ndarray:
    return stats.rankdata(ties.merged(values), method="min", axis=-1, nan_policy="omit")


def rank_correlations(similarities: Mapping[str, xr.DataArray]) -> xr.Dataset:
    """Ask whether models put augmentations in the same order.

    Parameters
    ----------
    similarities : mapping of str to DataArray, (image, augmentation)
        Model → embedding similarity of the same images.

    Returns
    -------
    Dataset
        `estimate`, `low`, `high` (score, other) over models, and `n`, as of
        `helpers.analysis.statistics.correlate_scores`: Spearman's correlation across the
        augmentations' means. A model alone agrees with itself.
    """
    if len(similarities) == 1:
        (model, similarity) = next(iter(similarities.items()))
        axes = ("score", "other")
        values = {"estimate": [[1.0]], "low": [[np.nan]], "high": [[np.nan]]}
        matrices = {name: (axes, value) for name, value in values.items()}
        coords = {axis: [model] for axis in axes}
        return xr.Dataset(matrices | {"n": similarity.sizes["augmentation"]}, coords=coords)
    scores = xr.Dataset(dict(similarities))
    return correlate_scores(scores, across="means", n_resamples=RESAMPLES_OF_ORDERS)
