"""What notebook 10 finds: how much each change takes."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from helpers import ties
from helpers.analysis.severity import overlapping
from helpers.findings import (
    NOTHING_MOVED,
    PERCENT,
    Answer,
    Finding,
    capital,
    each,
    estimate,
    in_a_sentence,
    listed,
    once_or_each,
)

REFERENCE = 1.0
"""The severity that others are held against."""

NO_DOSE = "None of these changes has a dose: every severity does the same."
NONE = "none of them"
OR = " or "
LEVEL = 0.05
"""Pixel change, of full scale, at which changes are held against one another."""
NAMED = 3
"""Of more changes that are not distinguished only the first is named."""

Name = Callable[[str], str]
Tables = Mapping[str, pd.DataFrame]


def answer(
    crossing: Tables,
    equal: Tables,
    lost: Tables | None = None,
    *,
    moved: bool = True,
    name: Name = str,
) -> Answer:
    """Answer how much of each change it takes to move the embedding and to lose right answers.

    Parameters
    ----------
    crossing : mapping of str to DataFrame
        Source → `helpers.analysis.severity.crossings` of embedding similarity.
    equal : mapping of str to DataFrame
        Source → `helpers.analysis.severity.at_equal_change` at the change `LEVEL` alone.
    lost : mapping of str to DataFrame, optional
        Source → `helpers.analysis.severity.dose_response` of accuracy lost; only of sources of
        which something is asked.
    moved : bool
        Whether any view differs from its original.
    name : callable
        Writes a change within a sentence.

    Returns
    -------
    Answer
    """
    if not moved:
        return Answer(NOTHING_MOVED, [])
    dosed = {s: group[group["severity"].notna()] for s, group in crossing.items()}
    if not any(len(group) for group in dosed.values()):
        return Answer(NO_DOSE, [])
    dosed = {s: _by(group, "severity") for s, group in dosed.items() if len(group)}
    findings = [_first(dosed, name), _by_reference(dosed, crossing, name)]
    sentences = [_first_in_a_sentence(dosed, name)]
    if lost:
        early = {s: onsets(lost[s], dosed[s]) for s in lost if s in dosed}
        findings += [_before(early, name), _strongest(lost, name)]
        sentences.append(_before_in_a_sentence(early))
    at_level = {s: _by(_at_level(group), "mean") for s, group in equal.items()}
    at_level = {s: group for s, group in at_level.items() if len(group) > 1}
    if at_level:
        findings.append(_equally(at_level, equal, name))
        furthest = {s: first_of(group, name) for s, group in at_level.items()}
        sentences.append(
            f"The one that moves it furthest for the same change in pixels is {_sure(furthest)}."
        )
    return Answer(" ".join(sentences), findings)


def onsets(lost: pd.DataFrame, crossing: pd.DataFrame) -> pd.DataFrame:
    """Find the severity from which on right answers are surely lost, beside the crossing."""
    low = lost.pivot(index="augmentation", columns="severity", values="low").sort_index(axis=1)
    surely = (low > 0).iloc[:, ::-1].cummin(axis=1).sum(axis=1).astype(int)
    first = np.append(np.inf, low.columns.to_numpy(float)[::-1])
    table = crossing[["answer"]].assign(
        onset=[first[surely[change]] if change in surely else np.inf for change in crossing.index]
    )
    earliest = crossing["low"].fillna(crossing["severity"])
    return table.assign(before=np.isfinite(table["onset"]) & (table["onset"] < earliest))


def _by(table: pd.DataFrame, column: str) -> pd.DataFrame:
    return table.loc[ties.ranked(table[column], ascending=True).index]


def _at_level(equal: pd.DataFrame) -> pd.DataFrame:
    return equal[equal["change"] == LEVEL].set_index("augmentation").dropna(subset="mean")


def first_of(ordered: pd.DataFrame, name: Name) -> str:
    """Name the first row, and those that it is not distinguished from, in alphabetical order."""
    first = ordered.index[0]
    rivals = overlapping(ordered, [first])
    if len(rivals) >= NAMED:
        return f"{name(first)}{OR}one of {len(rivals)} others"
    return OR.join(sorted(map(name, [first, *rivals])))


def _sure(words: Mapping[str, str]) -> str:
    """Write what is first on every source, those where it is not sure at the end."""
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    sure = [f"{text} on {source}" for source, text in words.items() if OR not in text]
    unsure = [f"not sure on {source} ({text})" for source, text in words.items() if OR in text]
    return "; ".join([*sure, *unsure])


def earliest(dosed: Tables, name: Name) -> dict[str, str]:
    """Name the change that crosses at the lowest severity, or those that may."""
    within = {s: group[group["severity"] < np.inf] for s, group in dosed.items()}
    return {s: first_of(group, name) if len(group) else NONE for s, group in within.items()}


def _first_in_a_sentence(dosed: Tables, name: Name) -> str:
    words = earliest(dosed, name)
    if set(words.values()) == {NONE}:
        return "No change moves the embedding by a tenth at any severity computed here."
    text = _sure(words)
    return f"The change that moves the embedding by a tenth at the lowest severity is {text}."


def _first(dosed: Tables, name: Name) -> Finding:
    return Finding(
        "Which change takes a tenth of the similarity at the lowest severity?",
        once_or_each(earliest(dosed, name)),
        "severity: " + each({s: _end(group, 0, name) for s, group in dosed.items()}),
        "last: " + each({s: _end(group, -1, name) for s, group in dosed.items()}),
    )


def _end(ordered: pd.DataFrame, place: int, name: Name) -> str:
    return f"{name(ordered.index[place])} {ordered['answer'].iloc[place]}"


def _by_reference(dosed: Tables, crossing: Tables, name: Name) -> Finding:
    early = {s: group["severity"] <= REFERENCE for s, group in dosed.items()}
    words = {s: _how_many(group) for s, group in early.items()}
    without = [c for c, row in next(iter(crossing.values())).iterrows() if pd.isna(row["severity"])]
    return Finding(
        f"How many take it by severity {REFERENCE:g}?",
        once_or_each(words),
        each({s: f"{group.sum()} of {len(group)} with a dose" for s, group in early.items()}),
        f"the same at every severity: {listed([name(change) for change in without])}",
    )


def _how_many(flags: pd.Series) -> str:
    if not flags.any():
        return "none"
    return "all" if flags.all() else "most" if flags.mean() > 0.5 else "some"


def _before(early: Tables, name: Name) -> Finding:
    result = {s: group[group["before"]] for s, group in early.items()}
    never = {s: group.index[np.isinf(group["onset"])] for s, group in early.items()}
    return Finding(
        "Are right answers lost before a tenth of the similarity is?",
        each({s: _under(group.index, name) for s, group in result.items()}),
        "severity: " + each({s: _severities(group, name) for s, group in result.items()}),
        "with a dose, but without a sure loss at any severity: "
        + each({s: listed([name(change) for change in group]) for s, group in never.items()}),
    )


def _under(changes: Sequence[str], name: Name) -> str:
    return f"under {listed([name(change) for change in changes])}" if len(changes) else "not surely"


def _severities(rows: pd.DataFrame, name: Name) -> str:
    return (
        ", ".join(
            f"{name(change)} from {row['onset']:g} on (similarity: {row['answer']})"
            for change, row in rows.iterrows()
        )
        or "–"
    )


def _before_in_a_sentence(early: Tables) -> str:
    words = {s: _how_many(group["before"]) for s, group in early.items()}
    if set(words.values()) == {"none"}:
        return "No change surely costs right answers before that."
    texts = {s: "no change" if word == "none" else f"{word} changes" for s, word in words.items()}
    subject = in_a_sentence(texts)
    return f"{capital(subject)} surely cost right answers before that."


def _strongest(lost: Tables, name: Name) -> Finding:
    tables = {}
    for source, group in lost.items():
        last = group[group["severity"] == group["severity"].max()].set_index("augmentation")
        tables[source] = last.loc[ties.ranked(last["mean"]).index]
    top = max(group["severity"].iloc[0] for group in tables.values())
    ends = {s: (group.iloc[0], group.iloc[-1]) for s, group in tables.items()}
    return Finding(
        f"Which costs most right answers at severity {top:g}?",
        once_or_each({s: first_of(group, name) for s, group in tables.items()}),
        each({s: _named(end, name, PERCENT) for s, (end, _) in ends.items()}),
        "least: " + each({s: _named(end, name, PERCENT) for s, (_, end) in ends.items()}),
    )


def _equally(at_level: Tables, equal: Tables, name: Name) -> Finding:
    beyond = {}
    for source, group in at_level.items():
        changes = dict.fromkeys(equal[source]["augmentation"])
        beyond[source] = listed([name(change) for change in changes if change not in group.index])
    return Finding(
        f"Which moves the embedding furthest at a pixel change of {LEVEL:g}?",
        once_or_each({s: first_of(group, name) for s, group in at_level.items()}),
        "similarity: " + each({s: _named(group.iloc[0], name) for s, group in at_level.items()}),
        "least: "
        + each({s: _named(group.iloc[-1], name) for s, group in at_level.items()})
        + f"; no value there: {each(beyond)}",
    )


def _named(row: pd.Series, name: Name, form: str = "{:.2f}") -> str:
    return f"{name(row.name)} {estimate(row, form)}"
