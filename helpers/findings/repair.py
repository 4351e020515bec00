"""What notebook 14 finds: whether knowing where a shift lies helps against it."""

from collections.abc import Mapping

import pandas as pd

from helpers.analysis import patching, probes
from helpers.findings import (
    NOTHING_MOVED,
    PERCENT,
    Answer,
    Finding,
    each,
    estimate,
    interval,
    listed,
    once_or_each,
)

NO_TRUTH = "No image has a known answer or class, so there is nothing to measure repairs by."
POINTS = "{:+.1%}"
SHOWN = (
    patching.MEAN_SHIFT,
    patching.SHIFTS,
    patching.SPECIFIC_HEADS,
    patching.MILD,
)


def answer(
    gains: Mapping[str, pd.DataFrame],
    control: Mapping[str, pd.DataFrame],
    curves: Mapping[str, pd.DataFrame] | None = None,
    even: float | None = None,
    *,
    moved: bool = True,
) -> Answer:
    """Choose the words of notebook 14.

    Parameters
    ----------
    gains : mapping of str to DataFrame
        Source → as of `helpers.analysis.patching.repair_gains`.
    control : mapping of str to DataFrame
        The same where every image moves by the same known shift.
    curves : mapping of str to DataFrame, optional
        As of `helpers.analysis.probes.worst_group_curves`; None where the model gives no account.
    even : float, optional
        The worst group of a probe that was not misled.
    moved : bool
        Whether any change moved anything.

    Returns
    -------
    Answer
    """
    if not moved:
        return Answer(NOTHING_MOVED, [])
    findings, sentences = [], []
    if gains:
        findings += [_repair(name, gains) for name in SHOWN if _is_known(name, gains)]
        findings.append(_noticed(control))
        sentences.append(_verdict(gains))
    if curves is not None:
        findings.append(_worst(curves, even))
        sentences.append(_verdict_on_spurious(curves))
    return Answer(" ".join(sentences) or NO_TRUTH, findings)


def _is_known(name: str, gains: Mapping[str, pd.DataFrame]) -> bool:
    return all(name in table.index for table in gains.values())


def _verdict(gains: Mapping[str, pd.DataFrame]) -> str:
    helping = patching.helping_repairs(gains)
    if not helping:
        return (
            "No repair surely answers more questions rightly after a change than its control does:"
            " knowing where shifts lie does not undo them."
        )
    costly = any(gains[s].loc[n, "cost_high"] < 0 for s in gains for n in helping)
    end = "and takes some on clean images" if costly else "and surely takes none on clean images"
    return f"Repairing by {listed(helping)} restores right answers after a change, {end}."


def _verdict_on_spurious(curves: Mapping[str, pd.DataFrame]) -> str:
    table = probes.judged_ablation(curves)
    helping = table.index[table["helps"]].tolist()
    if not helping:
        return (
            "Taking away the heads of a spurious feature does not surely help a probe that was"
            " misled by it, beyond random heads."
        )
    return (
        "A probe that was misled by a spurious feature does better without its heads, chosen by"
        f" {listed(helping)}."
    )


def _repair(name: str, gains: Mapping[str, pd.DataFrame]) -> Finding:
    rows = {source: group.loc[name] for source, group in gains.items()}
    words = {source: _in_words(row) for source, row in rows.items()}
    control = {source: group.loc[patching.CONTROL[name]] for source, group in gains.items()}
    return Finding(
        f"Does {NAMES[name]} help?",
        once_or_each(words),
        "right answers, changed images: "
        + each({s: _written(row, "gain") for s, row in rows.items()})
        + "; clean: "
        + each({s: f"{row['cost']:+.1%}" for s, row in rows.items()}),
        f"{patching.CONTROL[name]}: "
        + each({s: f"{group['gain']:+.1%}" for s, group in control.items()}),
    )


NAMES = {
    patching.MEAN_SHIFT: "subtracting the change's mean shift",
    patching.SHIFTS: "projecting out the leading directions of shifts",
    patching.SPECIFIC_HEADS: "ablating specific heads",
    patching.MILD: "averaging over mild views",
}


def _in_words(row: pd.Series) -> str:
    if row["helps"]:
        return "yes"
    return "it harms" if row["gain_high"] < 0 else "not surely"


def _written(row: pd.Series, name: str) -> str:
    return interval(row[name], row[f"{name}_low"], row[f"{name}_high"], POINTS)


def _noticed(control: Mapping[str, pd.DataFrame]) -> Finding:
    rows = {source: group.loc[patching.MEAN_SHIFT] for source, group in control.items()}
    result = {s: "yes" if row["gain_low"] > 0 else "not here" for s, row in rows.items()}
    return Finding(
        "Would a repair be noticed, if every image moved the same way?",
        once_or_each(result),
        "subtracting the mean shift: "
        + each({s: _written(row, "gain") for s, row in rows.items()}),
        f"{patching.OTHERS_MEAN}: "
        + each(
            {s: f"{group.loc[patching.OTHERS_MEAN, 'gain']:+.1%}" for s, group in control.items()}
        ),
    )


def _worst(curves: Mapping[str, pd.DataFrame], even: float | None) -> Finding:
    table = probes.judged_ablation(curves)
    others = table.drop(index=probes.AT_RANDOM)
    random = table.loc[probes.AT_RANDOM]
    beside = f"no head ablated: {random['plain']:.0%}; random heads: {random['mean']:.0%}"
    if even is not None:
        beside += f"; a probe that was not misled: {even:.0%}"
    return Finding(
        "Does a misled probe do better without the heads of the spurious feature?",
        "yes" if others["helps"].any() else "not surely",
        f"worst group, {probes.FIXED} heads ablated: "
        + ", ".join(f"by {name} {estimate(row, PERCENT)}" for name, row in others.iterrows()),
        beside,
    )
