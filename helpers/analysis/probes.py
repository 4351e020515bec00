"""What heads are about where the truth is known: attributes of drawn scenes.

Two questions that are easily confused. *Is an attribute readable from a head?* A linear classifier
answers that; much is readable from heads that hardly vary with it, since a trace is enough. *Is a
head's variance due to an attribute?* The share of the variance that lies between the attribute's
values answers that, and it is the question that TEXTSPAN puts to texts.
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
from helpers.analysis.head_names import on_grid
from helpers.analysis.neighbours import to_unit_embeddings
from helpers.checks import WorkbookError

FOLDS = 4
"""Of the cross-validation."""

SHUFFLES = 10_000

Attributes = Mapping[str, Sequence[str]]


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
