"""What notebook 15 finds: how far an attack moves a model, what it sees then, what carries that."""

from collections.abc import Callable, Collection, Mapping, Sequence

import pandas as pd
import xarray as xr

from helpers.analysis.sources import by_source
from helpers.analysis.specificity import ANOTHER, LEAST_IMAGES, Account, specific_heads
from helpers.analysis.statistics import anything_moved
from helpers.findings import (
    NOTHING_MOVED,
    PERCENT,
    Answer,
    Finding,
    each,
    estimate,
    in_a_sentence,
    interval,
    listed,
    once_or_each,
)
from helpers.findings.seen import ANOTHER as ANOTHER_ANSWER
from helpers.findings.seen import DESCRIPTION, MORE_OFTEN

ADVERSARIAL, NOISE = "adversarial", "adversarial_noise"
PASTED, WORD = "pasted", "typographic"
SHOWN = (PASTED, WORD)
"""Attacks that anyone can see."""

TOO_FEW = "An attack on one or two images says little of a model."
HALF = 0.5
HARDLY = 0.1
"""Part of what an adversarial view moves, below which noise hardly moves anything."""
NAMED = 3
VERBS = {
    MORE_OFTEN: "more often answers {}",
    DESCRIPTION: "sees {}",
    ANOTHER_ANSWER: "sees {}",
}
"""Kinds of what is seen instead → how a sentence writes it."""
# A pasted object changes what is true, and so has no row.
COSTS = (
    ("Does it cost right answers?", ADVERSARIAL, ("noise of its size", NOISE)),
    ("Does a wrong word cost right answers?", WORD, ("adversarial", ADVERSARIAL)),
)
"""Questions about accuracy, each with its attack and another beside it."""
WAYS = {
    "as noise": "are those that carry noise of its size, not those that carry a pasted object",
    "as an object": "are those that carry a pasted object, not those that carry noise of its size",
}


def answer(
    similarity: xr.DataArray,
    moved: Mapping[str, pd.DataFrame],
    seen: Mapping[str, pd.DataFrame] | None = None,
    lost: Mapping[str, pd.DataFrame] | None = None,
    account: Account | None = None,
    likeness: Mapping[str, pd.DataFrame] | None = None,
    *,
    name: Callable[[str], str] = str,
) -> Answer:
    """Choose the words of notebook 15; what the model can't answer is left out.

    Parameters
    ----------
    similarity : DataArray, (image, augmentation)
        Embedding similarity under the attacks, with the coordinate ``source`` (image).
    moved : mapping of str to DataFrame
        Source → by attack, `mean`, `low`, `high`: how far it moves embeddings, in units of the
        distance between two images (`helpers.analysis.shifts.relative_shift`).
    seen : mapping of str to DataFrame, optional
        Source → `helpers.findings.seen.seen_instead`.
    lost : mapping of str to DataFrame, optional
        Source → accuracy lost, by attack (`helpers.analysis.predictions.over_questions`).
    account : Account, optional
        As of `helpers.analysis.specificity.account`.
    likeness : mapping of str to DataFrame, optional
        Source → `helpers.analysis.specificity.likeness` of the adversarial views.
    name : callable
        Writes a change within a sentence.

    Returns
    -------
    Answer
    """
    if not anything_moved(1 - similarity.sel(augmentation=ADVERSARIAL)):
        return Answer(NOTHING_MOVED, [])
    findings, sentences = [_further(similarity)], []
    if known := {s: group for s, group in moved.items() if group.loc[ADVERSARIAL].notna().all()}:
        findings.insert(0, _distance(known))
        sentences.append(_distance_in_a_sentence(known))
    if seen:
        findings.append(_seen(seen, name))
        sentences.append(_seen_in_a_sentence(seen))
    if answered := {s: group for s, group in (lost or {}).items() if group["n"].any()}:
        findings += [_cost(answered, *row) for row in COSTS]
    if account and any(
        pd.notna(table.loc[ADVERSARIAL, "floor"]) for table in account.distances.values()
    ):
        findings += [_account(account), _heads(account)]
        sentences.append(_account_in_a_sentence(account))
    if alike := {
        s: group for s, group in (likeness or {}).items() if group["correlation"].notna().all()
    }:
        findings.append(_alike(alike))
        sentences.append(_alike_in_a_sentence(alike))
    if similarity.sizes["image"] < LEAST_IMAGES:
        return Answer(TOO_FEW, findings)
    return Answer(" ".join(sentence for sentence in sentences if sentence), findings)


def _distance(moved: Mapping[str, pd.DataFrame]) -> Finding:
    rows = {source: group.loc[ADVERSARIAL] for source, group in moved.items()}
    return Finding(
        "How far does an adversarial view move, in distances between two images?",
        once_or_each({source: _how_far(row) for source, row in rows.items()}),
        each({source: estimate(row) for source, row in rows.items()}),
        f"noise of its size: {each({s: f'{_of(group, NOISE):.3f}' for s, group in moved.items()})}",
    )


def _how_far(row: pd.Series) -> str:
    if row["low"] > 1:
        return "further than another image"
    if row["high"] >= 1:
        return "about as far as another image"
    return (
        "most of the way to another image"
        if row["mean"] > HALF
        else "part of the way to another image"
    )


def _distance_in_a_sentence(moved: Mapping[str, pd.DataFrame]) -> str:
    far = in_a_sentence({s: _how_far(group.loc[ADVERSARIAL]) for s, group in moved.items()})
    hardly = all(
        _of(group, NOISE) < HARDLY * group.loc[ADVERSARIAL, "mean"] for group in moved.values()
    )
    noise = "hardly moves it" if hardly else "moves it, too"
    return (
        "A change of a few grey levels, computed from the model's own gradients, moves an embedding"
        f" {far}; noise of the same size {noise}."
    )


def _of(group: pd.DataFrame, change: str) -> float:
    return float(group.loc[change, "mean"])


def _further(similarity: xr.DataArray) -> Finding:
    further = similarity.sel(augmentation=ADVERSARIAL) < similarity.sel(augmentation=NOISE)
    counts = {
        source: (int(group.sum()), group.sizes["image"])
        for source, group in by_source(further).items()
    }
    more, count = (sum(side) for side in zip(*counts.values(), strict=True))
    words = "on every image" if more == count else "on most" if more > HALF * count else "no"
    return Finding(
        "Does it move further than noise of its size?",
        words,
        each({source: f"{more} of {n}" for source, (more, n) in counts.items()}),
        "half of them, if the attack were no better than noise",
    )


def _seen(seen: Mapping[str, pd.DataFrame], name: Callable[[str], str]) -> Finding:
    return Finding(
        "What does the model see instead?",
        once_or_each({source: group.loc[ADVERSARIAL, "words"] for source, group in seen.items()}),
        each({source: group.loc[ADVERSARIAL, "counts"] for source, group in seen.items()}),
        "; ".join(
            f"{name(change)}: "
            + once_or_each({source: group.loc[change, "words"] for source, group in seen.items()})
            for change in (NOISE, *SHOWN)
        ),
    )


def _seen_in_a_sentence(seen: Mapping[str, pd.DataFrame]) -> str:
    rows = {source: group.loc[ADVERSARIAL] for source, group in seen.items()}
    said = {
        source: VERBS[row["kind"]].format(row["words"].removeprefix("more often "))
        for source, row in rows.items()
        if row["kind"] in VERBS
    }
    if not said:
        return "No answer surely becomes more frequent: every image goes its own way."
    everywhere = len(set(said.values())) == 1 and len(said) == len(rows)
    words = [group if everywhere else f"{group} on {source}" for source, group in said.items()]
    return f"The model then {listed(words[:1] if everywhere else words)}."


def _cost(
    lost: Mapping[str, pd.DataFrame], question: str, change: str, beside: tuple[str, str]
) -> Finding:
    rows = {source: group.loc[change] for source, group in lost.items()}
    called, other = beside
    return Finding(
        question,
        once_or_each({s: "yes" if row["low"] > 0 else "not surely" for s, row in rows.items()}),
        f"accuracy lost: {each({source: estimate(row, PERCENT) for source, row in rows.items()})}",
        f"{called}: {each({s: f'{_of(group, other):.0%}' for s, group in lost.items()})}",
    )


def _account(account: Account) -> Finding:
    rows = {source: group.loc[ADVERSARIAL] for source, group in account.distances.items()}
    others = {s: f"{group.loc[ANOTHER, 'distance']:.2f}" for s, group in account.distances.items()}
    return Finding(
        "Do other parts carry it than carry a difference between two images?",
        once_or_each({s: "yes" if row["own"] else "not surely" for s, row in rows.items()}),
        "distance: " + each({s: estimate(row, of="distance") for s, row in rows.items()}),
        f"another image: {each(others)}",
    )


def specific_to(account: Account, change: str) -> dict[str, pd.DataFrame]:
    """List the heads that are specific to a change, the largest excess first, by source."""
    return {
        source: excess.sel(
            augmentation=change, component=specific_heads(excess)[change]
        ).to_dataframe()
        for source, excess in account.excess.items()
    }


def _heads(account: Account) -> Finding:
    specific = specific_to(account, ADVERSARIAL)
    others = specific_to(account, ANOTHER)
    first = {source: table.head(NAMED) for source, table in specific.items()}
    return Finding(
        "Which heads carry more of it than of a difference between two images?",
        once_or_each({s: _first_of(table) for s, table in specific.items()}),
        "excess share: "
        + each(
            {
                s: ", ".join(
                    interval(row.excess, row.low, row.high, "{:+.0%}") for row in table.itertuples()
                )
                or "–"
                for s, table in first.items()
            }
        ),
        f"of another image: {sum(map(len, others.values())) or 'none'}",
    )


def _first_of(heads: pd.DataFrame) -> str:
    more = [f"{len(heads) - NAMED} more"] if len(heads) > NAMED else []
    return listed([*heads.index[:NAMED], *more])


def _account_in_a_sentence(account: Account) -> str:
    rows = {s: group.loc[ADVERSARIAL] for s, group in account.distances.items()}
    apart = [source for source, row in rows.items() if row["own"]]
    if not apart:
        return "The parts that carry it are not surely others than carry any difference."
    heads = any(len(specific_to(account, ADVERSARIAL)[source]) for source in apart)
    some = "some heads" if heads else "some parts, though no single head,"
    where = "" if len(apart) == len(rows) else f"on {listed(apart)} "
    much = "mostly " if all(row["distance"] < HALF for row in rows.values()) else ""
    return (
        f"Its shift is carried {much}by what carries any difference between two images;"
        f" {where}{some} surely carry more of it."
    )


def _start(sources: Sequence[str], every: Collection[str]) -> str:
    where = "" if len(sources) == len(every) else f" on {listed(sources)}"
    return f"The parts that carry more of it{where} than usual"


def _alike(likeness: Mapping[str, pd.DataFrame]) -> Finding:
    def written(change: str) -> str:
        rows = {source: group.loc[change] for source, group in likeness.items()}
        return each({s: estimate(row, of="correlation") for s, row in rows.items()})

    return Finding(
        "Is it carried as noise of its size is, or as a pasted object?",
        once_or_each({source: _as_what(group) for source, group in likeness.items()}),
        f"correlation of excess shares with noise's: {written(NOISE)}",
        f"with a pasted object's: {written(PASTED)}",
    )


def _as_what(likeness: pd.DataFrame) -> str:
    noise, pasted = likeness.loc[NOISE], likeness.loc[PASTED]
    if noise["low"] > pasted["high"]:
        return "as noise"
    return "as an object" if pasted["low"] > noise["high"] else "not distinguished"


def _alike_in_a_sentence(likeness: Mapping[str, pd.DataFrame]) -> str:
    ways = {source: _as_what(group) for source, group in likeness.items()}
    where = {words: [s for s, group in ways.items() if group == words] for words in WAYS}
    said = [
        f"{_start(sources, ways)} {WAYS[words]}." for words, sources in where.items() if sources
    ]
    return " ".join(said)
