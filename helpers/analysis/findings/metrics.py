"""What notebook 03 finds: whether six scores agree, and whether their order is learnt."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis import order, paired, statistics
from helpers.analysis.findings import Answer, Finding, each, interval, listed
from helpers.analysis.sources import by_source

EMBEDDING = "embedding_similarity"
COMPARED = ("attention_similarity", "patch_similarity", "edge_similarity", "detail_similarity")
WORDS = {name: name.removesuffix("_similarity") for name in COMPARED}
PARTS = ("all changes", "without noise", "within a change")
"""Over which pairs of image and change scores are correlated; see `correlations`."""
LEVEL = 0.05


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
    for source, own in by_source(scores[[EMBEDDING, *compared]]).items():
        for part, across, chosen in _parts(own):
            found = statistics.correlate_scores(chosen, across=across, seed=seed)
            for name in compared:
                cell = found.sel(score=name, other=EMBEDDING)
                values = [cell[each_].item() for each_ in ("estimate", "low", "high")]
                rows.append([source, part, name, *values])
    return pd.DataFrame(rows, columns=["source", "series", "row", "mean", "low", "high"])


def _parts(scores: xr.Dataset) -> list[tuple[str, str, xr.Dataset]]:
    others = scores.isel(augmentation=np.flatnonzero(scores["augmentation"] != "noise"))
    parts = [(PARTS[0], "pairs", scores), (PARTS[2], "within", scores)]
    if 0 < others.sizes["augmentation"] < scores.sizes["augmentation"]:
        parts.insert(1, (PARTS[1], "pairs", others))
    return parts


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
        Source → `helpers.analysis.order.pairs_beside_untrained`, without noise and of noise alone.
        None where the changes are not the published study's.
    fillings : mapping of str to DataFrame, optional
        Source → `helpers.analysis.fillings.shares_of_filling`.
    parameters : int
        Of the model's image tower.

    Returns
    -------
    Answer
    """
    if not statistics.anything_moved(1 - scores[EMBEDDING]):
        return Answer(statistics.NOTHING_MOVED, [])
    sentences, findings = _of_scores(correlated)
    if agreement:
        said, found = _of_order(agreement, noise)
        sentences, findings = [*said, *sentences], [*found, *findings]
    if fillings:
        said, found = _of_fillings(fillings, parameters)
        sentences, findings = [*sentences, *said], [*findings, *found]
    if scores.sizes["augmentation"] > 1:
        findings = [*findings, _of_pairs(scores[EMBEDDING])]
    return Answer(" ".join(sentences), findings)


# The scores


def _of_scores(correlated: pd.DataFrame) -> tuple[list[str], list[Finding]]:
    if correlated["row"].empty:
        return [], []
    over = PARTS[1] if PARTS[1] in set(correlated["series"]) else PARTS[0]
    across, within = (correlated[correlated["series"] == part] for part in (over, PARTS[2]))
    go_along, go_within = _surely_positive(across), _surely_positive(within)
    words = _verdict(go_along, across)
    without = " with noise left out" if over == PARTS[1] else ""
    sentence = (
        f"Of the scores of attention and pixels, {words} over all changes{without}"
        f"; {_verdict(go_within, within)} among images of the same change."
    )
    of_published = across[across["row"].isin(statistics.PUBLISHED_CORRELATES)]
    findings = [
        Finding(
            f"Which scores correlate with embedding similarity{without}?",
            _names(go_along),
            _ends(across),
            _beside(correlated) if over == PARTS[1] else "0 if they had nothing in common",
        ),
        Finding(
            "Which of them show, among images of one change, which is moved further?",
            _names(go_within),
            _ends(within),
            "0 if they had nothing in common",
        ),
        Finding(
            "Do edge and detail similarity correlate with it, as the study states?",
            _published_verdict(of_published),
            _each_score(of_published),
            "0 if they had nothing in common",
        ),
    ]
    return [sentence], findings


def _surely_positive(table: pd.DataFrame) -> list[str]:
    """Scores whose interval lies above 0 in every source."""
    above = (table["low"] > 0).groupby(table["row"], sort=False).all()
    return list(above.index[above])


def _verdict(names: list[str], table: pd.DataFrame) -> str:
    count = table["row"].nunique()
    if len(names) == count:
        return "all go with embedding similarity"
    if not names:
        return "none surely goes with embedding similarity"
    return f"{listed([WORDS[name] for name in names])} similarity" + (
        " go with embedding similarity" if len(names) > 1 else " goes with embedding similarity"
    )


def _names(names: list[str]) -> str:
    return listed([WORDS[name] for name in names]) if names else "none surely"


def _published_verdict(table: pd.DataFrame) -> str:
    surely = _surely_positive(table)
    if len(surely) == table["row"].nunique():
        return "yes"
    return f"{WORDS[surely[0]]} similarity only" if surely else "not surely"


def _rows_of(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {source: own for source, own in table.groupby("source", sort=False)}


def _text(row: pd.Series) -> str:
    return f"{WORDS[row['row']]} {interval(row['mean'], row['low'], row['high'])}"


def _ends(table: pd.DataFrame) -> str:
    """The weakest and the strongest correlation of each source."""
    texts = {}
    for source, own in _rows_of(table.dropna(subset="mean")).items():
        ordered = own.sort_values("mean", kind="stable")
        ends = ordered.iloc[[0, -1]] if len(ordered) > 1 else ordered
        texts[source] = " to ".join(_text(row) for _, row in ends.iterrows())
    return each(texts) if texts else "–"


def _beside(correlated: pd.DataFrame) -> str:
    return f"with noise, {_ends(correlated[correlated['series'] == PARTS[0]])}"


def _each_score(table: pd.DataFrame) -> str:
    texts = {
        source: ", ".join(_text(row) for _, row in own.iterrows())
        for source, own in _rows_of(table).items()
    }
    return each(texts) if texts else "–"


def _of_pairs(similarity: xr.DataArray) -> Finding:
    counts = {}
    for source, own in by_source(similarity).items():
        pairs = paired.paired_differences(own)
        counts[source] = (int(pairs["differs"].sum()), len(pairs))
    shares = [differ / pairs for differ, pairs in counts.values()]
    words = "most pairs" if min(shares) > 0.5 else "some pairs"
    return Finding(
        "Which changes move embeddings by different amounts?",
        words if max(shares) > 0 else "none can be distinguished",
        each({source: f"{own[0]} of {own[1]} pairs" for source, own in counts.items()}),
        "image by image, false discoveries held at 5 %",
    )


# The order


def _of_order(
    agreement: Mapping[str, pd.DataFrame], noise: Mapping[str, pd.DataFrame]
) -> tuple[list[str], list[Finding]]:
    networks = {source: _networks(own) for source, own in agreement.items()}
    by_chance = {source: own.loc["this model", "p"] > LEVEL for source, own in agreement.items()}
    reached = {
        source: int((networks[source] >= own.loc["this model", "agreeing"]).sum())
        for source, own in agreement.items()
    }
    first, found_noise = _of_noise(noise)
    beyond = _on(by_chance, "no more often than by chance", "more often than by chance")
    taught = _on(
        {source: count > 0 for source, count in reached.items()},
        "untrained networks reach the same agreement",
        "no untrained network reaches the same agreement",
    )
    second = f"The order of the other changes agrees with the published one {beyond}, and {taught}."
    findings = [
        found_noise,
        Finding(
            "Is the order of the other seven the published one?",
            _on(by_chance, "no more than by chance", "more than by chance"),
            each({s: _pairs(own.loc["this model"], p=True) for s, own in agreement.items()}),
            f"chance {_chance(agreement)}; pixels {_row(agreement, 'pixel change')}",
        ),
        Finding(
            "Is that agreement learnt?",
            _on(
                {source: count > 0 for source, count in reached.items()},
                "no sign of it",
                "more than untrained networks have",
            ),
            each({s: f"{own.loc['this model', 'agreeing']:.0f}" for s, own in agreement.items()})
            + " pairs",
            each(
                {
                    source: f"{min(own):.0f} to {max(own):.0f} in untrained networks,"
                    f" {reached[source]} of {len(own)} reach the model's"
                    for source, own in networks.items()
                }
            ),
        ),
    ]
    return [first, second], findings


def _of_noise(noise: Mapping[str, pd.DataFrame]) -> tuple[str, Finding]:
    is_all = {source: own["agreeing"] == own["pairs"] for source, own in noise.items()}
    model = all(own["this model"] for own in is_all.values())
    networks = {source: _networks(own) for source, own in noise.items()}
    furthest = {s: int((own == noise[s]["pairs"].iloc[0]).sum()) for s, own in networks.items()}
    trivial = all(furthest[source] > len(own) / 2 for source, own in networks.items())
    pixels = all(own["pixel change"] for own in is_all.values())
    counts = {source: f"{furthest[source]} of {len(own)}" for source, own in networks.items()}
    sentence = "Noise moves embeddings furthest" if model else "Noise is not always furthest"
    if model and trivial and pixels:
        sentence += ", as it does in untrained networks and changes most pixels"
    elif model:
        sentence += ", which is not so in most untrained networks or in pixels"
    return f"{sentence}.", Finding(
        "Does noise move embeddings furthest (7 of the 23 published pairs)?",
        "yes" if model else "not everywhere",
        each({s: _pairs(own.loc["this model"]) for s, own in noise.items()}),
        f"untrained networks: {each(counts)}; pixels: {'yes' if pixels else 'no'}",
    )


def _networks(table: pd.DataFrame) -> np.ndarray:
    return table.loc[table.index.str.startswith(order.UNTRAINED), "agreeing"].to_numpy()


def _pairs(row: pd.Series, p: bool = False) -> str:
    text = f"{interval(row['agreeing'], row['low'], row['high'], '{:.0f}')} of {row['pairs']:.0f}"
    return f"{text} pairs, p = {row['p']:.2f}" if p else text


def _chance(agreement: Mapping[str, pd.DataFrame]) -> str:
    row = next(iter(agreement.values())).loc[order.CHANCE]
    return interval(row["agreeing"], row["low"], row["high"], "{:.0f}")


def _row(agreement: Mapping[str, pd.DataFrame], name: str) -> str:
    return each({s: f"{own.loc[name, 'agreeing']:.0f}" for s, own in agreement.items()})


def _on(holds: Mapping[str, bool], words: str, others: str) -> str:
    """Choose words by what holds of all sources, of none, or of some."""
    if all(holds.values()):
        return words
    if not any(holds.values()):
        return others
    some = listed([source for source, own in holds.items() if own])
    rest = listed([source for source, own in holds.items() if not own])
    return f"{words} on {some}, {others} on {rest}"


# What is filled in

FILLED = {
    "shift_scale_rotate": "How much of what shift-scale-rotate does is its black border?",
    "elastic": "How much of what elastic does is its black border?",
    "coarse_dropout": "How much of what dropout does is the noise in its squares?",
}
SHORT = {"mean": "mean colour", "reflect": "mirrored", "black": "black"}


def _of_fillings(
    fillings: Mapping[str, pd.DataFrame], parameters: int
) -> tuple[list[str], list[Finding]]:
    findings, words = [], {}
    for name, question in FILLED.items():
        own = {s: table[table["augmentation"] == name] for s, table in fillings.items()}
        lows, highs = (pd.concat(own.values())[side] for side in ("low", "high"))
        words[name] = _part(lows, highs)
        findings.append(
            Finding(
                question,
                words[name],
                each({s: _shares(table) for s, table in own.items()}),
                f"0 if it didn't matter; an image tower of {parameters / 1e6:.1f} million"
                " parameters",
            )
        )
    sentence = (
        f"In this model {words['shift_scale_rotate']} of the shift that is reported for moving an"
        " image goes with its black border."
    )
    return [sentence], findings


def _part(lows: pd.Series, highs: pd.Series) -> str:
    """Say how much a share is, by its intervals under every filling and source."""
    if lows.isna().any():
        return "an unknown part"
    if (lows > 0.5).all():
        return "most"
    if (lows > 0).all():
        return "a part"
    return "nothing that is sure" if (highs < 0.5).all() else "an uncertain part"


def _shares(table: pd.DataFrame) -> str:
    return ", ".join(
        f"{SHORT[row.filling]} {interval(row.share, row.low, row.high, '{:.0%}')}"
        for row in table.itertuples()
    )
