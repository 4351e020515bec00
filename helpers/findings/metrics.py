"""What notebook 03 finds: whether six scores agree, and whether their order is learnt."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis import order, statistics
from helpers.analysis.sources import by_source
from helpers.findings import (
    NOTHING_MOVED,
    Answer,
    Finding,
    each,
    estimate,
    interval,
    listed,
    once_or_each,
    verb,
)

EMBEDDING = "embedding_similarity"
COMPARED = ("attention_similarity", "patch_similarity", "edge_similarity", "detail_similarity")
WORDS = {name: name.removesuffix("_similarity") for name in COMPARED}
PARTS = ("all changes", "without noise", "within a change")
"""Over which pairs of image and change scores are correlated; see `correlations`."""
LEVEL = 0.05
NOTHING_IN_COMMON = "0 if they had nothing in common"


def correlations(scores: xr.Dataset, seed: int = 0) -> pd.DataFrame:
    """Correlate the scores of attention and pixels with embedding similarity, source by source.

    Parameters
    ----------
    scores : Dataset
        A variable per score, (image, augmentation).
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        Columns `source`, `series` (`PARTS`), `row` (the score), `mean` (Spearman's correlation),
        `low` and `high`. Over all pairs of image and change; with noise left out where there are
        other changes, too; and within a change, where only images are compared.
    """
    rows = []
    compared = [name for name in COMPARED if name in scores]
    for source, group in by_source(scores[[EMBEDDING, *compared]]).items():
        for part, across, chosen in _parts(group):
            matrices = statistics.correlate_scores(chosen, across=across, seed=seed)
            for name in compared:
                cell = matrices.sel(score=name, other=EMBEDDING)
                values = [cell[each_].item() for each_ in ("estimate", "low", "high")]
                rows.append([source, part, name, *values])
    return pd.DataFrame(rows, columns=["source", "series", "row", "mean", "low", "high"])


def _parts(scores: xr.Dataset) -> list[tuple[str, str, xr.Dataset]]:
    others = scores.isel(augmentation=np.flatnonzero(scores["augmentation"] != "noise"))
    parts = [(PARTS[0], "pairs", scores), (PARTS[2], "within", scores)]
    if 0 < others.sizes["augmentation"] < scores.sizes["augmentation"]:
        parts.insert(1, (PARTS[1], "pairs", others))
    return parts


def agreement(
    moved: xr.DataArray,
    pixels: xr.DataArray,
    untrained: xr.DataArray,
    groups: order.Groups,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """Hold each source's order against the published one.

    Parameters
    ----------
    moved, pixels, untrained : DataArray
        As for `helpers.analysis.order.pairs_beside_untrained`, of all sources.
    groups : sequence of sequence of str
        Which part of the published order, such as `helpers.analysis.order.BEYOND_NOISE`.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict of str to DataFrame
        Source → table.
    """
    sides = [by_source(values) for values in (moved, pixels, untrained)]
    return {
        source: order.pairs_beside_untrained(
            *(side[source] for side in sides), groups=groups, seed=seed
        )
        for source in sides[0]
    }


def answer(
    scores: xr.Dataset,
    correlated: pd.DataFrame,
    agreement: Mapping[str, pd.DataFrame] | None = None,
    noise: Mapping[str, pd.DataFrame] | None = None,
    fillings: Mapping[str, pd.DataFrame] | None = None,
    parameters: int = 0,
) -> Answer:
    """Answer whether six scores agree, and whether their order is learnt.

    Parameters
    ----------
    scores : Dataset
        A variable per score, (image, augmentation).
    correlated : DataFrame
        As of `correlations`.
    agreement, noise : mapping of str to DataFrame, optional
        As of `agreement`, of the groups `BEYOND_NOISE` and `NOISE_FIRST`. None where the changes
        are not the published study's.
    fillings : mapping of str to DataFrame, optional
        Source → `helpers.analysis.shifts.shares_of_filling`.
    parameters : int
        Of the model's image tower.

    Returns
    -------
    Answer
    """
    if not statistics.anything_moved(1 - scores[EMBEDDING]):
        return Answer(NOTHING_MOVED, [])
    sentences, findings = _of_scores(correlated)
    if agreement:
        said, rows = _of_order(agreement, noise)
        sentences, findings = [*said, *sentences], [*rows, *findings]
    if fillings:
        said, rows = _of_fillings(fillings, parameters)
        sentences, findings = [*sentences, *said], [*findings, *rows]
    if scores.sizes["augmentation"] > 1:
        findings = [*findings, _of_pairs(scores[EMBEDDING])]
    return Answer(" ".join(sentences), findings)


# The scores


def _of_scores(correlated: pd.DataFrame) -> tuple[list[str], list[Finding]]:
    if correlated.empty:
        return [], []
    over = PARTS[1] if PARTS[1] in set(correlated["series"]) else PARTS[0]
    across, within = (correlated[correlated["series"] == part] for part in (over, PARTS[2]))
    go_along, go_within = _surely_positive(across), _surely_positive(within)
    both = [name for name in go_along if name in go_within]
    count = correlated["row"].nunique()
    how_many = "all" if len(both) == count else "none" if not both else listed(_words(both))
    sentence = (
        f"Of the other scores ({listed(_words(correlated['row'].unique()))} similarity), {how_many}"
        f" surely {'go' if len(both) != 1 else 'goes'} with embedding similarity, over all changes"
        " and among the images of a single one."
    )
    without = " with noise left out" if over == PARTS[1] else ""
    return [sentence], [
        Finding(
            f"Which scores correlate with embedding similarity{without}?",
            _by_source(across),
            _ends(across),
            f"with noise, {_ends(correlated[correlated['series'] == PARTS[0]])}"
            if without
            else NOTHING_IN_COMMON,
        ),
        Finding(
            "Which show, among the images of one change, which of them is moved further?",
            _by_source(within),
            _ends(within),
            NOTHING_IN_COMMON,
        ),
    ]


def _surely_positive(table: pd.DataFrame) -> list[str]:
    """Scores whose interval lies above 0 in every source."""
    above = (table["low"] > 0).groupby(table["row"], sort=False).all()
    return list(above.index[above])


def _words(names: Iterable[str]) -> list[str]:
    return [WORDS[name] for name in names]


def _by_source(table: pd.DataFrame) -> str:
    """List the scores that surely correlate, source by source."""
    words = {}
    for source, group in _rows_of(table).items():
        names = _surely_positive(group)
        words[source] = listed(_words(names)) if names else "none surely"
        if len(names) == len(group) > 1:
            words[source] = "all"
    return once_or_each(words)


def _rows_of(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return dict(list(table.groupby("source", sort=False)))


def _text(row: pd.Series) -> str:
    return f"{WORDS[row['row']]} {estimate(row)}"


def _ends(table: pd.DataFrame) -> str:
    """Write the weakest and the strongest correlation of each source."""
    texts = {}
    for source, group in _rows_of(table.dropna(subset="mean")).items():
        ordered = group.sort_values("mean", kind="stable")
        ends = ordered.iloc[[0, -1]] if len(ordered) > 1 else ordered
        texts[source] = " to ".join(_text(row) for _, row in ends.iterrows())
    return each(texts) if texts else "–"


def _of_pairs(similarity: xr.DataArray) -> Finding:
    counts = {}
    for source, part in by_source(similarity).items():
        pairs = statistics.paired_differences(part)
        counts[source] = (int(pairs["differs"].sum()), len(pairs))
    shares = [differ / pairs for differ, pairs in counts.values()]
    words = "most pairs" if min(shares) > 0.5 else "some pairs"
    return Finding(
        "Which changes move embeddings by different amounts?",
        words if max(shares) > 0 else "none can be distinguished",
        each({source: f"{group[0]} of {group[1]} pairs" for source, group in counts.items()}),
        "image by image, false discoveries held at 5 %",
    )


# The order


def _of_order(
    agreement: Mapping[str, pd.DataFrame], noise: Mapping[str, pd.DataFrame]
) -> tuple[list[str], list[Finding]]:
    networks = {source: _networks(group) for source, group in agreement.items()}
    same = {source: group.loc[order.SAME_IMAGES] for source, group in agreement.items()}
    by_chance = {s: not group.loc[order.MODEL, "p"] <= LEVEL for s, group in agreement.items()}
    learnt = {source: group["low"] > max(networks[source]) for source, group in same.items()}
    reach = {s: int((group >= same[s]["agreeing"]).sum()) for s, group in networks.items()}
    first, noise_finding = _of_noise(noise)
    beyond = _on(by_chance, "not surely more often than by chance", "more often than by chance")
    taught = _on(
        learnt,
        "it does so more often than untrained networks",
        "there is no sure sign that the agreement is learnt",
    )
    second = f"The order of the others agrees with the published one {beyond}; {taught}."
    untrained = {
        source: f"{_range(group)} in {len(group)} untrained networks, of which {reach[source]}"
        " reach the model's"
        for source, group in networks.items()
    }
    return [first, second], [
        noise_finding,
        Finding(
            "Is the order of the other seven the published one?",
            _on(by_chance, "not surely more than by chance", "more than by chance"),
            each({s: _pairs(group.loc[order.MODEL], p=True) for s, group in agreement.items()}),
            f"chance {_chance(agreement)}; by pixels {_counts(agreement, order.PIXELS)}",
        ),
        Finding(
            "Is that agreement learnt?",
            _on(learnt, "yes", "no sure sign of it"),
            each({s: _pairs(group) for s, group in same.items()}),
            f"on the same images, {each(untrained)}",
        ),
    ]


def _of_noise(noise: Mapping[str, pd.DataFrame]) -> tuple[str, Finding]:
    is_all = {source: group["agreeing"] == group["pairs"] for source, group in noise.items()}
    model = all(group[order.MODEL] for group in is_all.values())
    networks = {source: _networks(group) for source, group in noise.items()}
    furthest = {s: int((group == noise[s]["pairs"].iloc[0]).sum()) for s, group in networks.items()}
    trivial = all(furthest[source] > len(group) / 2 for source, group in networks.items())
    pixels = all(group[order.PIXELS] for group in is_all.values())
    counts = {source: f"{furthest[source]} of {len(group)}" for source, group in networks.items()}
    sentence = "Noise moves embeddings furthest" if model else "Noise is not always furthest"
    if model and trivial and pixels:
        sentence += ", as it does in untrained networks, and it changes pixels most"
    elif model:
        sentence += ", which is not so in most untrained networks or in pixels"
    return f"{sentence}.", Finding(
        "Does noise move embeddings furthest (7 of the 23 published pairs)?",
        "yes" if model else "not everywhere",
        each({s: _pairs(group.loc[order.MODEL]) for s, group in noise.items()}),
        f"untrained networks: {each(counts)}; pixels: {'yes' if pixels else 'no'}",
    )


def _networks(table: pd.DataFrame) -> np.ndarray:
    return table.loc[table.index.str.startswith(order.UNTRAINED), "agreeing"].to_numpy()


def _range(counts: np.ndarray) -> str:
    low, high = (f"{count:.0f}" for count in (min(counts), max(counts)))
    return low if low == high else f"{low} to {high}"


def _pairs(row: pd.Series, p: bool = False) -> str:
    text = f"{estimate(row, '{:.0f}', of='agreeing')} of {row['pairs']:.0f}"
    return f"{text} pairs, p = {row['p']:.2f}" if p else text


def _chance(agreement: Mapping[str, pd.DataFrame]) -> str:
    row = next(iter(agreement.values())).loc[order.CHANCE]
    return estimate(row, "{:.0f}", of="agreeing")


def _counts(agreement: Mapping[str, pd.DataFrame], name: str) -> str:
    return each({s: f"{group.loc[name, 'agreeing']:.0f}" for s, group in agreement.items()})


def _on(holds: Mapping[str, bool], words: str, others: str) -> str:
    """Choose words by what holds of all sources, of none, or of some."""
    if all(holds.values()):
        return words
    if not any(holds.values()):
        return others
    some = listed([source for source, group in holds.items() if group])
    rest = listed([source for source, group in holds.items() if not group])
    return f"{words} on {some}, {others} on {rest}"


# What is filled in

FILLED = {
    "shift_scale_rotate": "How much of shift-scale-rotate's shift is its black border?",
    "elastic": "How much of elastic's shift is its black border?",
    "coarse_dropout": "How much of dropout's shift goes when its squares have the mean colour?",
}
BORDERED = {"shift_scale_rotate": "shift-scale-rotate", "elastic": "elastic"}
SHORT = {"mean": "mean colour", "reflect": "mirrored", "black": "black squares"}
UNLIKE_PUBLISHED = ("mean", "reflect")
"""Fillings without the edges that black and noise have."""


def _of_fillings(
    fillings: Mapping[str, pd.DataFrame], parameters: int
) -> tuple[list[str], list[Finding]]:
    size = f"0 if it didn't matter; image tower of {parameters / 1e6:.1f} million parameters"
    findings, words = [], {}
    for name, question in FILLED.items():
        tables = {s: table[table["augmentation"] == name] for s, table in fillings.items()}
        plain = {s: table[table["filling"].isin(UNLIKE_PUBLISHED)] for s, table in tables.items()}
        black = {s: table[table["filling"] == "black"] for s, table in tables.items()}
        words[name] = _part(pd.concat(plain.values()))
        has_black = len(next(iter(black.values()))) > 0
        beside = f"{_shares(black)}; below 0, they move images further" if has_black else size
        findings.append(Finding(question, words[name], _shares(plain), beside))
    return [_of_borders(words)], findings


def _of_borders(words: Mapping[str, str]) -> str:
    parts: dict[str, list[str]] = {}
    for name, called in BORDERED.items():
        parts.setdefault(words[name], []).append(called)
    texts = [f"{part} of the shift under {listed(names)}" for part, names in parts.items()]
    return f"In this model {listed(texts)} {verb(texts, 'come')} from the black border."


def _part(shares: pd.DataFrame) -> str:
    """Say how much a share is, by its intervals under every filling and source."""
    if shares["low"].isna().any():
        return "an unknown part"
    if (shares["low"] > 0.5).all():
        return "most"
    if (shares["low"] > 0).all():
        return "a part"
    return "no sure part"


def _shares(tables: Mapping[str, pd.DataFrame]) -> str:
    texts = {
        source: ", ".join(
            f"{SHORT[row.filling]} {interval(row.share, row.low, row.high, '{:.0%}')}"
            for row in table.itertuples()
        )
        for source, table in tables.items()
    }
    return each(texts)
