"""How often intervals of heads' scores hold the truth: ``python -m tests.interval_coverage``.

Samples of scenes stand for the images of a run, and all scenes for what they are drawn from. Three
intervals from the same resamples are compared: percentiles of the resamples; the same reflected
about the estimate, which takes the resamples' bias off; and bias-corrected and accelerated ones
(BCa; Efron, JASA 1987), whose acceleration needs TEXTSPAN without each image in turn. It takes some
minutes.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from helpers.analysis import labels, roles
from helpers.analysis.labels import textspan_resampled
from helpers.analysis.statistics import resample_counts
from helpers.clip import load
from helpers.data.scenes import scene
from helpers.data.texts import open_texts

SCENES, FIRST, LAYERS = 2_400, 20_000, 4
SAMPLES, SIZE, RESAMPLES = 40, 118, 150
TAILS = np.array([0.025, 0.975])

Interval = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def percentile(estimate: np.ndarray, resampled: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Quantiles of the resamples (resamples × scores): 2 × scores."""
    return np.quantile(resampled, TAILS, axis=0)


def reflected(estimate: np.ndarray, resampled: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Quantiles mirrored at the estimate, as far below it as resamples lie above."""
    return 2 * estimate - percentile(estimate, resampled, without)[::-1]


def accelerated(estimate: np.ndarray, resampled: np.ndarray, without: np.ndarray) -> np.ndarray:
    """BCa, from the estimates without each image in turn (images × scores)."""
    below = ((resampled < estimate).mean(axis=0) + (resampled <= estimate).mean(axis=0)) / 2
    bias = stats.norm.ppf(below.clip(1 / 2 / len(resampled), 1 - 1 / 2 / len(resampled)))
    pull = without.mean(axis=0) - without
    spread = np.square(pull).sum(axis=0) ** 1.5
    skew = (pull**3).sum(axis=0) / np.where(spread > 0, 6 * spread, 1)
    ends = bias + stats.norm.ppf(TAILS)[:, None]
    tails = stats.norm.cdf(bias + ends / (1 - skew * ends))  # 2 × scores
    columns = zip(resampled.T, tails.T, strict=True)
    return np.array([np.quantile(column, own) for column, own in columns]).T


INTERVALS: dict[str, Interval] = {
    "percentiles": percentile,
    "reflected": reflected,
    "bias-corrected and accelerated": accelerated,
}


def heads_of_scenes() -> tuple[np.ndarray, xr.DataArray, int]:
    """Contributions, layers × heads × scenes × features; the pool; and the width of a head."""
    model, pool = load("embedded", device="cpu"), open_texts("scenes")
    found = []
    for start in range(FIRST, FIRST + SCENES, 32):
        pixels = np.stack([scene(index).pixels for index in range(start, start + 32)])
        found.append(model.encode(pixels).heads[:, -LAYERS:])
    embeddings = model.encode_text(list(pool.texts))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    properties = {"property": ("text", list(pool.properties))}
    texts = xr.DataArray(embeddings, properties, ("text", "feature"))
    return np.moveaxis(np.concatenate(found), 0, 2), texts, model.head_width


def scores(heads: np.ndarray, texts: xr.DataArray, rank: int, counts: np.ndarray) -> pd.DataFrame:
    """Scores of `helpers.analysis.labels` for each row of counts of the images."""
    span = textspan_resampled(heads, texts.values, counts, labels.TOP, rank)
    axes = ("resample", "layer", "head", "choice")
    chosen = xr.Dataset({"text": (axes, span.indices), "explained": (axes, span.explained)})
    read = labels.with_properties(chosen, texts["property"].values)
    return roles.head_scores(read).to_dataframe()


def main() -> None:
    """Print, for each interval and score, the share of samples whose interval holds the truth."""
    heads, texts, rank = heads_of_scenes()
    truth = scores(heads, texts, rank, np.ones((1, SCENES), int)).iloc[0]
    rng, hits = np.random.default_rng(1), {name: [] for name in INTERVALS}
    leave_one_out = 1 - np.eye(SIZE, dtype=int)
    for sample in range(SAMPLES):
        own = heads[:, :, rng.choice(SCENES, SIZE, replace=False)]
        counts = resample_counts(SIZE, RESAMPLES, sample)
        rows = np.concatenate([np.ones((1, SIZE), int), counts, leave_one_out])
        parts = np.split(scores(own, texts, rank, rows).values, [1, 1 + RESAMPLES])
        for name, interval in INTERVALS.items():
            low, high = interval(parts[0][0], *parts[1:])
            hits[name].append((low - 1e-9 <= truth) & (truth <= high + 1e-9))
    table = {name: np.mean(found, axis=0) for name, found in hits.items()}
    print(pd.DataFrame(table, index=truth.index).round(3).to_string())


if __name__ == "__main__":
    main()
