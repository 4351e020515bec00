"""Counts of heads by published label, made comparable between models with few and many heads.

What such counts can say is bounded by what they count: labels that were given in free text, one a
head, and the heads that the authors list for a property. They are no score of a model.
"""

from collections.abc import Sequence
from math import comb

import numpy as np
import pandas as pd
from scipy import stats

from helpers.analysis.statistics import false_discovery_rates, share_with_interval
from helpers.checks import WorkbookError


def shares_by_model(marks: pd.DataFrame) -> pd.DataFrame:
    """Say of each model which share of its heads has each mark.

    Parameters
    ----------
    marks : pandas.DataFrame of bool
        A column per mark, a row per head, indexed by (model, layer, head).

    Returns
    -------
    pandas.DataFrame
        Rows (mark, model), columns of `helpers.analysis.statistics.share_with_interval`.
    """
    rows = {
        (mark, model): share_with_interval(int(own.sum()), len(own))
        for mark in marks
        for model, own in marks[mark].groupby("model", sort=False)
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["mark", "model"])


def rarefied(labels: Sequence[str], heads: int) -> float:
    """Return how many different labels a random choice of the heads has on average.

    Parameters
    ----------
    labels : sequence of str
        Of all heads of a model.
    heads : int
        How many are chosen, without replacement: as many as the smallest model has, so that a
        model isn't more diverse for having more heads (Hurlbert, Ecology 1971).

    Returns
    -------
    float

    Raises
    ------
    WorkbookError
        If there are fewer heads than are to be chosen.
    """
    total = len(labels)
    if not 1 <= heads <= total:
        raise WorkbookError(f"heads has no value {heads}; choose from 1 to {total}, all there are.")
    counts = pd.Series(labels).value_counts()
    return float(sum(1 - comb(total - count, heads) / comb(total, heads) for count in counts))


def compare_sizes(marks: pd.DataFrame, large: Sequence[str]) -> pd.DataFrame:
    """Test for each mark whether the heads of large models have it more or less often.

    Parameters
    ----------
    marks : pandas.DataFrame of bool
        As for `shares_by_model`.
    large : sequence of str
        The large models; the others are the small ones.

    Returns
    -------
    pandas.DataFrame
        A row per mark: `small` and `large`, shares of heads; `p` of Fisher's exact test, two-sided;
        and `q`, the false discovery rate over the marks.
    """
    is_large = marks.index.get_level_values("model").isin(large)
    rows = {name: _compared(marks[name].to_numpy(bool), is_large) for name in marks}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("mark")
    return table.assign(q=false_discovery_rates(table["p"]))


def _compared(mark: np.ndarray, is_large: np.ndarray) -> dict[str, float]:
    table = [
        [int((mark & side).sum()), int((~mark & side).sum())] for side in (~is_large, is_large)
    ]
    small, large = (own[0] / sum(own) for own in table)
    return {"small": small, "large": large, "p": float(stats.fisher_exact(table).pvalue)}
