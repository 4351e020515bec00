"""What notebook 06 finds: what heads respond to, and how far their labels can be trusted."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from helpers.analysis import roles
from helpers.analysis.labels import TOP, UNKNOWN
from helpers.analysis.probes import Agreement
from helpers.analysis.statistics import FALSE_DISCOVERY_RATE
from helpers.findings import PERCENT, Answer, Finding, each, estimate, listed, once_or_each
from helpers.ties import first_largest, ranked

LITTLE = 0.05
"""Of a head's variance: what texts must explain beyond mixtures to be said to explain more."""

ENOUGH, MOST = 0.8, 0.5

ONE_ROLE = 0.25
"""Of what a head's first question gets: up to which the next may get for a single role."""


@dataclass(frozen=True)
class Published:
    """What published labels of real models say of larger and smaller ones.

    Attributes
    ----------
    small, large, q : float
        Share of the heads that are listed for a property, and the false discovery rate of the
        difference.
    names_small, names_large : float
        Different labels among equally many heads, the most of any model.
    """

    small: float
    large: float
    q: float
    names_small: float
    names_large: float


@dataclass(frozen=True)
class Weights:
    """What weights alone say of heads.

    Attributes
    ----------
    directions : int
        Of each head.
    shares, untrained : DataFrame
        As of `helpers.analysis.probes.mean_shares`, and of the network before training.
    labels : Agreement
        Of labels from weights with those from images.
    """

    directions: int
    shares: pd.DataFrame
    untrained: pd.DataFrame
    labels: Agreement


def answer(
    *,
    labels: pd.Series,
    near_ties: int,
    varies: Agreement,
    sways: Agreement,
    answers: pd.DataFrame,
    explained: pd.DataFrame,
    consistency: pd.DataFrame,
    consistency_at: pd.Series,
    consistent: int,
    left: Mapping[str, float],
    weights: Weights,
    published: Published,
    pruned: Mapping[str, pd.DataFrame] | None = None,
) -> Answer:
    """Answer what each head responds to, and whether its label is right.

    Parameters
    ----------
    labels : Series of str
        Of each head; "" for a head that doesn't vary.
    near_ties : int
        How many labels were decided by little.
    varies, sways : Agreement
        Of labels with what heads vary with most on fresh scenes, and with the questions whose
        answers they sway most.
    answers : DataFrame, (heads, attributes)
        Share of the spread of the answers about each attribute that a head accounts for; heads by
        name.
    explained : DataFrame
        Mean share of a head's variance; a row for texts and for each pool that means nothing, texts
        first and mixtures of them second; a column for each number of texts.
    consistency : DataFrame
        Mean association in rows ``model`` and ``untrained``, with the columns of
        `helpers.analysis.roles.summarise_scores`.
    consistency_at : Series
        K → share of the heads with a concept consistency score of K.
    consistent : int
        Heads whose own score is beyond chance, at a false discovery rate of 5 %.
    left : mapping of str to float
        ``variance`` and ``predictions`` that the last layers' heads leave of the embedding when
        earlier attention is ablated, and ``alone``, the variance when all else is ablated as well.
    weights : Weights
    published : Published
    pruned : mapping of str to DataFrame, optional
        Source → accuracy lost with heads (`helpers.analysis.roles.accuracy_lost`).

    Returns
    -------
    Answer
    """
    counts = labels[labels != UNKNOWN].value_counts()
    real = _published(published)
    if counts.empty:
        return Answer(
            "No head's contribution varies, so that none responds to anything: take more images.",
            [real],
        )
    common = [name for name, count in counts.items() if count > 1][:2] or [counts.index[0]]
    sentence = f"The commonest labels are {listed(common)}. {_right(varies)} {_worth(explained)}"
    findings = [
        _labels(counts, near_ties),
        _agreement("Is the label what a head varies with most, on fresh scenes?", varies),
        _agreement("Does a head sway the answers about its label most?", sways),
        _roles(answers),
        _explained(explained),
        _consistency(consistency, consistency_at, consistent, counts.sum()),
        _layers(left),
        _weights(weights),
        *_pruned(pruned or {}),
        real,
    ]
    return Answer(sentence, findings)


def _right(varies: Agreement) -> str:
    if not _beyond_chance(varies):
        return "On fresh scenes they are right no more often than by chance."
    many = _how_many(varies.rate)
    return f"On fresh scenes the label is what {many} heads vary with most."


def _beyond_chance(agreement: Agreement) -> bool:
    return agreement.p <= FALSE_DISCOVERY_RATE


def _how_many(rate: float) -> str:
    return "most" if rate >= MOST else "some"


def _worth(explained: pd.DataFrame) -> str:
    few, many = (_ahead(explained, column) for column in explained.columns[[0, -1]])
    if not few:
        return "But its texts explain no more of a head than random mixtures of texts do."
    if many:
        return "Its texts explain more of a head than random mixtures of texts do."
    first, last = explained.columns[[0, -1]]
    return (
        f"A head's first {first} texts explain more of it than random mixtures of texts do; its"
        f" first {last} hardly more."
    )


def _ahead(explained: pd.DataFrame, count: int) -> bool:
    texts, mixtures = explained[count].iloc[:2]
    return bool(texts - mixtures > LITTLE)


def _labels(counts: pd.Series, near_ties: int) -> Finding:
    verb = "is a near-tie" if near_ties == 1 else "are near-ties"
    return Finding(
        "What do the heads respond to?",
        f"to {len(counts)} of the pool's properties",
        ", ".join(f"{name} {count}" for name, count in counts.items()),
        f"{near_ties} of {counts.sum()} labels {verb}",
    )


def _agreement(question: str, agreement: Agreement) -> Finding:
    verdict = _how_many(agreement.rate) if _beyond_chance(agreement) else "no more than by chance"
    return Finding(
        question,
        f"{verdict} do" if _beyond_chance(agreement) else verdict,
        f"{agreement.agreeing} of {agreement.heads} heads",
        f"{agreement.chance:.0%} with shuffled labels (p = {agreement.p:.4f})",
    )


def _roles(answers: pd.DataFrame) -> Finding:
    ordered = np.sort(answers.to_numpy(), axis=1)[:, ::-1]
    ratio = float(np.nanmedian(ordered[:, 1] / ordered[:, 0]))
    head = answers.index[first_largest(ordered[:, 1])]
    first, second = ranked(answers.loc[head]).iloc[:2].items()
    return Finding(
        "Does a head sway the answers to one question only?",
        "no" if ratio > ONE_ROLE else "mostly",
        f"the next question gets {ratio:.0%} of what the first gets (median of heads)",
        f"strongest second: {head}, {first[0]} {first[1]:.0%} and {second[0]} {second[1]:.0%} of"
        " their spread",
    )


def _explained(explained: pd.DataFrame) -> Finding:
    said = [
        f"{count}: {'more' if _ahead(explained, count) else 'hardly more'}" for count in explained
    ]
    first, *others = (
        ", ".join(f"{share:.0%} by {count}" for count, share in row.items())
        for _, row in explained.iterrows()
    )
    names = explained.index[1:]
    return Finding(
        "Do texts explain more of a head than chance does?",
        "; ".join(said),
        first,
        "; ".join(f"{name} {text}" for name, text in zip(names, others, strict=True)),
    )


def _consistency(consistency: pd.DataFrame, at: pd.Series, consistent: int, heads: int) -> Finding:
    model, untrained = (consistency.loc[name] * TOP for name in ("model", "untrained"))
    beyond = model["low"] > model["chance_high"] and model["low"] > untrained["high"]
    alone = f"{consistent} of {heads} heads beyond chance by themselves"
    levels = ", ".join(f"CCS@{count} {share:.0%}" for count, share in at[:0:-1].items())
    return Finding(
        f"Do a head's first {TOP} texts agree on its label (concept consistency score)?",
        "more than by chance and untrained" if beyond else "not more than chance or untrained",
        f"mean CCS {estimate(model, '{:.1f}', of='value')}; {levels}; {alone}",
        f"chance {model['chance']:.1f} [{model['chance_low']:.1f}, {model['chance_high']:.1f}];"
        f" untrained {untrained['value']:.1f}",
    )


def _layers(left: Mapping[str, float]) -> Finding:
    enough = left["variance"] >= ENOUGH
    return Finding(
        "Is the attention of these layers enough, beside MLPs?",
        "nearly" if enough else "no",
        f"{left['variance']:.0%} of the variance and {left['predictions']:.0%} of the predictions"
        " left",
        f"without MLPs {left['alone']:.0%} of the variance",
    )


WEIGHTS_SAY = {
    (True, True): "yes: directions and labels",
    (True, False): "directions, but not labels",
    (False, True): "labels, but not directions",
    (False, False): "no",
}
"""Whether heads vary along their weights' directions, and whether the labels agree → in words."""


def _weights(weights: Weights) -> Finding:
    own, others = (weights.shares.loc[name] for name in ("own", "others"))
    even, untrained = weights.shares.loc["even", "mean"], weights.untrained.loc["own"]
    beyond = weights.shares.loc["beyond", "low"] > 0 and own["low"] > max(even, untrained["high"])
    names = weights.labels
    return Finding(
        "Do a head's weights alone show what images say of it?",
        WEIGHTS_SAY[bool(beyond), _beyond_chance(names)],
        f"{estimate(own, PERCENT)} of its variance lies in the"
        f" {weights.directions} directions that it writes most strongly; the same label for"
        f" {names.agreeing} of {names.heads} heads",
        f"in other heads' directions {estimate(others, PERCENT)}, in any"
        f" {weights.directions} that it can write {even:.0%}, untrained"
        f" {estimate(untrained, PERCENT)}; {names.chance:.0%} with shuffled"
        f" labels (p = {names.p:.4f})",
    )


def _pruned(pruned: Mapping[str, pd.DataFrame]) -> list[Finding]:
    known = {source: group for source, group in pruned.items() if group["n"].any()}
    if not known:
        return []
    written = {
        name: each({s: estimate(group.loc[name], PERCENT) for s, group in known.items()})
        for name in (roles.HIGH, roles.LOW, roles.RANDOM)
    }
    every = each({source: f"{group.loc[roles.ALL, 'mean']:.0%}" for source, group in known.items()})
    return [
        Finding(
            "Do answers need the heads of consistent concept more than random heads?",
            once_or_each({source: _needed(group) for source, group in known.items()}),
            f"accuracy lost with half of the heads: {roles.HIGH} {written[roles.HIGH]};"
            f" {roles.LOW} {written[roles.LOW]}",
            f"{roles.RANDOM}: {written[roles.RANDOM]}; {roles.ALL}: {every}",
        )
    ]


def _needed(losses: pd.DataFrame) -> str:
    high, random = losses.loc[roles.HIGH], losses.loc[roles.RANDOM]
    if high["mean"] > random["high"]:
        return "more"
    return "less than random ones" if high["mean"] < random["low"] else "no more"


def _published(published: Published) -> Finding:
    more = published.q <= FALSE_DISCOVERY_RATE and published.large > published.small
    names = "but no more" if published.names_large <= published.names_small else "and more"
    return Finding(
        "Do larger real CLIPs have more named heads (Intel Labs' published labels)?",
        f"yes, {names} different names" if more else "not shown",
        f"{published.large:.0%} of the heads of two ViT-L, {published.small:.0%} of four ViT-B"
        f" (q = {published.q:.3f})",
        f"different names in equally many heads: at most {published.names_large:.0f} and"
        f" {published.names_small:.0f}",
    )
