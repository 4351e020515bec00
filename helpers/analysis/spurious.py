"""A probe that learns the wrong thing, and heads that are taken away from it.

A linear probe learns classes on images in which another attribute goes with the class, and is asked
about images in which it doesn't. The *worst group* is the pair of class and attribute that it gets
wrong most. Heads that carry the attribute are mean-ablated before the probe is fitted: their direct
contribution to embeddings becomes its mean. Source: Gandelsman, Efros and Steinhardt, ICLR 2024
(arXiv 2310.05916), section 4, who ablate before zero-shot answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.linear_model import RidgeClassifier

from helpers.analysis.statistics import TAILS, resample_counts

ABLATED = (0, 1, 2, 3, 4, 6, 8, 12)
"""How many heads are ablated, one number after the other."""

AT_RANDOM = "random"
FIXED = 4
"""Heads whose ablation is judged: chosen beforehand, as the best of a curve would flatter it."""

PENALTY = 1.0


@dataclass(frozen=True)
class Task:
    """A probe's images."""

    embeddings: np.ndarray  # (images, features)
    heads: np.ndarray  # (images, heads, features): what heads add to them
    label: np.ndarray  # (images,): the class to learn, and the attribute that may go with it
    group: np.ndarray
    # (images,): which of them the probe is fitted on; it is asked about the others
    learning: np.ndarray


def between_groups(heads: np.ndarray, label: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Say how much heads vary with an attribute among images of one class."""
    found = []
    for name in np.unique(label):
        own, values = heads[label == name], group[label == name]
        means = {value: own[values == value].mean(axis=0) for value in np.unique(values)}
        weights = np.array([(values == value).mean() for value in means])[:, None, None]
        centred = np.stack(list(means.values())) - own.mean(axis=0)
        found.append((weights * centred**2).sum(axis=(0, 2)))
    return np.mean(found, axis=0)


def answered(task: Task, order: Sequence[int]) -> np.ndarray:
    """Fit the probe with more and more heads ablated, and ask it.

    Parameters
    ----------
    task : Task
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
    by_group = [right[:, names == own].astype(float) for own in np.unique(names)]
    means = np.stack([own.mean(axis=1) for own in by_group])
    resampled = np.stack(
        [
            own @ resample_counts(own.shape[1], 500, seed + n).T / own.shape[1]
            for n, own in enumerate(by_group)
        ]
    ).min(axis=0)
    low, high = np.quantile(resampled, TAILS, axis=1)
    table = {"mean": means.min(axis=0), "low": low, "high": high, "all": means.mean(axis=0)}
    return pd.DataFrame(table, index=pd.Index(ABLATED[: len(right)], name="heads"))


def curves(task: xr.Dataset, *, seed: int = 0) -> dict[str, pd.DataFrame]:
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
    own = worst_group(task["even"].values[None], task["label"].values, task["group"].values)
    return float(own["mean"].iloc[0])


def judged(curves: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Say what ablating `FIXED` heads changes, beside as many random ones.

    Parameters
    ----------
    curves : mapping of str to DataFrame
        As of `curves`, with `AT_RANDOM`.

    Returns
    -------
    DataFrame
        A row per order: `plain`, the worst group without ablation, `mean`, `low`, `high` and `all`
        with it; `helps`: its interval lies above `plain` and above that of random heads.
    """
    rows = {}
    for name, own in curves.items():
        at = own.loc[min(FIXED, own.index.max())]
        bar = max(own.loc[0, "mean"], curves[AT_RANDOM].loc[at.name, "high"])
        helps = name != AT_RANDOM and at["low"] > bar
        rows[name] = {"plain": own.loc[0, "mean"], **at.to_dict(), "helps": helps}
    return pd.DataFrame.from_dict(rows, orient="index")
