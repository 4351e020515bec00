"""What notebook A1 finds: whether the published study's statements come out in a run."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis import statistics
from helpers.analysis.order import PUBLISHED_CORRELATES, PUBLISHED_GROUPS
from helpers.analysis.sources import by_source
from helpers.findings import NOTHING_MOVED, Answer, Finding, each, estimate, interval, listed
from helpers.findings.metrics import EMBEDDING, PARTS, WORDS

PLACES = {
    "most": "Which moves embeddings most?",
    "strongly": "Which two come next?",
    "moderately": "Which three after them?",
    "least": "Which two move embeddings least?",
}
STATED = {
    "most": "Moves embeddings most",
    "strongly": "Strongly",
    "moderately": "Moderately",
    "least": "Least",
}
"""Groups → the fact of `helpers.data.published.shift_study` that states them."""
NEAR_1 = 0.99
NOTABLE = 0.05
"""A change of a mean score that a reader of a figure would see."""
DRAWS = ("one draw", "two draws")


def groups_in_order(similarity: pd.Series) -> dict[str, list[str]]:
    """Fill the published groups, as large as they are, in a run's own order."""
    stated = [name for names in PUBLISHED_GROUPS.values() for name in names]
    ordered = iter(similarity[stated].sort_values(kind="stable").index)
    return {group: [next(ordered) for _ in names] for group, names in PUBLISHED_GROUPS.items()}


def of_two_draws(scores: xr.Dataset, redrawn: xr.Dataset, seed: int = 0) -> pd.DataFrame:
    """Correlate scores of pixels with embedding similarity, of the same draw and of another.

    Parameters
    ----------
    scores, redrawn : Dataset
        Scores of the run's own draw, and some of them of another, (image, augmentation).
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        Columns `source`, `series` (`DRAWS`), `row` (the score), `mean` (Spearman's correlation
        within changes), `low` and `high`.
    """
    names = [name for name in redrawn if name in scores]
    kept = scores[[EMBEDDING, *names]].sel(image=redrawn["image"])
    rows = []
    for series, values in zip(DRAWS, (kept, kept.assign(redrawn[names])), strict=True):
        for source, part in by_source(values).items():
            table = statistics.correlate_scores(part, across="within", seed=seed)
            table = table.sel(other=EMBEDDING)
            for name in names:
                cell = [
                    table[each_].sel(score=name).item() for each_ in ("estimate", "low", "high")
                ]
                rows.append([source, series, name, *cell])
    return pd.DataFrame(rows, columns=["source", "series", "row", "mean", "low", "high"])


def answer(
    scores: xr.Dataset,
    departing: xr.Dataset,
    correlated: pd.DataFrame,
    draws: pd.DataFrame,
    clusters: Mapping[str, Sequence[frozenset[str]]],
    stated: pd.Series,
    words: Mapping[str, str],
) -> Answer:
    """Answer whether the published study's statements come out, and what its code's departures do.

    Parameters
    ----------
    scores : Dataset
        Of one source of images, (image, augmentation).
    departing : Dataset
        As of `helpers.runs.derived.pixels.departures`, of the same source.
    correlated : DataFrame
        As of `helpers.findings.metrics.correlations`, of that source.
    draws : DataFrame
        As of `of_two_draws`, of all sources.
    clusters : mapping of str to sequence of frozenset
        Linkage → clusters; the first is the published linkage.
    stated : Series
        What the study states, by fact.
    words : mapping of str to str
        How a change is called within a sentence.

    Returns
    -------
    Answer
    """
    if not statistics.anything_moved(1 - scores[EMBEDDING]):
        return Answer(NOTHING_MOVED, [])
    order, order_findings = _of_order(scores, stated, words)
    patch, patch_finding = _of_patches(scores, departing)
    return Answer(
        f"{order} {patch}",
        [
            *order_findings,
            _of_length(scores, stated),
            _of_correlation(correlated),
            patch_finding,
            *_of_detail(scores, departing),
            _of_draws(draws),
            _of_linkage(clusters),
        ],
    )


def _of_order(
    scores: xr.Dataset, stated: pd.Series, words: Mapping[str, str]
) -> tuple[str, list[Finding]]:
    means = statistics.mean_with_interval(scores[EMBEDDING])
    groups, findings, shared = groups_in_order(means["mean"]), [], {}
    for group, question in PLACES.items():
        published, members = PUBLISHED_GROUPS[group], groups[group]
        shared[group] = len(set(published) & set(members)) / len(published)
        verdict = {1: "as published", 0: "others"}.get(shared[group], "in part as published")
        rows = means.loc[members, ["mean", "low", "high"]]
        estimates = [f"{words[name]} {interval(*row)}" for name, *row in rows.itertuples()]
        findings.append(Finding(question, verdict, listed(estimates), stated[STATED[group]]))
    if all(share == 1 for share in shared.values()):
        return "The published order comes out here.", findings
    if shared["most"] == 1:
        return "Of the published order, it comes out here that noise moves embeddings most.", (
            findings
        )
    return "The published order does not come out here.", findings


def _of_length(scores: xr.Dataset, stated: pd.Series) -> Finding:
    means = statistics.mean_with_interval(scores["l2_distance"])
    row = means.loc[means["mean"].idxmax(), ["mean", "low", "high"]]
    return Finding(
        "How large does the mean L2 distance become?",
        "not comparable: each model's embeddings have lengths of their own",
        interval(*row, "{:.0f}"),
        stated["Largest L2 distance"],
    )


def _of_correlation(correlated: pd.DataFrame) -> Finding:
    rows = correlated[correlated["row"].isin(PUBLISHED_CORRELATES)]
    parts = {part: rows.set_index("row") for part, rows in rows.groupby("series")}
    surely = [name for name, low in parts[PARTS[0]]["low"].items() if low > 0]
    rest = [name for name, low in parts[PARTS[1]]["low"].items() if low > 0]
    verdict = "yes" if len(rest) == 2 else f"{_similar(rest)} only" if rest else "not surely"
    if len(surely) > len(rest):
        verdict += f"; {_similar([n for n in surely if n not in rest])} by noise alone"
    return Finding(
        "Do edge and detail similarity correlate with embedding similarity?",
        verdict,
        f"without noise, {_correlations(parts[PARTS[1]])}",
        f"with noise, {_correlations(parts[PARTS[0]])}; published: yes",
    )


def _similar(names: Sequence[str]) -> str:
    return listed([WORDS[name] for name in names])


def _correlations(rows: pd.DataFrame) -> str:
    cells = rows[["mean", "low", "high"]].itertuples()
    return ", ".join(f"{WORDS[name]} {interval(*cell)}" for name, *cell in cells)


# The code's departures


def _of_patches(scores: xr.Dataset, departing: xr.Dataset) -> tuple[str, Finding]:
    values = scores["patch_similarity"].sel(image=departing["image"])
    lowest = {
        name: _lowest(each_) for name, each_ in (("", values), ("code", departing["patch_uint8"]))
    }
    hides = lowest["code"]["mean"] > NEAR_1 and lowest[""]["mean"] < lowest["code"]["mean"]
    sentence = (
        "The published code's patch similarity stays near 1 whatever an image becomes."
        if hides
        else "The published code's patch similarity shows what the equation's does."
    )
    return sentence, Finding(
        "Does patch similarity stay near 1 when bytes are subtracted as bytes?",
        "yes, whatever the change" if hides else "no",
        f"lowest mean {estimate(lowest['code'], '{:.3f}')}",
        f"by the equation, {estimate(lowest[''], '{:.3f}')}",
    )


def _lowest(values: xr.DataArray) -> pd.Series:
    means = statistics.mean_with_interval(values)
    return means.loc[means["mean"].idxmin()]


def _of_detail(scores: xr.Dataset, departing: xr.Dataset) -> list[Finding]:
    values = scores["detail_similarity"].sel(image=departing["image"])
    questions = {
        "detail_grey": "What does detail similarity of grey in place of colours change?",
        "detail_by_64": "What does dividing it by all 64 patches change?",
    }
    return [_of_variant(question, values, departing[name]) for name, question in questions.items()]


def _of_variant(question: str, values: xr.DataArray, other: xr.DataArray) -> Finding:
    difference = other - values
    means = statistics.mean_with_interval(difference)
    row = means.loc[means["mean"].abs().idxmax()]
    largest = float(np.nanmax(np.abs(difference.values), initial=0))
    return Finding(
        question,
        "some means, visibly" if abs(row["mean"]) > NOTABLE else "little",
        f"the mean of a change by up to {estimate(row, '{:+.2f}')}",
        f"an image's score by up to {largest:.2f}",
    )


def _of_draws(draws: pd.DataFrame) -> Finding:
    first, second = (draws[draws["series"] == name].set_index(["source", "row"]) for name in DRAWS)
    lost = first["low"] > second["high"]
    names = sorted({row for (_, row), is_lost in lost.items() if is_lost})
    return Finding(
        "What do two draws, one for embeddings and one for pixels, change?",
        f"less correlation for {_similar(names)} similarity" if names else "nothing that is sure",
        _of_each(second),
        f"one draw, {_of_each(first)}",
    )


def _of_each(rows: pd.DataFrame) -> str:
    texts = {
        source: _correlations(group.droplevel("source"))
        for source, group in rows.groupby(level="source", sort=False)
    }
    return each(texts)


def _of_linkage(clusters: Mapping[str, Sequence[frozenset[str]]]) -> Finding:
    published, *others = map(set, clusters.values())
    same = sum(partition == published for partition in others)
    return Finding(
        "Does Ward's linkage on cosine distances change the clusters?",
        "no" if same == len(others) else "yes",
        f"{same} of {len(others)} other linkages give the same",
        "Ward's assumes Euclidean distances",
    )
