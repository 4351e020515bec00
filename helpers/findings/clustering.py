"""What notebook 04 finds: which changes move images the same way."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis.proximity import (
    PUBLISHED_METHOD,
    Clustering,
    cluster,
    mean_cosine_distance,
    stability,
)
from helpers.analysis.shifts import PUBLISHED, Directions
from helpers.analysis.statistics import FALSE_DISCOVERY_RATE
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
)

RESTATES = 0.8
"""Rank correlation from which on distances are called a restatement of lengths."""
HALF = 0.5


@dataclass(frozen=True)
class Tree:
    """The published clustering of one source's images, and how sure it is."""

    tree: Clustering  # by the published linkage
    same: float  # share of bootstrap resamples of the images with the same clusters
    other: Clustering  # by average linkage


def published_tree(embeddings: xr.DataArray, seed: int = 0) -> Tree:
    """Cluster the changes of one source's images as the study does.

    Parameters
    ----------
    embeddings : DataArray, (image, view, feature)
        Of the changed views.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Tree
    """
    values = embeddings.transpose("image", "view", "feature").values
    distances, names = mean_cosine_distance(values), list(embeddings["view"].values)
    tree, other = (cluster(distances, names, method=m) for m in (PUBLISHED_METHOD, "average"))
    return Tree(tree, stability(values, method=PUBLISHED_METHOD, seed=seed).same_clusters, other)


def matrix_of(directions: Directions) -> pd.DataFrame:
    """Return the cosines below the diagonal that are surely not 0; NaN in place of all others."""
    count = len(directions.common)
    below = np.tril(np.ones((count, count), bool), k=-1)
    kept = directions.cosines["estimate"].to_pandas().where(directions.distinct() & below)
    return kept.iloc[1:, :-1]


def pairs_of(directions: Directions) -> pd.DataFrame:
    """List the pairs of changes whose mean shifts surely don't meet at a right angle.

    Parameters
    ----------
    directions : Directions

    Returns
    -------
    DataFrame
        Columns `augmentation`, `other`, `estimate` (cosine), `low`, `high`; the most alike first.
    """
    names = directions.common.index
    upper = np.triu(np.ones(2 * (len(names),), bool), k=1)
    kept = directions.distinct().to_numpy() & upper
    rows = [
        [names[a], names[b], *(directions.cosines[n].values[a, b] for n in INTERVAL)]
        for a, b in np.argwhere(kept)
    ]
    table = pd.DataFrame(rows, columns=["augmentation", "other", *INTERVAL])
    return table.dropna().sort_values("estimate", ascending=False, kind="stable")


INTERVAL = ("estimate", "low", "high")


def answer(
    directions: Mapping[str, Directions],
    distances: Mapping[str, pd.DataFrame],
    trees: Mapping[str, Tree],
    words: Mapping[str, str],
    refilled: Mapping[str, pd.DataFrame] | None = None,
) -> Answer:
    """Answer which changes move images the same way, by direction and by distance.

    Parameters
    ----------
    directions : mapping of str to Directions
        By source of images, as all others.
    distances : mapping of str to DataFrame
        As of `helpers.analysis.proximity.distances_beside_lengths`.
    trees : mapping of str to Tree
    words : mapping of str to str
        How a change is called within a sentence.
    refilled : mapping of str to DataFrame, optional
        As of `helpers.analysis.shifts.cosines_refilled`. None where the changes are not the
        published study's.

    Returns
    -------
    Answer
    """
    if not any((table["moved"] > 1e-6).any() for table in distances.values()):
        return Answer(NOTHING_MOVED, [])
    alike, pair_finding = _of_pairs(directions, words)
    restated, distance_findings = _of_distances(directions, distances, trees, words)
    findings = [pair_finding, _of_own_direction(directions)]
    sentences = [alike]
    if refilled:
        paint, paint_findings = _of_paint(refilled, words)
        sentences, findings = [*sentences, paint], [*findings, *paint_findings]
    return Answer(" ".join([*sentences, restated]), [*findings, *distance_findings])


def _of_pairs(
    directions: Mapping[str, Directions], words: Mapping[str, str]
) -> tuple[str, Finding]:
    question = "Which two changes move images most nearly the same way?"
    tables = {source: pairs_of(group) for source, group in directions.items()}
    tops = {source: group.iloc[0] for source, group in tables.items() if len(group)}
    if not tops or not any(top["estimate"] > 0 for top in tops.values()):
        result = Finding(question, "none surely", "–", "0 at a right angle")
        return "No two changes surely move images the same way.", result
    names = {source: _both(top, words) for source, top in tops.items()}
    texts = set(names.values())
    everywhere = len(texts) == 1 and len(tops) == len(tables)
    pair = texts.pop() if everywhere else _on(names)
    overlapping = {
        source: int((group["high"] > group["low"].iloc[0]).sum() - 1)
        for source, group in tables.items()
        if source in tops
    }
    ties = {source: f"{count} other pairs overlap" for source, count in overlapping.items()}
    start = "The changes that move images most nearly the same way are"
    return f"{start} {pair}.", Finding(
        question,
        pair,
        each({source: interval(*top[list(INTERVAL)]) for source, top in tops.items()}),
        f"0 at a right angle; {each(ties)}",
    )


def _both(row: pd.Series, words: Mapping[str, str]) -> str:
    return f"{words[row['augmentation']]} and {words[row['other']]}"


def _on(names: Mapping[str, str]) -> str:
    return ", ".join(f"{name} on {source}" for source, name in names.items())


def _of_own_direction(directions: Mapping[str, Directions]) -> Finding:
    surely = {s: (group.common["q"] <= FALSE_DISCOVERY_RATE) for s, group in directions.items()}
    shares = [group.mean() for group in surely.values()]
    words = "all" if min(shares) == 1 else "most" if min(shares) > HALF else "some"
    return Finding(
        "How many changes move different images in a common direction?",
        words if max(shares) > 0 else "none surely",
        each({source: f"{group.sum()} of {len(group)}" for source, group in surely.items()}),
        "shifts of random sign; false discoveries held at 5 %",
    )


# Paint


def _of_paint(
    refilled: Mapping[str, pd.DataFrame], words: Mapping[str, str]
) -> tuple[str, list[Finding]]:
    first = next(iter(refilled.values()))
    pairs = list(dict.fromkeys(zip(first["augmentation"], first["other"], strict=True)))
    findings, sentences = [], []
    for change, other in pairs:
        tables = {
            source: table[(table["augmentation"] == change) & (table["other"] == other)]
            for source, table in refilled.items()
        }
        verdicts = {source: _verdict(table) for source, table in tables.items()}
        name = f"{words[change]} and {words[other]}"
        sentences.append(_paint_in_a_sentence(name, verdicts))
        findings.append(
            Finding(
                f"Does what they paint make {name} alike?",
                once_or_each(verdicts),
                "as published, " + each({s: _cosine(table.iloc[0]) for s, table in tables.items()}),
                each({source: _others(table) for source, table in tables.items()}),
            )
        )
    return " ".join(sentences), findings


YES, PART, NO, UNKNOWN = "yes", "in part", "no", "not sure"
GONE = "hardly any common direction is left without it"
UNSURE = "not surely alike as published"
_SAID = {
    YES: "what they paint makes them alike",
    PART: "what they paint makes them alike, at least in part",
    NO: "what they paint is not what makes them alike",
    GONE: "hardly any common direction is left without what they paint",
    UNKNOWN: "whether what they paint makes them alike is not sure",
    UNSURE: "they are not surely alike",
}
HARDLY = 0.1
"""Part of the squared length of a common shift up to which hardly any of it is left."""


def _verdict(table: pd.DataFrame) -> str:
    """Say whether a cosine that is surely above 0 falls when the filling is another.

    A cosine with a shift that is all but gone is not known, so that its interval shows no fall.
    """
    published, others = table.iloc[0], table[1:]
    if not published["low"] > 0:
        return UNSURE
    falls = others["high"] < published["low"]
    gone = (others["left"] < HARDLY) & ~(others["low"] > 0)
    if (falls | gone).all():
        return YES if falls.any() else GONE
    if falls.any():
        return PART
    return NO if (others["low"] > 0).all() else UNKNOWN


def _paint_in_a_sentence(name: str, verdicts: Mapping[str, str]) -> str:
    said = {source: _SAID[verdict] for source, verdict in verdicts.items()}
    if len(set(said.values())) == 1:
        return f"{capital(name)}: {next(iter(said.values()))}."
    return f"{capital(name)}: {'; '.join(f'on {s} {text}' for s, text in said.items())}."


SHORT = {"mean": "mean colour", "reflect": "mirrored", "black": "black", PUBLISHED: PUBLISHED}


def _cosine(row: pd.Series) -> str:
    text = estimate(row, of="estimate")
    return "no direction" if text == "–" else text


def _others(table: pd.DataFrame) -> str:
    return ", ".join(
        f"{SHORT[row['filling']]} {_cosine(row)}{_left(row)}" for _, row in table[1:].iterrows()
    )


def _left(row: pd.Series) -> str:
    return f" ({row['left']:.0%} of the common shift left)" if row["left"] < HARDLY else ""


# Distances


def _of_distances(
    directions: Mapping[str, Directions],
    distances: Mapping[str, pd.DataFrame],
    trees: Mapping[str, Tree],
    words: Mapping[str, str],
) -> tuple[str, list[Finding]]:
    by_length = {
        s: _rank_correlation(group["distance"], group["moved"]) for s, group in distances.items()
    }
    by_angle = {
        source: _rank_correlation(group["distance"], _cosines(directions[source], group))
        for source, group in distances.items()
    }
    restates = all(value > RESTATES for value in by_length.values())
    verdict = "no: they restate how far each moves images" if restates else "in part"
    clusters = {source: in_words(group.tree, words) for source, group in trees.items()}
    same = all(_partition(group.tree) == _partition(group.other) for group in trees.values())
    texts = set(clusters.values())
    findings = [
        Finding(
            "Do distances between views show which changes are alike?",
            verdict,
            "correlation with how far both move images, "
            + each({source: f"{value:.2f}" for source, value in by_length.items()}),
            "with the cosine of their directions, "
            + each({source: _number(value) for source, value in by_angle.items()}),
        ),
        Finding(
            "What does the published clustering find?",
            texts.pop() if len(texts) == 1 else each(clusters),
            each({source: _share(group.same) for source, group in trees.items()}),
            f"average linkage gives {'the same' if same else 'other clusters'}",
        ),
    ]
    sentence = (
        "Distances between views, which the study clusters, restate how far each change moves"
        " images."
        if restates
        else "Distances between views, which the study clusters, show more than how far each change"
        " moves images."
    )
    return sentence, findings


def in_words(tree: Clustering, words: Mapping[str, str]) -> str:
    """Write clusters, the smallest first, such as ``noise; all others``."""
    members = sorted(tree.members(), key=len)
    names = [listed([words[name] for name in cluster]) for cluster in members[:-1]]
    return "; ".join([*names, "all others"]) if names else "one cluster"


def _partition(tree: Clustering) -> set[frozenset[str]]:
    return set(map(frozenset, tree.members()))


def _share(same: float) -> str:
    return "–" if np.isnan(same) else f"the same in {same:.0%} of resamples"


def _cosines(directions: Directions, pairs: pd.DataFrame) -> np.ndarray:
    table = directions.cosines["estimate"].to_pandas()
    places = zip(pairs["augmentation"], pairs["other"], strict=True)
    return np.array([table.loc[first, other] for first, other in places])


def _rank_correlation(first: pd.Series, other: np.ndarray | pd.Series) -> float:
    return pd.Series(np.asarray(first)).corr(pd.Series(np.asarray(other)), method="spearman")


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"
