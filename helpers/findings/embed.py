"""What notebook 02 finds: how far, and where, changes move embeddings."""

from collections.abc import Callable, Mapping

import pandas as pd

from helpers.analysis.shifts import ANOTHER_IMAGE, PARTS, collapses
from helpers.data.changes import ORIGINAL
from helpers.findings import (
    NOTHING_MOVED,
    Answer,
    Finding,
    capital,
    each,
    estimate,
    interval,
    listed,
    once_or_each,
    verb,
)
from helpers.ties import ranked

TOLERANCE = 1e-6
HALF = 0.4
"""An interval around a half that is wider than this says nothing."""


def answer(
    similarity: Mapping[str, pd.DataFrame],
    energy: Mapping[str, pd.DataFrame],
    *,
    name: Callable[[str], str] = str,
) -> Answer:
    """Choose the words of notebook 02.

    Parameters
    ----------
    similarity : mapping of str to DataFrame
        Source → mean cosine similarity of original and changed image, by change
        (`helpers.analysis.statistics.mean_with_interval`).
    energy : mapping of str to DataFrame
        Source → `helpers.analysis.shifts.energy`.
    name : callable
        Writes a change within a sentence.

    Returns
    -------
    Answer
    """
    if all((group["mean"] > 1 - TOLERANCE).all() for group in similarity.values()):
        return Answer(NOTHING_MOVED, [])
    order = {
        source: ranked(group["mean"], ascending=True).index for source, group in similarity.items()
    }
    rows = [
        _distance("Which change moves images furthest?", similarity, order, 0, energy, name),
        _distance("Which moves them least?", similarity, order, -1, energy, name),
    ]
    if any(group["mean"].notna().any() for group in energy.values()):
        furthest = {source: places[0] for source, places in order.items()}
        rows += [_collapse(energy, name), *_after(energy, furthest, name), _others(energy, name)]
    return Answer(_sentence(energy, order, name), rows)


def _sentence(energy: Mapping, order: Mapping[str, pd.Index], name: Callable) -> str:
    furthest = list(dict.fromkeys(name(places[0]) for places in order.values()))
    first = f"{capital(listed(furthest))} {verb(furthest, 'move')} images furthest"
    shares = [group["mean"].unstack() for group in energy.values() if group["mean"].notna().any()]
    if not shares:
        return f"{first}; where to takes more than two images to say."
    collapsed = _collapsed(energy)
    if collapsed:
        makes = f"{capital(listed([name(n) for n in collapsed]))} {verb(collapsed, 'make')}"
        first = f"{makes} all images collapse: they end close together."
    else:
        first = f"{first}, and no change makes them collapse."
    rest = pd.concat([group["rest"].drop([ORIGINAL, *collapsed]) for group in shares])
    if rest.empty or not (rest.dropna() > 0.5).all():
        return first
    others = "All other changes move" if collapsed else "All changes move"
    return f"{first} {others} each image mostly in its own way."


def _distance(
    question: str,
    similarity: Mapping[str, pd.DataFrame],
    order: Mapping[str, pd.Index],
    place: int,
    energy: Mapping[str, pd.DataFrame],
    name: Callable,
) -> Finding:
    rows = {source: group.loc[order[source][place]] for source, group in similarity.items()}
    between = {s: interval(*group.loc[(ORIGINAL, "cosine")]) for s, group in energy.items()}
    return Finding(
        question,
        once_or_each({source: name(order[source][place]) for source in similarity}),
        f"cosine to the original {each({s: estimate(row) for s, row in rows.items()})}",
        f"two different images {each(between)}",
    )


def _collapse(energy: Mapping[str, pd.DataFrame], name: Callable) -> Finding:
    together = {source: _most(group, "together") for source, group in energy.items()}
    changes = {source: name(change) for source, (change, _) in together.items()}
    shares = {s: f"{changes[s]} {estimate(row)}" for s, (_, row) in together.items()}
    return Finding(
        "Which changes make images collapse?",
        listed([name(change) for change in _collapsed(energy)]),
        f"most translation and contraction: {each(shares)}",
        f"every image exchanged for another one: {ANOTHER_IMAGE}",
    )


def _after(
    energy: Mapping[str, pd.DataFrame], furthest: Mapping[str, str], name: Callable
) -> list[Finding]:
    left = {s: group.loc[(furthest[s], "variance_left")] for s, group in energy.items()}
    cosine = {s: group.loc[(furthest[s], "cosine")] for s, group in energy.items()}
    before = {s: interval(*group.loc[(ORIGINAL, "cosine")]) for s, group in energy.items()}
    rest = {s: _least_left(group, furthest[s], name) for s, group in energy.items()}
    changes = once_or_each({source: name(change) for source, change in furthest.items()})
    lost = {source: _how_much(row) for source, row in left.items()}
    nearer = {
        s: "yes" if row["low"] > energy[s].loc[(ORIGINAL, "cosine"), "high"] else "not surely"
        for s, row in cosine.items()
    }
    return [
        Finding(
            f"How much of the variance between images is left after {changes}?",
            once_or_each(lost),
            each({s: estimate(row) for s, row in left.items()}),
            f"least after another change: {each(rest)}",
        ),
        Finding(
            f"Are different images more alike after {changes}?",
            once_or_each(nearer),
            f"cosine between them {each({s: estimate(row) for s, row in cosine.items()})}",
            f"before: {each(before)}",
        ),
    ]


def _how_much(left: pd.Series) -> str:
    if left["high"] < 0.5:
        return "most is lost"
    if left["low"] > 0.5:
        return "most is left"
    return "about half" if left["high"] - left["low"] < HALF else "too few images to say"


def _least_left(table: pd.DataFrame, furthest: str, name: Callable) -> str:
    left = table.xs("variance_left", level="measure").drop(furthest)
    if left["mean"].isna().all():
        return "–"
    change = ranked(left["mean"].dropna(), ascending=True).index[0]
    return f"{name(change)} {estimate(left.loc[change])}"


def _others(energy: Mapping[str, pd.DataFrame], name: Callable) -> Finding:
    """Say where the rest is the largest part."""
    tables = {
        source: group["mean"].unstack()[[*PARTS]].dropna() for source, group in energy.items()
    }
    counts = {
        s: f"{int((group['rest'] > 0.5).sum())} of {len(group)}" for s, group in tables.items()
    }
    moves = {s: _most(group, "translation", _collapsed(energy)) for s, group in energy.items()}
    largest = {s: f"{name(n)} {estimate(row)}" for s, (n, row) in moves.items() if n}
    most = {s: (group["rest"] > 0.5).mean() > 0.5 for s, group in tables.items()}
    return Finding(
        "Do changes move images in a direction in common?",
        once_or_each({s: "mostly not" if group else "yes" for s, group in most.items()}),
        f"the rest is over half of the energy for {each(counts)} changes",
        f"largest translation without a collapse: {each(largest) if largest else '–'}",
    )


def _most(table: pd.DataFrame, measure: str, without: list[str] = ()) -> tuple:
    rows = table.xs(measure, level="measure").dropna(subset="mean")
    rows = rows.drop([change for change in without if change in rows.index])
    if rows.empty:
        return "", None
    change = ranked(rows["mean"]).index[0]
    return change, rows.loc[change]


def _collapsed(energy: Mapping[str, pd.DataFrame]) -> list[str]:
    """List the changes that collapse every source."""
    result = pd.DataFrame({source: collapses(group) for source, group in energy.items()}).all(
        axis=1
    )
    return list(result.index[result])
