"""What zero-shot answers become under a change, and which concepts images gain and lose.

Neither needs true answers. Every property of a pool of texts, or any list of classes, is a
question; its values are the answers.

Concepts don't exclude each other, unlike answers. An embedding about the mean of the originals is
written as a sparse non-negative sum of texts about their own mean, after SpLiCE (Bhalla et al.,
NeurIPS 2024, arXiv 2402.10376).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats
from sklearn.decomposition import sparse_encode

from helpers import ties
from helpers.analysis.predictions import answered
from helpers.analysis.proximity import unit_vectors
from helpers.analysis.sources import evenly
from helpers.analysis.statistics import (
    FALSE_DISCOVERY_RATE,
    TAILS,
    false_discovery_rates,
    resample_counts,
)
from helpers.data.changes import ORIGINAL

KEYS = ["augmentation", "property"]
LEAST_CHANGES = 6
"""Fewer images that take an answer up or give it up can't be significant, whichever way they go."""
RESAMPLES = 500
STRONGEST = 2
"""Concepts that a change gains most in a source, and as many that it loses most, in `grid`."""
ROWS = 20
"""Of `grid`, at most."""
PENALTY = 0.1
"""Of the lasso, where embeddings have length 1 in the root mean square: about ten concepts each."""
LEAST_PAIRS = 5
SHOWN = 0.005
MOST_IMAGES = 100
"""Of each source: with thousands of texts, the views of an image take a quarter of a second."""


# Answers


def before_after(answers: xr.DataArray) -> pd.DataFrame:
    """Count which answer every answer becomes.

    Parameters
    ----------
    answers : DataArray of str, (image, view, property)
        As of `answered`, of one source, with the view ``original``.

    Returns
    -------
    DataFrame
        Columns `augmentation`, `property`, `before`, `after` and `images`: the number of images
        with these two answers. Pairs of answers that no image has are left out.
    """
    after = answers.drop_sel(view=ORIGINAL).rename(view="augmentation")
    before = answers.sel(view=ORIGINAL, drop=True).broadcast_like(after)
    pairs = xr.Dataset({"before": before, "after": after}).to_dataframe()
    columns = [*KEYS, "before", "after"]
    counts = pairs.reset_index().groupby(columns, sort=False).size().rename("images").reset_index()
    order = {name: place for place, name in enumerate(after["augmentation"].values.tolist())}
    key = {"key": lambda column: column.map(order) if column.name == KEYS[0] else column}
    return counts.sort_values(columns, ignore_index=True, **key)


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """Say how much more, or less, often every answer is given after a change than before.

    If the change favours no answer, as many images take one up as give it up: McNemar's exact test,
    two-sided. False discoveries are held at 5 % over all answers and changes that the test could
    find (Gilbert 2005): those that `LEAST_CHANGES` images or more take up or give up.

    Parameters
    ----------
    table : DataFrame
        As of `before_after`.

    Returns
    -------
    DataFrame
        A row per change and answer, most gained first within a change: `augmentation`, `property`,
        `answer`, the counts `before` and `after` of `n` images, `gain` (the difference as a part of
        n) with `low` and `high` (95 %, Agresti and Min 2005), `q` and `found`. The interval is NaN
        for a single image.
    """
    counts = {
        "before": table.groupby([*KEYS, "before"])["images"].sum(),
        "after": table.groupby([*KEYS, "after"])["images"].sum(),
    }
    changed = table[table["before"] != table["after"]]
    counts["up"] = changed.groupby([*KEYS, "after"])["images"].sum()
    counts["down"] = changed.groupby([*KEYS, "before"])["images"].sum()
    renamed = {name: count.rename_axis([*KEYS, "answer"]) for name, count in counts.items()}
    rows = pd.DataFrame(renamed).fillna(0).astype(int).reset_index()
    n = table.groupby(KEYS)["images"].sum().rename("n")
    rows = rows.join(n, on=KEYS)
    rows = rows.assign(gain=(rows["up"] - rows["down"]) / rows["n"], **_intervals(rows))
    q = false_discovery_rates(_mcnemar(rows["up"], rows["down"]))
    rows = rows.assign(q=q, found=q <= FALSE_DISCOVERY_RATE)
    return _most_gained_first(rows, table["augmentation"].unique()).drop(columns=["up", "down"])


def most_gained(table: pd.DataFrame, k: int) -> pd.DataFrame:
    """Take the answers that each change brings most often.

    Parameters
    ----------
    table : DataFrame
        As of `gains`.
    k : int
        Answers per change, at most.

    Returns
    -------
    DataFrame
        Rows of the table that are found and gain; a change may have none.
    """
    rows = table[table["found"] & (table["gain"] > 0)]
    return rows.groupby("augmentation", sort=False).head(k)


def commonest(table: pd.DataFrame) -> pd.DataFrame:
    """Take for each change the answer that most images exchange for one other.

    Parameters
    ----------
    table : DataFrame
        As of `before_after`.

    Returns
    -------
    DataFrame
        `property`, `before`, `after` and `images`, by `augmentation`; the first of the table where
        several are as frequent. A change that changes no answer has no row.
    """
    other = table[table["before"] != table["after"]]
    most = other.groupby("augmentation", sort=False)["images"].idxmax()
    return other.loc[most].set_index("augmentation")


def crossed(table: pd.DataFrame, change: str, most: int) -> pd.DataFrame:
    """Cross the answers before a change with those after it.

    Parameters
    ----------
    table : DataFrame
        As of `before_after`, of one question.
    change : str
    most : int
        Answers at most: those that are given most often, before and after together.

    Returns
    -------
    DataFrame of int
        Answers before × answers after: the number of images with both.
    """
    rows = table[table["augmentation"] == change]
    counts = rows.pivot_table("images", "before", "after", aggfunc="sum", fill_value=0)
    names = sorted({*counts.index, *counts.columns})
    counts = counts.reindex(index=names, columns=names, fill_value=0)
    kept = ties.ranked((counts.sum() + counts.sum(axis=1)).astype(float)).index[:most]
    kept = [name for name in names if name in kept]
    return counts.loc[kept, kept].astype(int)


def changed(table: pd.DataFrame) -> pd.DataFrame:
    """Count the images whose answer changes, whatever it becomes.

    An exchange of answers, such as of left and right in a mirror, leaves every answer as frequent
    as it was.

    Parameters
    ----------
    table : DataFrame
        As of `before_after`.

    Returns
    -------
    DataFrame of int, (augmentation, property)
    """
    other = table["images"].where(table["before"] != table["after"], 0)
    counts = other.groupby([table[key] for key in KEYS], sort=False).sum()
    return counts.unstack().loc[table["augmentation"].unique(), table["property"].unique()]


def most_changed(shares: Mapping[str, pd.DataFrame], k: int) -> dict[str, pd.DataFrame]:
    """Keep the questions to which most images get another answer under some change.

    Parameters
    ----------
    shares : mapping of str to DataFrame, (augmentation, property)
        Source → as of `changed`, as shares of its images.
    k : int
        Questions at most.

    Returns
    -------
    dict of str to DataFrame
        The same questions of every source, in their order.
    """
    largest = pd.concat([group.max() for group in shares.values()], axis=1).max(axis=1)
    kept = ties.ranked(largest).index[:k]
    return {
        s: group[[name for name in group.columns if name in kept]] for s, group in shares.items()
    }


def by_depth(answers: xr.DataArray, gained: pd.DataFrame) -> pd.DataFrame:
    """Count at every depth the images that give the answers that changes bring.

    Parameters
    ----------
    answers : DataArray of str, (image, view, depth, property)
        As of `helpers.runs.derived.zero_shot.answers_at_every_depth`, of one source.
    gained : DataFrame
        Rows of `gains`.

    Returns
    -------
    DataFrame
        A row per row of the table and depth: `augmentation`, `property`, `answer`, `depth`, the
        number of `images`, the shares of them `before` and `after` the change, and `gain`, their
        difference.
    """
    rows = []
    for row in gained.itertuples():
        same = answers.sel(property=row.property) == row.answer
        share = same.mean("image").transpose("view", "depth")
        curve = {"before": share.sel(view=ORIGINAL).values}
        curve["after"] = share.sel(view=row.augmentation).values
        curve |= {"depth": answers["depth"].values, "images": answers.sizes["image"]}
        names = {"augmentation": row.augmentation, "property": row.property, "answer": row.answer}
        rows.append(pd.DataFrame(curve).assign(**names))
    columns = [*KEYS, "answer", "depth", "images", "before", "after"]
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)
    return table[columns].assign(gain=table["after"] - table["before"])


def arises(depths: pd.DataFrame) -> pd.DataFrame:
    """Say from which depth on an answer has at least half of the gain that it has in the end.

    Parameters
    ----------
    depths : DataFrame
        As of `by_depth`.

    Returns
    -------
    DataFrame
        `augmentation`, `property`, `answer`, the number of `images`, `gain` at the end and `depth`,
        "" where these images show no gain at the end.
    """
    keys = [*KEYS, "answer"]
    rows = []
    for names, group in depths.groupby(keys, sort=False):
        gain = group["gain"].to_numpy()
        reached = np.logical_and.accumulate((gain >= gain[-1] / 2)[::-1])[::-1]
        depth = group["depth"].iloc[reached.argmax()] if gain[-1] > 0 else ""
        rows.append((*names, group["images"].iloc[0], gain[-1], depth))
    return pd.DataFrame(rows, columns=[*keys, "images", "gain", "depth"])


def _intervals(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Interval of a difference of paired shares: half an image is added to every cell."""
    n, up, down = rows["n"] + 2, rows["up"] + 0.5, rows["down"] + 0.5
    middle = (up - down) / n
    around = stats.norm.ppf(TAILS[1]) * np.sqrt(up + down - (up - down) ** 2 / n) / n
    known = rows["n"] > 1
    ends = {"low": middle - around, "high": middle + around}
    return {name: end.clip(-1, 1).where(known) for name, end in ends.items()}


def _mcnemar(up: pd.Series, down: pd.Series) -> np.ndarray:
    p = np.minimum(2 * stats.binom.cdf(np.minimum(up, down), up + down, 0.5), 1)
    return np.where(up + down >= LEAST_CHANGES, p, np.nan)


def _most_gained_first(rows: pd.DataFrame, changes: Sequence[str]) -> pd.DataFrame:
    order = pd.Categorical(rows["augmentation"], categories=changes)
    keys = rows.assign(order=order.codes, falling=-rows["gain"])
    by = keys.sort_values(["order", "falling", "property", "answer"], kind="stable")
    return by.drop(columns=["order", "falling"]).reset_index(drop=True)


# Concepts


@dataclass(frozen=True)
class Concepts:
    """Concepts that changes add and take, beside what the same test finds elsewhere."""

    table: pd.DataFrame  # as of `differences`
    positive: pd.DataFrame  # as of `positive_control`
    null: pd.DataFrame  # as of `null_control`


def gained_and_lost(
    embeddings: xr.DataArray, texts: xr.DataArray, known: pd.DataFrame, *, seed: int = 0
) -> Concepts:
    """Say which concepts changes add and take, with both controls.

    Parameters
    ----------
    embeddings : DataArray, (image, view, feature)
        Of one source, with the view ``original``. Of more than `MOST_IMAGES` as many are taken,
        evenly among them.
    texts : DataArray, (text, feature)
        As for `codes`.
    known : DataFrame of str
        What is true of images: a row per image, a column per property, "" where nothing is known.
        Where no property of the texts is, the model's own answers choose the images of the control.
    seed : int

    Returns
    -------
    Concepts
    """
    embeddings = embeddings.sel(image=evenly(embeddings["image"].values, MOST_IMAGES))
    weights = codes(embeddings, texts)
    originals = weights.sel(view=ORIGINAL, drop=True)
    answers = answered(embeddings.sel(view=ORIGINAL, drop=True), texts)
    return Concepts(
        differences(weights, seed=seed),
        positive_control(originals, _known_or_answered(known, answers), seed=seed),
        null_control(originals, draws=weights.sizes["view"] - 1, seed=seed),
    )


def codes(embeddings: xr.DataArray, texts: xr.DataArray) -> xr.DataArray:
    """Write every view as a sparse non-negative sum of texts: (image, view, text)."""
    values = unit_vectors(embeddings.transpose("image", "view", "feature")).astype(np.float64)
    values = values - values.sel(view=ORIGINAL, drop=True).mean("image")
    length = np.sqrt(np.square(values.sel(view=ORIGINAL)).sum("feature").mean("image")).item()
    scaled = (values / (length or 1)).to_numpy()
    result = sparse_texts(scaled.reshape(-1, scaled.shape[-1]), texts)
    coords = {"image": values["image"].values, "view": values["view"].values}
    coords |= {"text": texts["text"].values, "property": ("text", texts["property"].values)}
    shape = (*scaled.shape[:2], -1)
    return xr.DataArray(result.reshape(shape), dims=("image", "view", "text"), coords=coords)


def sparse_texts(vectors: np.ndarray, texts: xr.DataArray) -> np.ndarray:
    """Write vectors, (n, features), as sparse non-negative sums of texts: (n, texts)."""
    atoms = unit_vectors(texts - texts.mean("text")).transpose("text", "feature")
    return sparse_encode(
        vectors.astype(np.float64),
        atoms.to_numpy().astype(np.float64),
        algorithm="lasso_cd",
        alpha=PENALTY,
        positive=True,
        max_iter=20_000,  # texts that hardly differ take many
    )


def differences(weights: xr.DataArray, *, seed: int = 0) -> pd.DataFrame:
    """Say which concepts changes add to images, and which they take.

    Parameters
    ----------
    weights : DataArray, (image, view, text)
        As of `codes`, with the view ``original``.
    seed : int
        Of the bootstrap resamples of the images.

    Returns
    -------
    DataFrame
        A row per change and concept that any image gains or loses: `augmentation`, `property`,
        `concept`, mean weights `before` and `after`, their difference `gain` with `low` and `high`
        (95 % over images), `q` (paired t test, false discoveries held over concepts and changes)
        and `found`. Most gained first within a change. Fewer than three images have no interval,
        and nothing is found.
    """
    weights = weights.transpose("image", "view", "text")
    before = weights.sel(view=ORIGINAL).to_numpy()
    names = [str(name) for name in weights["view"].values if name != ORIGINAL]
    tables = [
        _differences(before, weights.sel(view=name).to_numpy(), RESAMPLES, seed).assign(
            augmentation=name,
            property=weights["property"].values,
            concept=weights["text"].values,
        )
        for name in names
    ]
    ordered = [table.iloc[ties.largest_first(table["gain"])] for table in tables]
    rows = pd.concat(ordered, ignore_index=True)
    rows = rows[rows["moved"]]
    q = false_discovery_rates(rows["p"])
    rows = rows.assign(q=q, found=q <= FALSE_DISCOVERY_RATE)
    columns = ["before", "after", "gain", "low", "high", "q", "found"]
    return rows[["augmentation", "property", "concept", *columns]].reset_index(drop=True)


def positive_control(weights: xr.DataArray, labels: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Exchange images for others that are known to have some value: its concept must be gained."""
    rng = np.random.default_rng(seed)
    concepts = zip(weights["property"].values, weights["text"].values, strict=True)
    tables = {}
    for name, value in concepts:
        label = (
            labels[name].to_numpy() if name in labels else np.array([""] * len(weights["image"]))
        )
        pairs = _pairs(
            np.flatnonzero((label != value) & (label != "")), np.flatnonzero(label == value), rng
        )
        if len(pairs) >= LEAST_PAIRS:
            tables[name, value] = _exchanged(weights, pairs)
    return _controlled(tables)


def grid(tables: Mapping[str, pd.DataFrame], *, changes: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Put the concepts that changes add or take most into tables with the same rows.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Source → `differences`, of the same changes and texts.
    changes : sequence of str
        The columns.

    Returns
    -------
    dict of str to DataFrame
        Source → gains (concept × change), NaN where none is found or it rounds to nothing. A row
        without a name stands where no change surely moves any concept.
    """
    rows = pd.concat(tables, names=["source"]).reset_index("source")
    result = rows[rows["found"] & (rows["gain"].abs() >= SHOWN)]
    of_change = result.groupby(["source", "augmentation"], sort=False)
    strongest = pd.concat([of_change.head(STRONGEST), of_change.tail(STRONGEST)])
    sizes = strongest["gain"].abs().groupby(strongest["concept"], sort=False).max()
    names = ties.ranked(sizes).index[:ROWS] if len(sizes) else pd.Index([""])
    return {
        source: result[result["source"] == source]
        .pivot_table(index="concept", columns="augmentation", values="gain")
        .reindex(index=names, columns=changes)
        for source in tables
    }


def null_control(weights: xr.DataArray, *, draws: int = 9, seed: int = 0) -> pd.DataFrame:
    """Exchange images for random others: no concept may be gained or lost."""
    rng = np.random.default_rng(seed)
    half = weights.sizes["image"] // 2
    tables = []
    for draw in range(draws if half else 0):
        order = rng.permutation(weights.sizes["image"])
        pairs = np.stack([order[:half], order[half : 2 * half]], axis=1)
        tables.append(_exchanged(weights, pairs).assign(augmentation=f"draw {draw}"))
    if not tables:
        return pd.DataFrame(columns=["concept", "gain", "q", "found"])
    rows = pd.concat(tables, ignore_index=True)
    q = false_discovery_rates(rows["p"])
    return rows.assign(q=q, found=q <= FALSE_DISCOVERY_RATE)


def _known_or_answered(truth: pd.DataFrame, answers: xr.DataArray) -> pd.DataFrame:
    answered = answers.transpose("image", "property").to_pandas()
    known = truth.reindex(index=answered.index, columns=answered.columns, fill_value="")
    return known if (known != "").any(axis=None) else answered


def _pairs(missing: np.ndarray, having: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    count = min(len(missing), len(having))
    return np.stack([rng.permutation(side)[:count] for side in (missing, having)], axis=1)


def _exchanged(weights: xr.DataArray, pairs: np.ndarray) -> pd.DataFrame:
    values = weights.transpose("image", "text").to_numpy()
    rows = _differences(values[pairs[:, 0]], values[pairs[:, 1]], 0, 0)
    rows = rows.assign(concept=weights["text"].values, property=weights["property"].values)
    return rows[rows["moved"]].assign(pairs=len(pairs))


def _controlled(tables: dict[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
    columns = ["property", "value", "pairs", "gain", "found", "first"]
    if not tables:
        return pd.DataFrame(columns=columns)
    rows = pd.concat(tables, names=["asked", "value"]).reset_index(["asked", "value"])
    q = false_discovery_rates(rows["p"])
    rows = rows.assign(found=(q <= FALSE_DISCOVERY_RATE) & (rows["gain"] > 0))
    most = rows.groupby(["asked", "value"])["gain"].transform("max")
    rows = rows.assign(first=rows["gain"] >= most)
    matching = (rows["asked"] == rows["property"]) & (rows["value"] == rows["concept"])
    return rows[matching][columns].reset_index(drop=True)


def _differences(
    before: np.ndarray, after: np.ndarray, n_resamples: int, seed: int
) -> pd.DataFrame:
    """Mean difference of every concept, with interval and p value."""
    change = after - before
    low = high = p = np.full(change.shape[1], np.nan)
    if len(change) >= 3:
        with np.errstate(invalid="ignore", divide="ignore"):
            error = change.std(axis=0, ddof=1) / np.sqrt(len(change))
            p = 2 * stats.t.sf(np.abs(change.mean(axis=0)) / error, len(change) - 1)
        if n_resamples:
            counts = resample_counts(len(change), n_resamples, seed) / len(change)
            low, high = np.quantile(counts @ change, TAILS, axis=0)
    means = {
        "before": before.mean(axis=0),
        "after": after.mean(axis=0),
        "gain": change.mean(axis=0),
    }
    moved = (change != 0).any(axis=0)
    return pd.DataFrame(means | {"low": low, "high": high, "p": p, "moved": moved})
