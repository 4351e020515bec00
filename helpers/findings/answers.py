"""What notebook 09 finds: what a model sees instead, what it costs, and where it arises."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from helpers.analysis.flips import Concepts
from helpers.data.changes import ORIGINAL
from helpers.findings import PERCENT, Answer, Finding, each, estimate, listed, once_or_each
from helpers.findings.seen import ANOTHER, DESCRIPTION, MORE_OFTEN, NOTHING
from helpers.ties import ranked

MOST = 3
"""Changes of each kind that the sentence names, and that have a row of their own."""
NO_GAIN = (ANOTHER, NOTHING)
"""Kinds of changes under which no answer surely becomes more frequent."""
KNOWN = "Does it know what the originals show?"
KNOWN_CLASSES = "Does it know the images' own classes?"
COSTS = "Which change costs most right answers?"
COSTS_CLASSES = "Which change costs most right classes?"
NO_ANSWER = "No answer surely becomes more frequent under any of these changes."


def answer(
    seen: Mapping[str, pd.DataFrame],
    gained: Mapping[str, pd.DataFrame],
    lost: Mapping[str, pd.DataFrame],
    accuracy: Mapping[str, pd.DataFrame],
    concepts: Mapping[str, Concepts],
    depths: Mapping[str, pd.DataFrame] | None = None,
    *,
    classes: tuple[Mapping[str, pd.DataFrame], Mapping[str, pd.DataFrame]] | None = None,
    name: Callable[[str], str] = str,
) -> Answer:
    """Choose the words of notebook 09.

    Parameters
    ----------
    seen : mapping of str to DataFrame
        Source → `helpers.findings.seen.seen_instead`.
    gained : mapping of str to DataFrame
        Source → `helpers.analysis.flips.most_gained`.
    lost : mapping of str to DataFrame
        Source → accuracy lost by change (`helpers.analysis.predictions.over_questions`), NaN where
        no true answer is known.
    accuracy : mapping of str to DataFrame
        Source → accuracy by view (`helpers.analysis.predictions.accuracy`).
    concepts : mapping of str to Concepts
        By source.
    depths : mapping of str to DataFrame, optional
        Source → `helpers.analysis.flips.arises`; None where the model gives no depths.
    classes : tuple of two mappings, optional
        Accuracy and accuracy lost, where images come with classes of their own.
    name : callable
        Writes a change within a sentence.

    Returns
    -------
    Answer
    """
    largest = max(seen, key=lambda source: seen[source]["n"].iloc[0])
    named = _by_kind(seen[largest], gained[largest])
    rows = [_seen_under(change, seen, name) for change in named]
    rows += [_without_gain(seen, name), _originals(accuracy, KNOWN), _accuracy(lost, COSTS, name)]
    if classes is not None:
        before, after = classes
        rows += [_originals(before, KNOWN_CLASSES), _accuracy(after, COSTS_CLASSES, name)]
    rows += [_arising(depths, gained, name)] if depths is not None else []
    rows += [_concepts(concepts), _control(concepts)]
    return Answer(_sentence(seen, largest, named, name), [row for row in rows if row])


def _by_kind(seen: pd.DataFrame, gained: pd.DataFrame) -> list[str]:
    """Choose the changes to name: those with a description, then the strongest of other kinds."""
    order = gained.groupby("augmentation", sort=False)["gain"].max()
    strongest = [*ranked(order).index, *(n for n in seen.index if n not in order.index)]
    of_kind = {
        kind: [n for n in strongest if seen["kind"][n] == kind] for kind in set(seen["kind"])
    }
    several = [of_kind.get(kind, [])[:MOST] for kind in (MORE_OFTEN, ANOTHER)]
    return [*of_kind.get(DESCRIPTION, []), *several[0], *several[1]]


def _sentence(
    seen: Mapping[str, pd.DataFrame], source: str, named: Sequence[str], name: Callable
) -> str:
    rows = seen[source]
    exchanged = [n for n in named if rows["kind"][n] == ANOTHER]
    favoured = [f"under {name(n)} {rows['words'][n]}" for n in named if n not in exchanged]
    of, start = (f" in {source}", f"In {source}, answers") if len(seen) > 1 else ("", "Answers")
    sentences = [f"What the model sees instead{of}: {'; '.join(favoured)}."] if favoured else []
    if exchanged:
        pairs = [f"{name(n)} ({rows['words'][n]})" for n in exchanged]
        sentences.append(f"{start} change, but none surely gains, under {listed(pairs)}.")
    return " ".join(sentences) or NO_ANSWER


def _seen_under(change: str, seen: Mapping[str, pd.DataFrame], name: Callable) -> Finding:
    words = {source: group["words"][change] for source, group in seen.items()}
    counts = {source: group["counts"][change] for source, group in seen.items()}
    return Finding(
        f"What does the model see under {name(change)}?",
        once_or_each(words),
        each(counts),
        "before → after" if "→" in each(counts) else "images with another answer",
    )


def _without_gain(seen: Mapping[str, pd.DataFrame], name: Callable) -> Finding:
    changes = next(iter(seen.values())).index
    still = [n for n in changes if all(group["kind"][n] in NO_GAIN for group in seen.values())]
    return Finding(
        "Under which changes does no answer surely gain?",
        "all" if len(still) == len(changes) else listed([name(change) for change in still]),
        f"{len(still)} of {len(changes)} changes",
        "false discoveries held at 5 % over answers and changes",
    )


def _originals(accuracy: Mapping[str, pd.DataFrame], question: str) -> Finding | None:
    rows = {source: group.loc[ORIGINAL] for source, group in accuracy.items()}
    rows = {source: row for source, row in rows.items() if pd.notna(row["mean"])}
    if not rows:
        return None
    above = {s: "yes" if row["low"] > row["chance"] else "not surely" for s, row in rows.items()}
    return Finding(
        question,
        once_or_each(above),
        f"right {each({source: estimate(row, PERCENT) for source, row in rows.items()})}",
        f"by chance {each({s: '{:.0%}'.format(row['chance']) for s, row in rows.items()})}",
    )


def _accuracy(lost: Mapping[str, pd.DataFrame], question: str, name: Callable) -> Finding | None:
    known = {source: group.dropna(subset="mean") for source, group in lost.items()}
    known = {source: group for source, group in known.items() if len(group)}
    if not known:
        return None
    order = {source: ranked(group["mean"]).index for source, group in known.items()}
    worst = {source: name(places[0]) for source, places in order.items()}
    first = {s: estimate(known[s].loc[places[0]], PERCENT) for s, places in order.items()}
    second = {
        s: f"{name(places[1])} {estimate(known[s].loc[places[1]], PERCENT)}"
        for s, places in order.items()
        if len(places) > 1
    }
    nothing = all(group["mean"].max() <= 0 for group in known.values())
    return Finding(
        question,
        "none" if nothing else once_or_each(worst),
        each(first),
        f"next: {each(second)}" if second else "no other change",
    )


def _arising(
    depths: Mapping[str, pd.DataFrame], gained: Mapping[str, pd.DataFrame], name: Callable
) -> Finding | None:
    """Say where the answer that gains most arises, beside those of other changes."""
    tops = [group.loc[group["gain"].idxmax()] for group in gained.values() if len(group)]
    if not tops:
        return None
    top = max(tops, key=lambda row: row["gain"])["augmentation"]
    of_top = {s: _layers(table[table["augmentation"] == top]) for s, table in depths.items()}
    others = {s: _layers(table[table["augmentation"] != top]) for s, table in depths.items()}
    return Finding(
        f"From which layer on has the answer that gains most under {name(top)} half of its gain?",
        once_or_each(
            {s: "; ".join(row.depth for row in rows) or "none" for s, rows in of_top.items()}
        ),
        each({s: _written(rows) for s, rows in of_top.items()}),
        f"other changes: {each({s: _written(rows) for s, rows in others.items()})}",
    )


def _layers(table: pd.DataFrame) -> list:
    return list(table[table["depth"] != ""].itertuples())


def _written(rows: Sequence) -> str:
    if not rows:
        return "–"
    texts = [f"{r.answer}: from layer {r.depth} on, {r.gain:+.0%} in the end" for r in rows]
    return f"{', '.join(texts)} ({rows[0].images} images)"


def _concepts(concepts: Mapping[str, Concepts]) -> Finding:
    result = {source: group.table[group.table["found"]] for source, group in concepts.items()}
    counts = {
        source: f"{len(group)} of {len(concepts[source].table)}" for source, group in result.items()
    }
    null = {
        s: f"{int(group.null['found'].sum())} of {len(group.null)}" for s, group in concepts.items()
    }
    return Finding(
        "Do changes add or take concepts?",
        "yes" if any(map(len, result.values())) else "none surely",
        each(counts),
        f"random exchanges of images: {each(null)}",
    )


def _control(concepts: Mapping[str, Concepts]) -> Finding | None:
    positive = {source: group.positive for source, group in concepts.items() if len(group.positive)}
    if not positive:
        return None
    result = {s: f"{int(group['found'].sum())} of {len(group)}" for s, group in positive.items()}
    first = {s: f"{int(group['first'].sum())} of {len(group)}" for s, group in positive.items()}
    sure = {s: "yes" if group["found"].mean() > 0.5 else "no" for s, group in positive.items()}
    return Finding(
        "Would the test find a concept that was put in?",
        once_or_each(sure),
        f"found in images exchanged for others that have it: {each(result)}",
        f"gained most of all: {each(first)}",
    )
