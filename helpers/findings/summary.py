"""What the summary says of all notebooks: five findings, and the sentence of the whole study."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from helpers.analysis.specificity import ANOTHER
from helpers.findings import (
    PERCENT,
    Answer,
    Finding,
    capital,
    each,
    estimate,
    in_a_sentence,
    once_or_each,
)
from helpers.findings.seen import NOTHING
from helpers.findings.severity import earliest
from helpers.ties import ranked

HALF = 0.5
IN = "{} in {}"
MORE = "more of a change than of an ordinary difference between two images"
NO_SHIFT = "No change moves any embedding."
NO_UNIT = (
    "How far changes move embeddings is measured in distances between two images, and there is one"
    " image alone."
)


def answer(
    moved: Mapping[str, pd.DataFrame],
    seen: Mapping[str, pd.DataFrame] | None = None,
    lost: Mapping[str, pd.DataFrame] | None = None,
    account: pd.DataFrame | None = None,
    taken: Mapping[str, pd.DataFrame] | None = None,
    *,
    name: Callable[[str], str] = str,
) -> Answer:
    """Choose the words of the summary; what the run's model can't answer is left out.

    Parameters
    ----------
    moved : mapping of str to DataFrame
        Source → by change, `mean`, `low`, `high`: how far it moves embeddings, in units of the
        distance between two images (`helpers.analysis.shifts.relative_shift`).
    seen : mapping of str to DataFrame, optional
        Source → `helpers.findings.seen.seen_instead`.
    lost : mapping of str to DataFrame, optional
        Source → accuracy lost, by change (`helpers.analysis.predictions.over_questions`).
    account : DataFrame, optional
        `helpers.analysis.specificity.Account.table`.
    taken : mapping of str to DataFrame, optional
        Source → `helpers.analysis.severity.crossings` of the embedding similarity.
    name : callable
        Writes a change within a sentence.

    Returns
    -------
    Answer
    """
    known = {source: group for source, group in moved.items() if group["mean"].notna().any()}
    if known and all(not (group["mean"] > 0).any() for group in known.values()):
        return Answer(NO_SHIFT, [])
    order = {source: ranked(group["mean"]).index for source, group in known.items()}
    furthest = {source: names[0] for source, names in order.items()}
    rows = [_furthest(known, order, name)] if known else []
    rows += [_seen(seen, furthest, name)] if seen and known else []
    rows += [_costs(lost, name)] if lost else []
    rows += [_own(account)] if account is not None else []
    rows += [_taken(taken, name)] if taken else []
    sentence = _sentence(known, furthest, seen, account, name) if known else NO_UNIT
    return Answer(sentence, [row for row in rows if row])


def _sentence(
    moved: Mapping[str, pd.DataFrame],
    furthest: Mapping[str, str],
    seen: Mapping[str, pd.DataFrame] | None,
    account: pd.DataFrame | None,
    name: Callable,
) -> str:
    named = {source: name(change) for source, change in furthest.items()}
    text = f"{capital(in_a_sentence(named, IN))} moves embeddings furthest"
    if not all(_surely(group, furthest[source]) for source, group in moved.items()):
        text += ", though not surely"
    if seen and any(_of(seen, furthest, "kind")[source] != NOTHING for source in furthest):
        words = _of(seen, furthest, "words")
        text += f"; the model then sees {in_a_sentence(words, IN)}"
    if account is None or account["floor"].isna().all():
        return f"{text}."
    has_heads = _has_heads(account)
    if not any(group.any() for group in has_heads.values()):
        return f"{text}. No head surely carries {MORE}."
    counts = {s: f"{group.sum()} of {len(group)} changes" for s, group in has_heads.items()}
    return f"{text}. Some heads carry {MORE} under {in_a_sentence(counts, IN)}."


def _surely(moved: pd.DataFrame, furthest: str) -> bool:
    others = moved["mean"].drop(furthest)
    return bool((moved.loc[furthest, "low"] > others).all())


def _furthest(
    moved: Mapping[str, pd.DataFrame], order: Mapping[str, Sequence[str]], name: Callable
) -> Finding:
    first = {source: name(names[0]) for source, names in order.items()}
    last = {
        source: f"{name(names[-1])} {estimate(moved[source].loc[names[-1]])}"
        for source, names in order.items()
    }
    return Finding(
        "Which change moves embeddings furthest?",
        once_or_each(first),
        each({source: estimate(moved[source].loc[names[0]]) for source, names in order.items()}),
        f"1 is another image; least: {each(last)}",
    )


def _seen(seen: Mapping[str, pd.DataFrame], furthest: Mapping[str, str], name: Callable) -> Finding:
    changes = once_or_each({source: name(change) for source, change in furthest.items()})
    return Finding(
        f"What does the model see under {changes}?",
        once_or_each(_of(seen, furthest, "words")),
        each(_of(seen, furthest, "counts")),
        "images with these answers, before → after",
    )


def _of(
    tables: Mapping[str, pd.DataFrame], changes: Mapping[str, str], column: str
) -> dict[str, str]:
    return {source: group.loc[changes[source], column] for source, group in tables.items()}


def _costs(lost: Mapping[str, pd.DataFrame], name: Callable) -> Finding | None:
    known = {s: group.dropna(subset="mean") for s, group in lost.items()}
    order = {s: ranked(group["mean"]) for s, group in known.items() if len(group)}
    if not order:
        return None
    worst = {source: group.index[0] for source, group in order.items()}
    others = {s: f"{group.iloc[1:].median():.0%}" for s, group in order.items() if len(group) > 1}
    return Finding(
        "Which change costs most right answers?",
        once_or_each({source: name(change) for source, change in worst.items()}),
        each({s: estimate(known[s].loc[change], PERCENT) for s, change in worst.items()}),
        f"accuracy lost; the others' median {each(others)}" if others else "no other change",
    )


def _own(account: pd.DataFrame) -> Finding | None:
    changes = account.drop(index=ANOTHER, level="augmentation")
    if changes["floor"].isna().all():
        return None
    with_heads = _has_heads(account)
    controls = account.xs(ANOTHER, level="augmentation")["specific"].map(len)
    return Finding(
        "Do some heads carry more of a change than of any difference between images?",
        once_or_each({source: _how_many(group) for source, group in with_heads.items()}),
        each({s: f"{group.sum()} of {len(group)} changes" for s, group in with_heads.items()}),
        f"control, heads specific to just another image: {each(controls.astype(str).to_dict())}",
    )


def _has_heads(account: pd.DataFrame) -> dict[str, pd.Series]:
    """Whether a change has heads that are specific to it, by source and change."""
    changes = account.drop(index=ANOTHER, level="augmentation")
    sources = changes.groupby(level="source", sort=False)
    return {source: group["specific"].map(len).gt(0) for source, group in sources}


def _how_many(flags: pd.Series) -> str:
    if not flags.any():
        return "no"
    word = "all" if flags.all() else "most" if flags.mean() > HALF else "some"
    return f"under {word} changes"


def _taken(taken: Mapping[str, pd.DataFrame], name: Callable) -> Finding | None:
    known = {source: group[group["severity"].notna()] for source, group in taken.items()}
    order = {
        s: ranked(group["severity"], ascending=True).index
        for s, group in known.items()
        if len(group)
    }
    if not order:
        return None
    others = {
        s: ", ".join(f"{name(item)} {known[s].loc[item, 'answer']}" for item in names[1:2])
        for s, names in order.items()
    }
    return Finding(
        "Which change takes a tenth of the similarity first?",
        once_or_each(earliest({s: known[s].loc[names] for s, names in order.items()}, name)),
        each(
            {
                s: f"severity {name(names[0])} {known[s].loc[names[0], 'answer']}"
                for s, names in order.items()
            }
        ),
        f"next: {each(others)}",
    )
