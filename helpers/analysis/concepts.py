"""Concepts gained and lost: embeddings as sums of few texts, before and after a change.

An embedding about the mean of the originals is written as a sparse non-negative sum of texts about
their own mean, after SpLiCE (Bhalla et al., NeurIPS 2024, arXiv 2402.10376). Unlike a zero-shot
answer, concepts don't exclude each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats
from sklearn.decomposition import sparse_encode

from helpers import ties
from helpers.analysis.becomes import answered
from helpers.analysis.directions import unit_vectors
from helpers.analysis.sources import evenly
from helpers.analysis.statistics import (
    FALSE_DISCOVERY_RATE,
    TAILS,
    false_discovery_rates,
    resample_counts,
)
from helpers.data.changes import ORIGINAL

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
    found = sparse_texts(scaled.reshape(-1, scaled.shape[-1]), texts)
    coords = {"image": values["image"].values, "view": values["view"].values}
    coords |= {"text": texts["text"].values, "property": ("text", texts["property"].values)}
    shape = (*scaled.shape[:2], -1)
    return xr.DataArray(found.reshape(shape), dims=("image", "view", "text"), coords=coords)


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
    ordered = [own.iloc[ties.largest_first(own["gain"])] for own in tables]
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
        own = labels[name].to_numpy() if name in labels else np.array([""] * len(weights["image"]))
        pairs = _pairs(
            np.flatnonzero((own != value) & (own != "")), np.flatnonzero(own == value), rng
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
    found = rows[rows["found"] & (rows["gain"].abs() >= SHOWN)]
    of_change = found.groupby(["source", "augmentation"], sort=False)
    strongest = pd.concat([of_change.head(STRONGEST), of_change.tail(STRONGEST)])
    sizes = strongest["gain"].abs().groupby(strongest["concept"], sort=False).max()
    names = ties.ranked(sizes).index[:ROWS] if len(sizes) else pd.Index([""])
    return {
        source: found[found["source"] == source]
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
    own = answers.transpose("image", "property").to_pandas()
    known = truth.reindex(index=own.index, columns=own.columns, fill_value="")
    return known if (known != "").any(axis=None) else own


def _pairs(lacking: np.ndarray, having: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    count = min(len(lacking), len(having))
    return np.stack([rng.permutation(side)[:count] for side in (lacking, having)], axis=1)


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
    own = (rows["asked"] == rows["property"]) & (rows["value"] == rows["concept"])
    return rows[own][columns].reset_index(drop=True)


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
