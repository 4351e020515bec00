"""What a model sees instead of an image, in a few words."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from helpers.analysis.flips import before_after, changed, gains, most_gained
from helpers.data.changes import ORIGINAL
from helpers.findings import listed

NAMED = 4
"""Answers that are named at most where no description fits nearly all images."""
NEARLY_ALL = 0.8
CHANCE = 0.05
MOST_IN_A_DESCRIPTION = 5
NOTHING_SURE = "nothing else for sure"
DESCRIPTION, MORE_OFTEN, ANOTHER, NOTHING = KINDS = (
    "description",
    "more often",
    "another",
    "nothing",
)
ADJECTIVES = ("size", "fill", "colour")
OF_A_SCENE = (*ADJECTIVES, "shape", "background", "count", "medium", "position")


def seen_instead(answers: xr.DataArray) -> pd.DataFrame:
    """Say in a few words what the model sees under each change.

    Parameters
    ----------
    answers : DataArray of str, (image, view, property)
        As of `answered`, of one source, with the view ``original``.

    Returns
    -------
    DataFrame, indexed by augmentation
        `kind`, the number of images `n`, and `words` and `counts` to read. The first that holds:

        - "a large dotted star on a plain background": answers that surely gain, and that at least
          `NEARLY_ALL` images give. "0 → 96 of 100" counts those that the whole description fits.
        - "more often square or black": the k answers that gain most. "15 → 51, 11 → 31 of 100".
        - "another position": no answer gains, and surely most images get another one: "79 of 100"
          (binomial test, p times the number of questions).
        - "nothing else for sure".

        `kind` is one of `KINDS`.
    """
    table = before_after(answers)
    gained, other = most_gained(gains(table), len(table)), changed(table)
    rows = {
        name: _in_words(answers, gained[gained["augmentation"] == name], other.loc[name])
        for name in other.index
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("augmentation")


def described(values: dict[str, str]) -> str:
    """Make one description of answers to several questions."""
    adjectives = [values[name] for name in ADJECTIVES if name in values]
    covered = {"background"}
    phrase = ""
    if adjectives or "shape" in values:
        phrase = _counted(adjectives, values.get("shape", "object"), values.get("count"))
        covered |= {*ADJECTIVES, "shape", "count"}
    if "background" in values:
        background = f"on {_with_article(values['background'] + ' background')}"
        phrase = f"{phrase or 'something'} {background}"
    others = [value for name, value in values.items() if name not in covered]
    return ", ".join([phrase] * bool(phrase) + others)


def _counted(adjectives: Sequence[str], shape: str, count: str | None) -> str:
    if count in (None, "one"):
        thing = " ".join([*adjectives, shape])
        return f"one {thing}" if count else _with_article(thing)
    plural = shape + ("es" if shape.endswith("s") else "s")
    return " ".join([count, *adjectives, plural])


def _in_words(answers: xr.DataArray, gained: pd.DataFrame, other: pd.Series) -> dict:
    n = answers.sizes["image"]
    frequent = gained[gained["after"] >= NEARLY_ALL * n].head(MOST_IN_A_DESCRIPTION)
    first = gained.head(NAMED)
    most = other.index[other.to_numpy().argmax()]
    if len(frequent):
        values = dict(zip(frequent["property"], frequent["answer"], strict=True))
        before, after = (
            _fitting(answers.sel(view=view), values) for view in (ORIGINAL, other.name)
        )
        kind, words, counts = DESCRIPTION, described(values), f"{before} → {after} of {n}"
    elif len(first):
        counts = ", ".join(f"{row.before} → {row.after}" for row in first.itertuples())
        words = f"more often {listed(first['answer'].tolist(), 'or')}"
        kind, counts = MORE_OFTEN, f"{counts} of {n}"
    elif stats.binom.sf(other[most] - 1, n, 0.5) * len(other) <= CHANCE:
        words = f"another {most}" if most in OF_A_SCENE else f"other answers about {most}"
        kind, counts = ANOTHER, f"{other[most]} of {n}"
    else:
        kind, words, counts = NOTHING, NOTHING_SURE, "–"
    return {"kind": kind, "words": words, "counts": counts, "n": n}


def _fitting(answers: xr.DataArray, values: dict[str, str]) -> int:
    """Count the images that give all of these answers."""
    each = [answers.sel(property=name).values == value for name, value in values.items()]
    return int(np.logical_and.reduce(each).sum())


def _with_article(words: str) -> str:
    return f"{'an' if words[0].lower() in 'aeiou' else 'a'} {words}" if words else ""
