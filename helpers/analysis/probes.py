"""What heads are about beside their texts: known attributes, their weights, and misled probes.

Where the truth is known, two questions are easily confused. *Is an attribute readable from a head?*
A linear classifier answers that; much is readable from heads that hardly vary with it, since a
trace is enough. *Is a head's variance due to an attribute?* The share of the variance that lies
between the attribute's values answers that, and it is the question that TEXTSPAN puts to texts.

Weights need no image. Whatever a head reads from a token goes through its value and output
matrices, and then through the final norm's scale and the projection. The right singular vectors of
that product are directions of the embedding, the ones that the head writes most strongly first.
(Reading heads by the singular vectors of their value-output weights, named by sparse non-negative
texts, follows arXiv 2603.24653; what is compared here is ours.)

A probe is misled where it learns classes on images in which another attribute goes with the class,
and is asked about images in which it doesn't. The *worst group* is the pair of class and attribute
that it gets wrong most. Heads that carry the attribute are mean-ablated before the probe is fitted:
their direct contribution to embeddings becomes its mean. Source: Gandelsman, Efros and Steinhardt,
ICLR 2024 (arXiv 2310.05916), section 4, who ablate before zero-shot answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from helpers import ties
from helpers.analysis.dissection import head_name, on_grid
from helpers.analysis.flips import sparse_texts
from helpers.analysis.labels import UNKNOWN
from helpers.analysis.proximity import to_unit_embeddings
from helpers.analysis.statistics import TAILS, mean_with_interval, resample_counts
from helpers.checks import WorkbookError

FOLDS = 4
"""Of the cross-validation."""
SHUFFLES = 10_000
Attributes = Mapping[str, Sequence[str]]
DIRECTIONS = 3
"""Of a head: enough for most of what a head writes, and few beside the width of a head."""
POLES = {"towards": 1, "away from": -1}
OWN, OTHERS, EVEN = "own", "others", "even"
ABLATED = (0, 1, 2, 3, 4, 6, 8, 12)
"""How many heads are ablated, one number after the other."""
AT_RANDOM = "random"
FIXED = 4
"""Heads whose ablation is judged: chosen beforehand, as the best of a curve would flatter it."""
PENALTY = 1.0


# Known attributes


def by_head(components: xr.DataArray) -> xr.DataArray:
    """Take the heads out of all that embeddings are the sum of: (image, layer, head, feature)."""
    return on_grid(components).transpose("image", "layer", "head", "feature")


def probe_skill(contributions: xr.DataArray, attributes: Attributes) -> xr.DataArray:
    """Say how well a linear classifier reads each attribute from each head.

    Of shape (layer, head, attribute).
    """
    _check(contributions, attributes, FOLDS)
    split = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    # Probes are small: sharing each among threads would cost more than it gains.
    with threadpool_limits(1, user_api="blas"):
        return _for_each_head(contributions, attributes, lambda *pair: _skill(*pair, split))


def variance_between(contributions: xr.DataArray, attributes: Attributes) -> xr.DataArray:
    """Say what share of each head's variance lies between the values of each attribute.

    Of shape (layer, head, attribute).
    """
    _check(contributions, attributes, 2)
    return _for_each_head(contributions, attributes, _adjusted_share)


def share_of_answers(
    contributions: xr.DataArray, embeddings: xr.DataArray, prompts: Mapping[str, np.ndarray]
) -> xr.DataArray:
    """Say what share of the spread of each property's zero-shot answers each head accounts for.

    Of shape (layer, head, attribute).

    An answer is what an embedding of length 1 scores with each of a property's values. Scores are
    sums of what components add, and so is their spread over images: a head's share of it is the
    covariance of what it adds with the whole, over the variance of the whole: a direct effect.
    """
    whole = embeddings.transpose("image", "feature").values
    heads = contributions.transpose("image", "layer", "head", "feature")
    parts = to_unit_embeddings(heads.values, whole).astype(np.float64)
    units = to_unit_embeddings(whole, whole).astype(np.float64)
    shares = [_share_of_scores(parts, units, values) for values in prompts.values()]
    coords = {"layer": heads["layer"], "head": heads["head"], "attribute": list(prompts)}
    return xr.DataArray(np.stack(shares, axis=-1), coords, ("layer", "head", "attribute"))


def _share_of_scores(parts: np.ndarray, units: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Share of each head (layers × heads) in the spread of the scores of some values."""
    between = values - values.mean(axis=0)  # what raises all scores alike is no answer
    scores, added = units @ between.T, parts @ between.T  # images × … × values
    scores, added = scores - scores.mean(axis=0), added - added.mean(axis=0)
    with np.errstate(invalid="ignore"):
        return np.einsum("ilhv,iv->lh", added, scores) / np.square(scores).sum()


def _skill(head: np.ndarray, values: np.ndarray, split: StratifiedKFold) -> float:
    model = make_pipeline(StandardScaler(), RidgeClassifier(class_weight="balanced"))
    predicted = cross_val_predict(model, head, values, cv=split)
    return balanced_accuracy_score(values, predicted, adjusted=True)


def _adjusted_share(head: np.ndarray, values: np.ndarray) -> float:
    centred = head.astype(np.float64) - head.mean(axis=0, dtype=np.float64)
    belongs = (values == np.unique(values)[:, None]).astype(float)  # values × images
    counts = belongs.sum(axis=1)
    between = np.square(belongs @ centred / np.sqrt(counts)[:, None]).sum()
    total = np.square(centred).sum()
    images, groups = len(head), len(counts)
    rest = (1 - between / total) if total else np.nan
    return 1 - rest * (images - 1) / (images - groups)


def _for_each_head(contributions: xr.DataArray, attributes: Attributes, function) -> xr.DataArray:
    heads = contributions.transpose("layer", "head", "image", "feature")
    result = np.empty((*heads.shape[:2], len(attributes)))
    for number, values in enumerate(attributes.values()):
        for place in np.ndindex(heads.shape[:2]):
            result[(*place, number)] = function(heads.values[place], np.asarray(values))
    coords = {"layer": heads["layer"], "head": heads["head"], "attribute": list(attributes)}
    return xr.DataArray(result, coords, ("layer", "head", "attribute"))


def strongest(values: xr.DataArray) -> xr.DataArray:
    """Return the attribute with the largest value for each head.

    Parameters
    ----------
    values : DataArray, (layer, head, attribute)
        Such as skills, or shares of variance.

    Returns
    -------
    DataArray, (layer, head)
        Names of attributes; "" where a head doesn't vary.
    """
    values = values.transpose("layer", "head", "attribute")
    best = values["attribute"].values[ties.first_largest(values.values)]
    names = np.where(values.isnull().all("attribute"), "", best).astype(object)
    return values.isel(attribute=0, drop=True).copy(data=names)


@dataclass(frozen=True)
class Agreement:
    """How often two ways to name heads agree.

    Attributes
    ----------
    heads, agreeing : int
        Number of heads, and of those with the same name.
    rate : float
        Share of heads that agree.
    chance : float
        Mean rate when names are shuffled over heads; it is high where most heads share a name.
    high : float
        Rate that 95 % of the shuffles stay within.
    p : float
        Share of shuffles (and the names as they are) with a rate as high or higher.
    """

    heads: int
    agreeing: int
    rate: float
    chance: float
    high: float
    p: float


def agreement(names: ArrayLike, others: ArrayLike, *, seed: int = 0) -> Agreement:
    """Compare two names of each head, against names shuffled over heads.

    Parameters
    ----------
    names, others : array_like of str
        One name per head each, in the same order and shape.
    seed : int
        Of the shuffles.

    Returns
    -------
    Agreement

    Raises
    ------
    WorkbookError
        If the shapes differ.
    """
    names, others = np.asarray(names, dtype=str), np.asarray(others, dtype=str)
    if names.shape != others.shape:
        raise WorkbookError(
            f"Names of shape {names.shape} and {others.shape} can't be compared; give one of each"
            " for every head."
        )
    names, others = names.ravel(), others.ravel()
    rng = np.random.default_rng(seed)
    rate = float((names == others).mean())
    shuffled = np.array([(rng.permutation(names) == others).mean() for _ in range(SHUFFLES)])
    as_high = (1 + (shuffled >= rate - 1e-12).sum()) / (1 + SHUFFLES)
    high = float(np.quantile(shuffled, 0.95))
    agreeing = int((names == others).sum())
    return Agreement(len(names), agreeing, rate, float(shuffled.mean()), high, float(as_high))


def _check(contributions: xr.DataArray, attributes: Attributes, least: int) -> None:
    for name, values in attributes.items():
        if len(values) != contributions.sizes["image"]:
            raise WorkbookError(
                f"{name} has {len(values)} values for {contributions.sizes['image']} images; give"
                " one for each."
            )
        counts = pd.Series(values).value_counts()
        if len(counts) < 2 or counts.min() < least:
            raise WorkbookError(
                f"{name} has the value {counts.index[-1]!r} in {counts.min()} images and"
                f" {len(counts)} different values; give at least 2 values with {least} images each."
            )


# Weights


def leading_directions(weights: np.ndarray) -> xr.Dataset:
    """Find the directions that heads write most strongly.

    Parameters
    ----------
    weights : ndarray, (layers, heads, rows, features)
        As of `helpers.clip.Model.head_weights`.

    Returns
    -------
    Dataset
        ``direction`` (layer, head, rank, feature), float32, of length 1; ``strength`` (layer, head,
        rank), the share of the sum of squares of what is written; and ``dimensions``, how many a
        head can write. Layers count from 0 here.
    """
    _, sizes, directions = np.linalg.svd(weights.astype(np.float64), full_matrices=False)
    strength = np.square(sizes) / np.square(sizes).sum(axis=-1, keepdims=True)
    axes = ("layer", "head", "rank")
    return xr.Dataset(
        {
            "direction": ((*axes, "feature"), directions[:, :, :DIRECTIONS].astype(np.float32)),
            "strength": (axes, strength[:, :, :DIRECTIONS]),
            "dimensions": sizes.shape[-1],
        },
        {
            name: np.arange(size)
            for name, size in zip(axes, sizes[:, :, :DIRECTIONS].shape, strict=True)
        },
    )


def variance_within(heads: xr.DataArray, weights: xr.Dataset) -> pd.DataFrame:
    """Say what share of each head's variance over images lies in directions of weights.

    Parameters
    ----------
    heads : DataArray, (image, layer, head, feature)
        Contributions.
    weights : Dataset
        As of `leading_directions`, of the same heads.

    Returns
    -------
    DataFrame
        A row per head, by its name: in its `own` directions, in the `others`' (mean over all other
        heads), and what as many directions would hold if it varied `even` over all that it can
        write. NaN for a head that doesn't vary, and for others where there is one head.
    """
    values = heads.transpose("layer", "head", "image", "feature").values.astype(np.float64)
    values = (values - values.mean(axis=2, keepdims=True)).reshape(-1, *values.shape[2:])
    every = weights["direction"].transpose("layer", "head", "rank", "feature").values
    every = every.reshape(-1, *every.shape[2:])
    whole = np.square(values).sum(axis=(1, 2))
    held = np.array([np.square(values @ rows.T).sum(axis=(1, 2)) for rows in every]).T  # head × of
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = held / whole[:, None]
        own, count = shares.diagonal(), len(shares)
        others = (shares.sum(axis=1) - own) / (count - 1)
    even = np.where(whole > 0, every.shape[1] / int(weights["dimensions"]), np.nan)
    names = [
        head_name(layer, head) for layer in heads["layer"].values for head in heads["head"].values
    ]
    return pd.DataFrame({OWN: own, OTHERS: others, EVEN: even}, index=names)


def mean_shares(shares: pd.DataFrame) -> pd.DataFrame:
    """Average `variance_within` over heads, with 95 % intervals, and own less others' beside it."""
    known = shares.dropna(subset=[OWN]).assign(beyond=shares[OWN] - shares[OTHERS])
    if known.empty:
        return pd.DataFrame(np.nan, known.columns, ["mean", "low", "high"])
    return mean_with_interval(known)[["mean", "low", "high"]]


def in_texts(directions: xr.DataArray, texts: xr.DataArray) -> xr.DataArray:
    """Write directions, and their opposites, as sparse non-negative sums of texts.

    Parameters
    ----------
    directions : DataArray, (layer, head, rank, feature)
    texts : DataArray, (text, feature)
        With the coordinate ``property``.

    Returns
    -------
    DataArray, (layer, head, rank, pole, text)
        Weights. A direction has no sign of its own: ``towards`` is the pole with the larger weight.
    """
    ordered = directions.transpose("layer", "head", "rank", "feature")
    both = np.stack([sign * ordered.values for sign in POLES.values()], axis=3)
    coefficients = sparse_texts(both.reshape(-1, both.shape[-1]), texts)
    coefficients = coefficients.reshape(*both.shape[:-1], -1)
    largest = coefficients.max(axis=-1, keepdims=True)
    swapped = largest[..., 1:, :] > largest[..., :1, :]
    coefficients = np.where(swapped, coefficients[..., ::-1, :], coefficients)
    coords = {name: ordered[name].values for name in ("layer", "head", "rank")}
    coords |= {"pole": list(POLES), "text": texts["text"].values}
    coords["property"] = ("text", texts["property"].values)
    return xr.DataArray(coefficients, coords, ("layer", "head", "rank", "pole", "text"))


def properties_written(weights: xr.DataArray, strength: xr.DataArray) -> xr.DataArray:
    """Name each head with the property whose texts make up most of its directions.

    Parameters
    ----------
    weights : DataArray, (layer, head, rank, pole, text)
        As of `in_texts`.
    strength : DataArray, (layer, head, rank)

    Returns
    -------
    DataArray, (layer, head)
        "" where no text goes with any direction.
    """
    squares = (np.square(weights).sum("pole") * strength).sum("rank")
    by_property = squares.groupby("property").sum().rename(property="attribute")
    by_property = by_property.where(by_property.sum("attribute") > 0)
    known = by_property.sel(attribute=by_property["attribute"] != UNKNOWN)
    return strongest(known)


def first_texts(weights: xr.DataArray) -> pd.DataFrame:
    """Name the text that makes up most of each head's leading direction, at both poles."""
    leading = weights.isel(rank=0).transpose("layer", "head", "pole", "text")
    texts = leading["text"].values[ties.first_largest(leading.values)]
    texts = np.where(leading.max("text") > 0, texts, "").reshape(-1, len(POLES))
    names = [
        head_name(layer, head)
        for layer in leading["layer"].values
        for head in leading["head"].values
    ]
    return pd.DataFrame(texts, names, list(POLES))


# Misled probes


@dataclass(frozen=True)
class ProbeTask:
    """A probe's images."""

    embeddings: np.ndarray  # (images, features)
    heads: np.ndarray  # (images, heads, features): what heads add to them
    label: np.ndarray  # (images,): the class to learn, and the attribute that may go with it
    group: np.ndarray
    # (images,): which of them the probe is fitted on; it is asked about the others
    learning: np.ndarray


def between_groups(heads: np.ndarray, label: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Say how much heads vary with an attribute among images of one class."""
    result = []
    for name in np.unique(label):
        members, values = heads[label == name], group[label == name]
        means = {value: members[values == value].mean(axis=0) for value in np.unique(values)}
        weights = np.array([(values == value).mean() for value in means])[:, None, None]
        centred = np.stack(list(means.values())) - members.mean(axis=0)
        result.append((weights * centred**2).sum(axis=(0, 2)))
    return np.mean(result, axis=0)


def answered_without(task: ProbeTask, order: Sequence[int]) -> np.ndarray:
    """Fit the probe with more and more heads ablated, and ask it.

    Parameters
    ----------
    task : ProbeTask
    order : sequence of int
        Positions of heads, in the order in which they are ablated.

    Returns
    -------
    ndarray of bool, (numbers of heads, images asked)
        Whether it is right, for each of `ABLATED` that there are as many heads for.
    """
    varying = task.heads - task.heads[task.learning].mean(axis=0)
    rows = []
    for count in (number for number in ABLATED if number <= len(order)):
        left = task.embeddings - varying[:, list(order[:count])].sum(axis=1)
        spread = left[task.learning].std(axis=0)
        left = (left - left[task.learning].mean(axis=0)) / np.where(spread > 0, spread, 1)
        probe = RidgeClassifier(PENALTY).fit(left[task.learning], task.label[task.learning])
        asked = ~task.learning
        rows.append(probe.predict(left[asked]) == task.label[asked])
    return np.stack(rows)


def worst_group(
    right: np.ndarray, label: np.ndarray, group: np.ndarray, *, seed: int = 0
) -> pd.DataFrame:
    """Return the accuracy of the worst group, with its interval over images."""
    names = pd.factorize(pd.MultiIndex.from_arrays([label, group]))[0]
    by_group = [right[:, names == name].astype(float) for name in np.unique(names)]
    means = np.stack([answers.mean(axis=1) for answers in by_group])
    resampled = np.stack(
        [
            answers @ resample_counts(answers.shape[1], 500, seed + n).T / answers.shape[1]
            for n, answers in enumerate(by_group)
        ]
    ).min(axis=0)
    low, high = np.quantile(resampled, TAILS, axis=1)
    table = {"mean": means.min(axis=0), "low": low, "high": high, "all": means.mean(axis=0)}
    return pd.DataFrame(table, index=pd.Index(ABLATED[: len(right)], name="heads"))


def worst_group_curves(task: xr.Dataset, *, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Return the worst group against the number of heads ablated, order by order.

    Parameters
    ----------
    task : Dataset
        As of `helpers.runs.derived.repair.spurious_task`.
    seed : int
        Of the resamples.

    Returns
    -------
    dict of str to DataFrame
        Order → as of `worst_group`.
    """
    sides = (task["label"].values, task["group"].values)
    return {
        name: worst_group(task["right"].sel(order=name).values, *sides, seed=seed)
        for name in task["order"].values
    }


def not_misled(task: xr.Dataset) -> float | None:
    """Return the worst group of a probe that learnt on scenes in which nothing goes together."""
    if "even" not in task:
        return None
    accuracy = worst_group(task["even"].values[None], task["label"].values, task["group"].values)
    return float(accuracy["mean"].iloc[0])


def judged_ablation(curves: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Say what ablating `FIXED` heads changes, beside as many random ones.

    Parameters
    ----------
    curves : mapping of str to DataFrame
        As of `worst_group_curves`, with `AT_RANDOM`.

    Returns
    -------
    DataFrame
        A row per order: `plain`, the worst group without ablation, `mean`, `low`, `high` and `all`
        with it; `helps`: its interval lies above `plain` and above that of random heads.
    """
    rows = {}
    for name, curve in curves.items():
        at = curve.loc[min(FIXED, curve.index.max())]
        bar = max(curve.loc[0, "mean"], curves[AT_RANDOM].loc[at.name, "high"])
        helps = name != AT_RANDOM and at["low"] > bar
        rows[name] = {"plain": curve.loc[0, "mean"], **at.to_dict(), "helps": helps}
    return pd.DataFrame.from_dict(rows, orient="index")
