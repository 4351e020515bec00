"""What notebook 07 finds: whether maps of texts, and nearest neighbours by heads, are right."""

from dataclasses import dataclass

import pandas as pd

from helpers.findings import Answer, Finding, estimate, interval

MOSTLY = 0.5


@dataclass(frozen=True)
class EmptyPatch:
    """How often a head's maps of two texts are largest at one patch that shows neither thing.

    Attributes
    ----------
    head : str
        For which it is most often so.
    most, median : float
        Share of the scenes: for that head, and for the median head.
    chance : float
        If each map were largest at a patch drawn at random, at most.
    """

    head: str
    most: float
    median: float
    chance: float


def answer(
    *,
    maps: pd.DataFrame,
    levels: pd.DataFrame,
    untrained: float,
    alone: pd.DataFrame,
    above_chance: tuple[int, int],
    empty_patch: EmptyPatch,
    neighbours: pd.DataFrame,
    hubs: pd.DataFrame,
    equal: float,
    beside: pd.DataFrame,
) -> Answer:
    """Answer whether what single heads find is right.

    Parameters
    ----------
    maps : DataFrame
        Intersection over union of contrasts of two texts: a row per wording, the pair that is drawn
        for it first, with `mean`, `low`, `high`.
    levels : DataFrame
        A row per wording; columns for the same regions against other scenes' masks, for the whole
        image, and for the best that is possible on the model's grid.
    untrained : float
        What the network before training reaches on the pair.
    alone : DataFrame
        The head that finds things best alone, chosen on other scenes: a row per wording, with
        `head`; `mean`, `low`, `high`; `difference`, by how much all heads together are behind it,
        negative where they are ahead, with `difference_low` and `difference_high`; and `together`.
    above_chance : tuple of int
        Heads whose maps find the pair more often than chance, and heads.
    empty_patch : EmptyPatch
    neighbours : DataFrame
        As of `helpers.head_benchmark.scoring.score_neighbours`.
    hubs : DataFrame
        As of `helpers.head_benchmark.scoring.hub_shares`.
    equal : float
        What a hub's share would be if all images were neighbours equally often.
    beside : DataFrame
        A row per wording as in `maps`: `gradients`, what gradient-weighted attention reaches there,
        and `mean`, `low`, `high` of the maps' lead over it, scene by scene.

    Returns
    -------
    Answer
    """
    others = maps.iloc[1:].sort_values("mean", kind="stable")
    findings = [
        _places(maps.iloc[0], levels.iloc[0], untrained),
        _wordings(others, levels),
        _lead(beside),
        _one_head(alone),
        _heads_above(above_chance, levels.iloc[0], untrained),
        _patch(empty_patch),
    ]
    sentence = _maps_in_words(maps.iloc[0], levels.iloc[0], untrained, others)
    together = neighbours.xs("all", level="which") if len(neighbours) else neighbours
    if len(together):
        findings.append(_nearest(neighbours, together))
        sentence += f" {_nearest_in_words(together)}"
    if len(hubs) and hubs.notna().all(axis=None):
        findings.append(_hubs(hubs, equal))
    return Answer(sentence, findings)


def _beats_chance(pair: pd.Series, levels: pd.Series, untrained: float) -> bool:
    return bool(pair["low"] > max(*levels.iloc[:2], untrained))


def _ends(others: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return the wordings that can't be distinguished from the best, and from the worst."""
    best = others.index[others["high"] >= others["low"].iloc[-1]][::-1]
    worst = others.index[others["low"] <= others["high"].iloc[0]]
    return list(best), list(worst)


def _maps_in_words(
    pair: pd.Series, levels: pd.Series, untrained: float, others: pd.DataFrame
) -> str:
    if not _beats_chance(pair, levels, untrained):
        return "Maps of texts find the things that texts name no better than chance."
    best, worst = _ends(others)
    return (
        "Maps of texts find the things that texts name, best where these are named by"
        f" {_either(best)} and worst where by {_either(worst)}."
    )


def _either(names: list[str]) -> str:
    *others, last = names
    # A comma before "or" keeps "colour and shape, or colour" apart.
    joint = ", or " if any(" and " in each for each in names) else " or "
    return f"{', '.join(others)}{joint}{last}" if others else last


def _places(pair: pd.Series, levels: pd.Series, untrained: float) -> Finding:
    shuffled, whole, best = levels
    return Finding(
        "Do all heads together find a red circle and a blue square?",
        "yes" if _beats_chance(pair, levels, untrained) else "no better than chance",
        f"IoU {estimate(pair)}",
        f"other scenes' masks {shuffled:.2f}, whole image {whole:.2f}, untrained {untrained:.2f},"
        f" best on this grid {best:.2f}",
    )


def _wordings(others: pd.DataFrame, levels: pd.DataFrame) -> Finding:
    best, worst = _ends(others)
    bottom, top = others.index[[0, -1]]
    return Finding(
        "By which words are things found?",
        "no wording is surely better than another"
        if {*best} == {*worst}
        else f"best by {_either(best)}, worst by {_either(worst)}",
        f"{top} {others.loc[top, 'mean']:.2f}, {bottom} {others.loc[bottom, 'mean']:.2f}",
        f"chance {levels.loc[bottom].iloc[0]:.2f} for {bottom}",
    )


def _lead(beside: pd.DataFrame) -> Finding:
    ahead, behind = int((beside["low"] > 0).sum()), int((beside["high"] < 0).sum())
    pair = beside.iloc[0]
    return Finding(
        "Do maps find more than gradient-weighted attention (LeGrad's idea)?",
        _lead_in_words(ahead, behind, len(beside)),
        f"lead {estimate(pair, '{:+.2f}')} for {beside.index[0]};"
        f" ahead by {ahead} of {len(beside)} wordings, behind by {behind}",
        f"gradients {pair['gradients']:.2f} for {beside.index[0]}",
    )


def _lead_in_words(ahead: int, behind: int, wordings: int) -> str:
    if ahead == wordings:
        return "yes"
    if behind:
        return "by some words more, by others less" if ahead else "no"
    return "by some words" if ahead else "about as much"


def _one_head(alone: pd.DataFrame) -> Finding:
    verdicts: dict[str, list[str]] = {}
    for wording, row in alone.iterrows():
        verdicts.setdefault(_beside_all(row), []).append(str(wording))
    words = [f"{verdict} for {_either(names)}" for verdict, names in verdicts.items()]
    said = [
        f"{wording}: {row['head']} {estimate(row)}, all {row['together']:.2f}"
        for wording, row in alone.iterrows()
    ]
    less = [
        interval(*row[["difference", "difference_low", "difference_high"]], "{:+.2f}")
        for _, row in alone.iterrows()
    ]
    return Finding(
        "Does one head alone find things as well as all together?",
        "; ".join(words),
        "; ".join(said),
        f"one less all: {'; '.join(less)}; the head was chosen on other scenes",
    )


def _beside_all(row: pd.Series) -> str:
    if row["difference_low"] > 0:
        return "better"
    return "worse" if row["difference_high"] < 0 else "about as well"


def _heads_above(above: tuple[int, int], levels: pd.Series, untrained: float) -> Finding:
    beyond, heads = above
    bar = "most" if 2 * beyond > heads else "half" if 2 * beyond == heads else "fewer than half"
    return Finding(
        "How many single heads find them more often than chance?",
        bar if beyond else "none",
        f"{beyond} of {heads}",
        f"chance {levels.iloc[0]:.2f}; all heads untrained {untrained:.2f}",
    )


def _patch(empty: EmptyPatch) -> Finding:
    return Finding(
        "Does a head put different texts on one empty patch?",
        "some do" if empty.most > max(MOSTLY, empty.chance) else "seldom",
        f"{empty.head} in {empty.most:.0%} of the scenes, the median head in {empty.median:.0%}",
        f"{empty.chance:.0%} at random",
    )


def _nearest_in_words(together: pd.DataFrame) -> str:
    mean = together.mean()
    if mean["cosine"] <= mean["chance"]:
        return "The images nearest by the heads of a property share it no more often than chance."
    many = "mostly share it" if mean["cosine"] > MOSTLY else "share it more often than chance"
    better = "; by inner product fewer do" if mean["inner product"] < mean["cosine"] else ""
    return f"The images nearest by all heads of a property, by cosine, {many}{better}."


def _nearest(neighbours: pd.DataFrame, together: pd.DataFrame) -> Finding:
    single = neighbours[neighbours.index.get_level_values("which") != "all"].mean()
    mean = together.mean()
    ahead = int((together["cosine"] > together["inner product"]).sum())
    return Finding(
        "Do the nearest scenes show the property that heads are named after?",
        "mostly" if mean["cosine"] > MOSTLY else "sometimes",
        f"all heads of a property: {mean['cosine']:.0%} by cosine, {mean['inner product']:.0%} by"
        f" inner product (cosine ahead for {ahead} of {len(together)} properties)",
        f"clearest head alone {single['cosine']:.0%} and {single['inner product']:.0%}; chance"
        f" {mean['chance']:.0%}",
    )


def _hubs(hubs: pd.DataFrame, equal: float) -> Finding:
    middle, widest = hubs.median(), hubs["inner product"].idxmax()
    return Finding(
        "Is one image near to most others?",
        "by inner product, in some heads" if hubs["inner product"].max() > MOSTLY else "no",
        f"the commonest neighbour is near {middle['inner product']:.0%} of the images in the median"
        f" head, {hubs.loc[widest, 'inner product']:.0%} in {widest}",
        f"by cosine {middle['cosine']:.0%}; {equal:.0%} if all were near equally often",
    )
