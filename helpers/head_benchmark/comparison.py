"""Methods that say which heads matter to a property, held against what is known of them.

A method gives every head a score for every property; a truth, from a test of its own, says how much
each head matters. Both are compared head by head: do they put heads in one order, and is the head
that the method puts first the one that matters most?
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from helpers.analysis.statistics import (
    bias_corrected,
    false_discovery_rates,
    resample_counts,
    share_with_interval,
)
from helpers.checks import WorkbookError

RESAMPLES = 500
SHUFFLES = 2000

LEVEL = 0.95
FEW = 3


def agreement(
    methods: Mapping[str, xr.DataArray], truth: xr.DataArray, *, seed: int = 0
) -> pd.DataFrame:
    """Hold methods against a truth that was measured pair by pair.

    Parameters
    ----------
    methods : mapping of str to DataArray, (property, head)
        Method → its scores; the higher, the more a head matters. A property that a method can say
        nothing of is NaN.
    truth : DataArray, (pair, property, head)
        How much each head matters, by pair of images.
    seed : int
        Of the bootstrap over pairs and of the shuffles of heads.

    Returns
    -------
    DataFrame
        A row per method: `correlation`, Spearman's over heads, mean over the method's properties,
        with the 95 % interval `low` to `high` over pairs (bias-corrected: noise in a truth lowers
        every correlation with it); `chance`, what 95 % of shuffles of heads stay below; `q`, the
        false discovery rate over the methods; `first`, for how many of its `properties` its first
        head is the truth's; and `few`, the mean share of its first `FEW` heads that are among the
        truth's.

    Raises
    ------
    WorkbookError
        If heads or properties differ.
    """
    rng = np.random.default_rng(seed)
    counts = resample_counts(truth.sizes["pair"], RESAMPLES, seed) / truth.sizes["pair"]
    by_pair = truth.transpose("pair", "property", "head")
    resampled = np.tensordot(counts, by_pair.values, axes=1)
    rows = {
        name: _compared(_matched(scores, by_pair), by_pair.values.mean(0), resampled, rng)
        for name, scores in methods.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")
    table.insert(4, "q", false_discovery_rates(table.pop("p")))
    return table


def _compared(
    scores: np.ndarray, truth: np.ndarray, resampled: np.ndarray, rng: np.random.Generator
) -> dict[str, float]:
    known = np.isfinite(scores).all(axis=1)
    scores, truth, resampled = scores[known], truth[known], resampled[:, known]
    ranks = _standardised(scores)
    result = _correlation(ranks, truth)
    low, high = bias_corrected([_correlation(ranks, each) for each in resampled], result)
    true = _standardised(truth)
    shuffled = np.array(
        [(rng.permuted(ranks, axis=1) * true).sum(axis=1).mean() for _ in range(SHUFFLES)]
    )
    top, best = ((-side).argsort(axis=1, kind="stable")[:, :FEW] for side in (scores, truth))
    return {
        "correlation": result,
        "low": low,
        "high": high,
        "chance": np.quantile(shuffled, LEVEL),
        "p": (1 + (shuffled >= result - 1e-12).sum()) / (1 + SHUFFLES),
        "first": int((top[:, 0] == best[:, 0]).sum()),
        "few": np.mean([len(np.intersect1d(*pair)) / FEW for pair in zip(top, best, strict=True)]),
        "properties": int(known.sum()),
    }


def planted_ranks(methods: Mapping[str, xr.DataArray], name: str, head: str) -> dict[str, float]:
    """Say at which place methods put a head that was made to carry a property."""
    places = {}
    for method, scores in methods.items():
        asked = scores.sel(property=name)
        known = bool(np.isfinite(asked).all())
        places[method] = 1 + float((asked > asked.sel(head=head)).sum()) if known else np.nan
    return places


def planted_hits(ranks: pd.DataFrame, heads: int) -> pd.DataFrame:
    """Summarise where methods put planted heads.

    Parameters
    ----------
    ranks : DataFrame, (plants, methods)
        Rows of `planted_ranks`.
    heads : int
        Number of heads that a method chooses among.

    Returns
    -------
    DataFrame
        A row per method: `plants` that it says something of, `first`, how many of them it puts
        first, `rate` with Wilson's 95 % interval `low` to `high`, the `median` place, and the
        `chance` of a hit.
    """
    known = ranks.notna().sum()
    first = (ranks == 1).sum()
    pairs = zip(first, known.clip(lower=1), strict=True)
    limits = pd.DataFrame([share_with_interval(*pair) for pair in pairs], known.index)
    return pd.DataFrame(
        {
            "plants": known,
            "first": first,
            "rate": first / known,
            "low": limits["low"],
            "high": limits["high"],
            "median": ranks.median(),
            "chance": 1 / heads,
        }
    ).rename_axis("method")


def _matched(scores: xr.DataArray, truth: xr.DataArray) -> np.ndarray:
    for axis in ("property", "head"):
        if list(scores[axis].values) != list(truth[axis].values):
            raise WorkbookError(
                f"The axis {axis} of a method differs from that of the truth; give both"
                " the same, in one order."
            )
    return scores.transpose("property", "head").values


def _standardised(values: np.ndarray) -> np.ndarray:
    """Rank each row, centred and of length 1; a row of ties is all 0."""
    ranks = stats.rankdata(values, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    length = np.linalg.norm(ranks, axis=1, keepdims=True)
    return ranks / np.where(length == 0, 1, length)


def _correlation(ranks: np.ndarray, truth: np.ndarray) -> float:
    return float((ranks * _standardised(truth)).sum(axis=1).mean())
