"""Heads pruned by how consistent their concept is: whether answers need those whose texts agree.

The experiment of Madasu et al. 2025 (arXiv 2503.11103): heads of a high concept consistency score
against heads of a low one, and as many at random. Here a head is mean-ablated in the sum that an
embedding is, over the images of a source, and nothing else responds.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr

HIGH, LOW, RANDOM = "consistent heads", "inconsistent heads", "random heads"
ALL = "all of these heads"
"""What answers would lose with all heads: a positive control."""

SHARE = 0.5
"""Of the heads are pruned."""

DRAWS = 100
TAILS = (0.025, 0.975)


def chosen_heads(consistency: np.ndarray, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Choose the heads of highest and of lowest consistency, and random ones, many times.

    Parameters
    ----------
    consistency : ndarray, (heads,)
        NaN for a head that doesn't vary, which is in none. Heads of the same score, of which there
        are many, stand in random order.
    seed : int
        Of these orders.

    Returns
    -------
    dict of str to ndarray of bool, (draws, heads)
        `HIGH`, `LOW` and `RANDOM`: half of the heads that vary, and at least one; and `ALL`.
    """
    known = np.flatnonzero(~np.isnan(consistency))
    count = min(len(known), max(1, round(SHARE * len(known))))
    rng = np.random.default_rng(seed)
    orders = rng.permuted(np.tile(known, (DRAWS, 1)), axis=1)
    falling = np.argsort(-consistency[orders], axis=1, kind="stable")
    ordered = np.take_along_axis(orders, falling, axis=1)
    taken = {
        HIGH: ordered[:, :count],
        LOW: ordered[:, len(known) - count :],
        RANDOM: rng.permuted(orders, axis=1)[:, :count],
        ALL: known[None],
    }
    found = {name: np.zeros((len(own), len(consistency)), bool) for name, own in taken.items()}
    for name, heads in taken.items():
        np.put_along_axis(found[name], heads, True, axis=1)
    return found


def accuracy_lost(
    embeddings: xr.DataArray,
    heads: xr.DataArray,
    chosen: dict[str, np.ndarray],
    judge: Callable[[xr.DataArray], xr.DataArray],
) -> pd.DataFrame:
    """Measure how many right answers go with each choice of heads.

    Parameters
    ----------
    embeddings : DataArray, (image, view, feature)
        Of one source, with the view ``original`` alone.
    heads : DataArray, (image, layer, head, feature)
        What the heads add to these.
    chosen : dict of str to ndarray of bool, (draws, heads)
        As of `chosen_heads`; heads layer by layer.
    judge : callable
        From embeddings, (draw, image, view, feature), to which answers are right, (draw, image,
        view, property); see `helpers.analysis.predictions.judged`.

    Returns
    -------
    DataFrame
        A row per choice: `mean` accuracy lost over draws, with `low` and `high`, between which 95 %
        of the draws lie, and `n`, the number of images that are asked anything.
    """
    own = heads.transpose("layer", "head", "image", "feature").astype(np.float64)
    varying = (own - own.mean("image")).values.reshape(-1, *own.shape[2:])
    before = _accuracy(judge(embeddings.expand_dims("draw")))
    rows = {}
    for name, masks in chosen.items():
        taken = np.tensordot(masks.astype(float), varying, axes=1)[:, :, None]
        left = embeddings.expand_dims(draw=len(masks)).transpose("draw", "image", "view", "feature")
        after = _accuracy(judge(left - taken))
        lost = (before.values - after).values
        low, high = np.quantile(lost, TAILS)
        rows[name] = {"mean": lost.mean(), "low": low, "high": high}
    asked = judge(embeddings.expand_dims("draw")).notnull().any("property").sum()
    return pd.DataFrame.from_dict(rows, orient="index").assign(n=int(asked))


def _accuracy(right: xr.DataArray) -> xr.DataArray:
    """Average over each image's questions, then over images, draw by draw."""
    return right.mean("property").mean(["image", "view"])
