"""What notebook 11 finds: whether other models respond alike, and what training does."""

from collections.abc import Callable, Mapping

import pandas as pd
import xarray as xr

from helpers.findings import (
    NOTHING_MOVED,
    Answer,
    Finding,
    each,
    estimate,
    in_a_sentence,
    interval,
    listed,
    once_or_each,
)
from helpers.ties import ranked

ALONE = "No other model was compared."
TOO_FEW = "A single image has no other to hold its shifts against."
LATER = "Training moves shifts into later layers"
DEPTH = "{:+.2f}"


def answer(
    moved: Mapping[str, pd.DataFrame],
    orders: Mapping[str, xr.Dataset],
    depths: Mapping[str, pd.DataFrame] | None = None,
    *,
    model: str,
    untrained: str,
    name: Callable[[str], str] = str,
) -> Answer:
    """Choose the words of notebook 11.

    Parameters
    ----------
    moved : mapping of str to DataFrame
        Source → how far changes (rows) move models (columns), in units of the distance between two
        images.
    orders : mapping of str to Dataset
        Source → `helpers.analysis.order.rank_correlations`.
    depths : mapping of str to DataFrame, optional
        Source → `helpers.analysis.dissection.later_than_untrained`.
    model, untrained : str
        Titles of the run's model and of the untrained network.
    name : callable
        Writes a change within a sentence.

    Returns
    -------
    Answer
    """
    if all(table.isna().all(axis=None) for table in moved.values()):
        return Answer(TOO_FEW, [])
    if not any((table > 0).any(axis=None) for table in moved.values()):
        return Answer(NOTHING_MOVED, [])
    others = [title for title in next(iter(moved.values())) if title != model]
    if not others:
        return Answer(ALONE, [])
    rows = [_furthest(moved, name), _alike(orders, model, others, untrained)]
    sentence = f"{_in_order(orders, model, others, untrained)}"
    if depths:
        rows += [_later(depths), _beyond(depths)]
        sentence += f" {_of_depth(depths)}"
    return Answer(sentence, [row for row in rows if row])


def _in_order(
    orders: Mapping[str, xr.Dataset], model: str, others: list[str], untrained: str
) -> str:
    trained = [title for title in others if title != untrained]
    if not trained:
        return "No other trained model was compared."
    surely = [bool(_low(table, model, title) > 0) for table in orders.values() for title in trained]
    if not any(surely):
        return "No other trained model surely puts the changes in this one's order."
    start = "Trained models put the changes in a similar order"
    if not all(surely):
        start = "Some of the other trained models surely share this one's order of the changes"
    if untrained not in others:
        return f"{start}."
    beside = in_a_sentence(_untrained_beside(orders, model, trained, untrained))
    return f"{start}; the untrained network agrees with it {beside}."


def _untrained_beside(
    orders: Mapping[str, xr.Dataset], model: str, trained: list[str], untrained: str
) -> dict[str, str]:
    """Say whether the untrained network's interval reaches the least that trained models do."""
    words = {}
    for source, table in orders.items():
        least = table["estimate"].sel(score=model, other=trained).min()
        reaches = table["high"].sel(score=model, other=untrained) >= least
        words[source] = "about as well" if reaches else "less well"
    return words


def _low(table: xr.Dataset, model: str, other: str) -> float:
    return float(table["low"].sel(score=model, other=other))


def _of_depth(depths: Mapping[str, pd.DataFrame]) -> str:
    later = all(table.loc["shift", "low"] > 0 for table in depths.values())
    beyond = [source for source, table in depths.items() if table.loc["beyond", "low"] > 0]
    if not later:
        return "Training does not surely move shifts into later layers."
    if len(beyond) == len(depths):
        return f"{LATER}, further than it moves any difference between images."
    less = f", if less far on {listed(beyond)}" if beyond else ""
    return f"{LATER}, and any difference between two images as well{less}."


def _furthest(moved: Mapping[str, pd.DataFrame], name: Callable) -> Finding:
    first = {
        source: pd.Series({title: ranked(table[title]).index[0] for title in table})
        for source, table in moved.items()
    }
    most = {source: names.mode().iloc[0] for source, names in first.items()}
    counts = {s: f"{(names == most[s]).sum()} of {len(names)} models" for s, names in first.items()}
    others = {s: names[names != most[s]].map(name).unique() for s, names in first.items()}
    others = {source: ", ".join(names) for source, names in others.items() if len(names)}
    return Finding(
        "Which change moves most models furthest?",
        once_or_each({source: name(change) for source, change in most.items()}),
        each(counts),
        f"in the others: {each(others)}" if others else "it is so in all of them",
    )


def _alike(
    orders: Mapping[str, xr.Dataset], model: str, others: list[str], untrained: str
) -> Finding:
    trained = [title for title in others if title != untrained]
    surely = {s: sum(_low(t, model, o) > 0 for o in trained) for s, t in orders.items()}
    cells = {
        s: ", ".join(f"{float(t['estimate'].sel(score=model, other=o)):.2f}" for o in trained)
        or "–"
        for s, t in orders.items()
    }
    bare = {s: _estimate(t, model, untrained) for s, t in orders.items()}
    every = all(count == len(trained) for count in surely.values())
    words = "yes" if every else "some" if any(surely.values()) else "not surely"
    if trained and untrained in others:
        beside = _untrained_beside(orders, model, trained, untrained)
        words += f"; the untrained network {in_a_sentence(beside)}"
    return Finding(
        "Do trained models put the changes in this one's order?",
        words if trained else "there is none",
        f"rank correlation {each(cells)}",
        f"untrained {each(bare)}",
    )


def _estimate(table: xr.Dataset, model: str, other: str) -> str:
    if other not in table["other"].values or other == model:
        return "–"
    cell = table.sel(score=model, other=other)
    return interval(*(float(cell[name]) for name in ("estimate", "low", "high")))


def _later(depths: Mapping[str, pd.DataFrame]) -> Finding:
    surely = [table.loc["shift", "low"] > 0 for table in depths.values()]
    return Finding(
        "Does training move shifts into later layers?",
        "yes" if all(surely) else "in part" if any(surely) else "not surely",
        f"part of the depth {each({s: _row(t, 'shift') for s, t in depths.items()})}",
        f"two different images {each({s: _row(t, 'ordinary') for s, t in depths.items()})}",
    )


def _beyond(depths: Mapping[str, pd.DataFrame]) -> Finding:
    words = {
        source: "more" if row["low"] > 0 else "less" if row["high"] < 0 else "no more"
        for source, row in ((source, table.loc["beyond"]) for source, table in depths.items())
    }
    return Finding(
        "More than it moves any difference between images?",
        once_or_each(words),
        each({s: _row(t, "beyond") for s, t in depths.items()}),
        "0 where both move alike",
    )


def _row(table: pd.DataFrame, name: str) -> str:
    return estimate(table.loc[name], DEPTH)
