"""Means with intervals as compact tables: a number has the digits that its interval allows."""

import math

import pandas as pd

from helpers.figures import style

MOST_DECIMALS = 4
UNKNOWN = "–"


def score_table(summary: pd.DataFrame) -> dict[str, object]:
    """Lay out scores for the template ``scores.html.j2``."""
    everywhere = _count(summary["n"])
    same = summary["n"].nunique() == 1
    return {
        "caption": f"Mean over {everywhere} of each source, with its 95 % bootstrap interval."
        if same
        else "Mean over images, with its 95 % bootstrap interval.",
        "columns": [style.label(name) for name in summary["score"].unique()],
        "groups": [
            {
                "title": source if same else f"{source}, {_count(group['n'])}",
                "rows": [
                    {"title": style.label(name), "cells": cells(rows)}
                    for name, rows in group.groupby("augmentation", sort=False)
                ],
            }
            for source, group in summary.groupby("source", sort=False)
        ],
    }


def cells(rows: pd.DataFrame, *, signed: bool = False) -> list[dict[str, str]]:
    """Write means and intervals, ``interval`` empty where there is none; differences are signed."""
    return [
        {"mean": written(row.mean, row.low, row.high, signed), "interval": _interval(row, signed)}
        for row in rows[["mean", "low", "high"]].itertuples()
    ]


def written(value: float, low: float, high: float, signed: bool = False) -> str:
    """Write a number with the digits that the width of its interval allows."""
    if math.isnan(value):
        return UNKNOWN
    rounded = round(value, decimals(low, high)) + 0.0  # a zero has no sign
    sign = "+" if signed and rounded else ""
    return f"{rounded:{sign}.{decimals(low, high)}f}".replace("-", "−")


def decimals(low: float, high: float) -> int:
    """Return how many decimals an interval allows.

    Half its width is written with one digit, or with two where the first is a 1 or a 2, as is usual
    for uncertainties; two decimals where there is no width.
    """
    half = (high - low) / 2
    if math.isnan(half) or half <= 0:
        return 2
    exponent = math.floor(math.log10(half))
    needed = -exponent + (half / 10**exponent < 3)
    return min(max(needed, 0), MOST_DECIMALS)


def _interval(row, signed: bool) -> str:
    if math.isnan(row.low) or math.isnan(row.high):
        return ""
    ends = [written(end, row.low, row.high, signed) for end in (row.low, row.high)]
    return (" to " if row.low < 0 or signed else "–").join(ends)


def _count(n: pd.Series) -> str:
    low, high = int(n.min()), int(n.max())
    return f"{low} images" if low == high else f"{low} to {high} images"
