"""What notebook 08 finds: which parts carry a shift, more than they carry any difference."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import xarray as xr

from helpers import ties
from helpers.analysis import patching
from helpers.analysis.dissection import is_head
from helpers.analysis.sources import by_source
from helpers.analysis.specificity import ANOTHER, Account, NeuronAccount
from helpers.analysis.statistics import mean_with_interval
from helpers.findings import (
    NOTHING_MOVED,
    PERCENT,
    Answer,
    Finding,
    capital,
    each,
    estimate,
    in_a_sentence,
    interval,
    listed,
    once_or_each,
    verb,
)

Name = Callable[[str], str]
NAMED = 4
"""Changes, or all but so many, are listed by name."""
SHOWN = 3
"""Specific heads that are named, with their excess."""

PATCHING = (
    "patching the heads that carry most of a change surely removes more of its shift than patching",
    "more than patching",
)
HALF = 0.5
FEW = 0.05
"""Part of all neurons up to which they are few."""
DIFFERENCE = "{:+.0%}"
TOO_FEW = "Too few images to hold shifts against differences between images."


def answer(
    account: Account,
    removed: xr.DataArray | None = None,
    neurons: NeuronAccount | None = None,
    *,
    name: Name = str,
) -> Answer:
    """Answer which parts carry a shift, more than they carry any difference.

    Parameters
    ----------
    account : Account
        As of `helpers.analysis.specificity.account`.
    removed : DataArray, (effect, choice, image, augmentation), optional
        As of `helpers.runs.derived.patching.patched_heads`; none where nothing was patched.
    neurons : helpers.analysis.specificity.NeuronAccount, optional
        None where the model gives none.
    name : callable
        Writes a change within a sentence.

    Returns
    -------
    Answer
    """
    tables = {source: group.drop(index=ANOTHER) for source, group in account.distances.items()}
    if not any(group["n"].any() for group in tables.values()):
        return Answer(NOTHING_MOVED, [])
    known = {source: group for source, group in tables.items() if group["floor"].notna().any()}
    if not known:
        return Answer(TOO_FEW, [])
    controls = {source: account.distances[source].loc[ANOTHER] for source in known}
    heads = {source: leading(account.excess[source]) for source in known}
    findings = [_distance(known, controls, name), _own(known, controls, name)]
    findings += [_heads_in_all(known), _specific(heads, account, name)]
    sentences = [_in_a_sentence(known, name), _specific_in_a_sentence(known, heads)]
    if removed is not None and removed.sizes["image"] > 1:
        patched = {s: group for s, group in by_source(removed).items() if s in known}
        beyond = {source: patching.beyond(group) for source, group in patched.items()}
        findings += [_patching(patched, beyond, name), _passed_on(patched)]
        sentences.append(_patching_in_a_sentence(beyond))
    if neurons is not None:
        sources = [source for source in neurons.for_half if source in known]
        findings += [_half(neurons, sources), _specific_neurons(neurons, sources, name)]
        findings += [_ablating(neurons, sources)]
    return Answer(" ".join(sentences), findings)


def leading(excess: xr.Dataset) -> pd.DataFrame:
    """Name the specific head of the largest excess, of every change that has one.

    Parameters
    ----------
    excess : Dataset
        As of `helpers.analysis.specificity.excess_shares`, of one source.

    Returns
    -------
    DataFrame
        Columns `head`, `excess`, `low`, `high` and `count` (of specific heads), indexed by change,
        the largest excess first. The control is left out.
    """
    rows = {}
    for change in excess["augmentation"].values:
        heads = excess.sel(augmentation=change).to_dataframe()
        heads = heads[heads["specific"].astype(bool) & heads.index.map(is_head)]
        if len(heads) and change != ANOTHER:
            first = ties.ranked(heads["excess"]).index[0]
            rows[change] = {"head": first, "count": len(heads)} | heads.loc[first].to_dict()
    columns = ["head", "excess", "low", "high", "count"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.loc[ties.ranked(table["excess"].astype(float)).index] if len(table) else table


def furthest(table: pd.DataFrame) -> str | None:
    """Name the change whose account is surely further from an ordinary one than all others'."""
    first = ties.ranked(table["distance"]).index[0]
    others = table.drop(index=first)
    apart = len(others) and table.loc[first, "low"] > others["high"].max()
    return first if apart and table.loc[first, "own"] else None


def how_many(count: int, total: int) -> str:
    """Say in a word how many of all changes."""
    if count in (0, total):
        return "no change" if not count else "every change"
    return "most changes" if count > total / 2 else "a minority of changes"


def listed_changes(chosen: Sequence[str], every: Sequence[str], name: Name) -> str:
    """List changes, or those that are missing, or say in a word how many they are."""
    missing = [each_ for each_ in every if each_ not in chosen]
    if 0 < len(chosen) <= NAMED and missing:
        return listed([name(change) for change in chosen])
    if 0 < len(missing) <= NAMED and chosen:
        return f"all but {listed([name(change) for change in missing])}"
    if len(chosen) in (0, len(every)):
        return "all" if chosen else "none"
    return how_many(len(chosen), len(every))


def _in_a_sentence(known: Mapping[str, pd.DataFrame], name: Name) -> str:
    if not any(group["own"].any() for group in known.values()):
        return (
            "What carries a shift cannot be distinguished from what carries any difference between"
            " two images."
        )
    mostly = all(group["distance"].max() < HALF for group in known.values())
    start = "Most of what carries a shift" if mostly else "Part of what carries a shift"
    apart = {source: furthest(group) for source, group in known.items()}
    stands = [
        name(change) + (f" ({source})" if len(known) > 1 else "")
        for source, change in apart.items()
        if change
    ]
    end = "no change stands out"
    if stands:
        end = f"{listed(stands)} {verb(stands, 'stand')} furthest apart"
    return f"{start} carries any difference between two images; {end}."


def _specific_in_a_sentence(
    known: Mapping[str, pd.DataFrame], heads: Mapping[str, pd.DataFrame]
) -> str:
    if not any(len(group) for group in heads.values()):
        return "No head surely carries more than its ordinary share under any change."
    counts = {source: how_many(len(heads[source]), len(group)) for source, group in known.items()}
    return f"Some heads surely carry more than their ordinary share under {in_a_sentence(counts)}."


def _patching_in_a_sentence(beyond: Mapping[str, pd.DataFrame]) -> str:
    under = {}
    others = {patching.OTHERS: "another change's", patching.GENERIC: "generic ones"}
    for choice, called in others.items():
        more = _more(beyond, choice)
        counts = {s: how_many(int(group.sum()), len(group)) for s, group in more.items()}
        if counts:
            under.setdefault(in_a_sentence(counts), []).append(called)
    if not under:
        return ""
    texts = [
        f"under {counts}, {words} {listed(names)}"
        for words, (counts, names) in zip(PATCHING, under.items(), strict=False)
    ]
    return f"{capital('; '.join(texts))}."


def _more(beyond: Mapping[str, pd.DataFrame], choice: str) -> dict[str, pd.Series]:
    """Whether own heads surely remove more than others, by source that has the others."""
    return {s: group.loc[choice, "more"] for s, group in beyond.items() if choice in group.index}


def _distance(
    known: Mapping[str, pd.DataFrame], controls: Mapping[str, pd.Series], name: Name
) -> Finding:
    most = max(group["distance"].max() for group in known.values())
    least = min(group["distance"].min() for group in known.values())
    words = "for the most part" if most < HALF else "of some changes" if least < HALF else "no"
    cells = {}
    for source, group in known.items():
        order = ties.ranked(group["distance"]).index
        ends = dict.fromkeys([order[-1], order[0]])
        cells[source] = ", ".join(
            f"{name(end)} {estimate(group.loc[end], of='distance')}" for end in ends
        )
    return Finding(
        "Is a change's account that of any difference between two images?",
        words,
        "distance: " + each(cells),
        "another image: "
        + each(
            {
                source: f"{group['distance']:.2f}, by chance below {group['floor']:.2f}"
                for source, group in controls.items()
            }
        ),
    )


def _own(
    known: Mapping[str, pd.DataFrame], controls: Mapping[str, pd.Series], name: Name
) -> Finding:
    result = {source: group.index[group["own"]].tolist() for source, group in known.items()}
    answers = {s: listed_changes(group, known[s].index, name) for s, group in result.items()}
    kept = not any(group["own"] for group in controls.values())
    return Finding(
        "Which accounts are surely not ordinary?",
        once_or_each(answers),
        each({s: f"{len(group)} of {len(known[s])} changes" for s, group in result.items()}),
        f"{'not' if kept else 'also'} another image's; false discoveries held at 5 %",
    )


def _heads_in_all(known: Mapping[str, pd.DataFrame]) -> Finding:
    ends = {s: (group["heads"].min(), group["heads"].max()) for s, group in known.items()}
    ordinary = {source: group["ordinary_heads"].iloc[0] for source, group in known.items()}
    above = [ends[source][0] > ordinary[source] for source in known]
    below = [ends[source][1] < ordinary[source] for source in known]
    words = (
        "more"
        if all(above)
        else "less"
        if all(below)
        else "more under some changes, less under others"
    )
    return Finding(
        "Do heads carry more of a shift than of any difference?",
        words,
        each({source: f"{low:.0%} to {high:.0%}" for source, (low, high) in ends.items()}),
        "two originals: " + each({source: f"{group:.0%}" for source, group in ordinary.items()}),
    )


def _specific(heads: Mapping[str, pd.DataFrame], account: Account, name: Name) -> Finding:
    answers = {
        source: ", ".join(
            f"{group['head'][change]} to {name(change)}" for change in group.index[:SHOWN]
        )
        or "none"
        for source, group in heads.items()
    }
    cells = {
        source: ", ".join(
            interval(*row, DIFFERENCE)
            for row in group[["excess", "low", "high"]].head(SHOWN).itertuples(index=False)
        )
        or "–"
        for source, group in heads.items()
    }
    controls = {
        source: int(
            (group["specific"] & group["component"].to_series().map(is_head).to_xarray())
            .sel(augmentation=ANOTHER)
            .sum()
        )
        for source, group in account.excess.items()
        if source in heads
    }
    return Finding(
        "Which heads are most specific, and to what?",
        each(answers),
        "excess share: " + each(cells),
        f"to another image: {sum(controls.values()) or 'none'}{_elsewhere(heads, account, name)}",
    )


def _elsewhere(heads: Mapping[str, pd.DataFrame], account: Account, name: Name) -> str:
    """Report which of the heads that are shown are specific to the same change on all sources."""
    shown = [(c, group["head"][c]) for group in heads.values() for c in group.index[:SHOWN]]
    if len(heads) < 2 or not shown:
        return ""
    everywhere = [
        f"{head} to {name(change)}"
        for change, head in dict.fromkeys(shown)
        if all(_is_specific(account.excess[source], change, head) for source in heads)
    ]
    return f"; of these on all images: {', '.join(everywhere) or 'none'}"


def _is_specific(excess: xr.Dataset, change: str, head: str) -> bool:
    return bool(excess["specific"].sel(augmentation=change, component=head))


def _patching(
    patched: Mapping[str, xr.DataArray], beyond: Mapping[str, pd.DataFrame], name: Name
) -> Finding:
    answers, beside_generic = (
        {
            source: listed_changes(more.index[more].tolist(), more.index, name)
            for source, more in _more(beyond, choice).items()
        }
        for choice in (patching.OTHERS, patching.GENERIC)
    )
    cells = {}
    for source, group in patched.items():
        total = group.sel(effect="total").mean(["image", "augmentation"]).to_series()
        cells[source] = ", ".join(
            f"{_CHOICE_WORDS[choice]} {total[choice]:.0%}"
            for choice in _CHOICE_WORDS
            if choice in total.index and not pd.isna(total[choice])
        )
    random = {
        source: f"{group.sel(effect='total', choice=patching.RANDOM).mean().item():.0%}"
        for source, group in patched.items()
    }
    return Finding(
        "Do a change's own heads remove more of its shift than another change's?",
        f"under {once_or_each(answers)}" if answers else "there is no other change",
        "total effect: " + each(cells),
        f"random heads: {each(random)}"
        + (f"; more than generic ones under {once_or_each(beside_generic)}" * bool(beside_generic)),
    )


_CHOICE_WORDS = {patching.OWN: "own", patching.OTHERS: "another's", patching.GENERIC: "generic"}


def _passed_on(patched: Mapping[str, xr.DataArray]) -> Finding:
    steps = {s: _steps(group.sel(choice=patching.OWN)) for s, group in patched.items()}
    random = {s: _steps(group.sel(choice=patching.RANDOM)) for s, group in patched.items()}
    surely = [group["passed on"]["low"] > 0 for group in steps.values()]
    words = "yes" if all(surely) else "on some images" if any(surely) else "not surely"
    less = [
        group["other tokens"]["mean"] < HALF * group["passed on"]["mean"]
        for group in steps.values()
    ]
    if all(surely) and all(less):
        words = "yes, mostly by way of the pooled tokens"
    return Finding(
        "Do later layers and other tokens pass a patch on?",
        words,
        "total less direct effect: "
        + each(
            {
                source: f"{estimate(group['passed on'], DIFFERENCE)}, by other tokens"
                f" {estimate(group['other tokens'], DIFFERENCE)}"
                for source, group in steps.items()
            }
        ),
        "random heads: "
        + each({s: estimate(group["passed on"], DIFFERENCE) for s, group in random.items()}),
    )


def _steps(removed: xr.DataArray) -> dict[str, pd.Series]:
    """Measure what is removed beyond the direct effect, and what of that other tokens pass on."""
    direct, path, total = (
        removed.sel(effect=each_).mean("augmentation") for each_ in patching.EFFECTS
    )
    return {"passed on": _mean(total - direct), "other tokens": _mean(total - path)}


def _half(neurons: NeuronAccount, sources: Sequence[str]) -> Finding:
    means = {source: neurons.for_half[source]["mean"] for source in sources}
    few = all((group.max() / neurons.neurons) < FEW for group in means.values())
    return Finding(
        "How many neurons carry half of what all neurons carry?",
        "few" if few else "a good part of them",
        each(
            {s: f"{group.min():.0f} to {group.max():.0f}, by change" for s, group in means.items()}
        )
        + f", of {neurons.neurons:,}",
        "two originals: " + each({s: f"{neurons.ordinary[s]:.0f}" for s in sources}),
    )


def _specific_neurons(neurons: NeuronAccount, sources: Sequence[str], name: Name) -> Finding:
    tables = {source: group for source, group in neurons.leading.items() if source in sources}
    return Finding(
        "Which neurons are most specific, and to what?",
        each(
            {
                source: ", ".join(
                    f"{row.neuron} to {name(row.Index)}" for row in group.head(SHOWN).itertuples()
                )
                or "none"
                for source, group in tables.items()
            }
        ),
        "excess share: "
        + each(
            {
                source: ", ".join(
                    interval(row.excess, row.low, row.high, "{:+.1%}")
                    for row in group.head(SHOWN).itertuples()
                )
                or "–"
                for source, group in tables.items()
            }
        ),
        f"to another image: {sum(neurons.control[source] for source in sources) or 'none'}",
    )


def _ablating(neurons: NeuronAccount, sources: Sequence[str]) -> Finding:
    removed = by_source(neurons.effects["removed"])
    rows = {source: _by_choice(removed[source]) for source in sources}
    more = {source: _beyond_generic(removed[source]) for source in sources}
    surely = [row["low"] > 0 for row in more.values()]
    return Finding(
        "Does a shift go with its own neurons, more than with generic ones?",
        "yes" if all(surely) else "on some images" if any(surely) else "not surely",
        "ablating one in a hundred: "
        + each(
            {
                s: f"own {group[patching.OWN]:.0%}, more by {estimate(more[s], PERCENT)}"
                for s, group in rows.items()
            }
        ),
        each(
            {
                s: f"generic {group[patching.GENERIC]:.0%}, random {group[patching.RANDOM]:.0%}"
                for s, group in rows.items()
            }
        ),
    )


def _by_choice(removed: xr.DataArray) -> pd.Series:
    return removed.mean(["image", "augmentation"]).to_series()


def _beyond_generic(removed: xr.DataArray) -> pd.Series:
    own, generic = (removed.sel(choice=each_) for each_ in (patching.OWN, patching.GENERIC))
    return _mean((own - generic).mean("augmentation"))


def _mean(values: xr.DataArray) -> pd.Series:
    return mean_with_interval(values.values[:, None]).iloc[0]
