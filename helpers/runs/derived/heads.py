"""What the heads of a run read, write and are named with, each kept with the run.

Texts are chosen greedily, so that a choice decided by the last bits of a number may differ between
machines; what is kept is the same for every notebook, wherever it is opened.
"""

from collections.abc import Callable

import numpy as np
import xarray as xr

from helpers.analysis import labels, roles
from helpers.analysis.probes import DIRECTIONS, leading_directions
from helpers.data.changes import ORIGINAL
from helpers.runs.derived.cache import derived
from helpers.runs.run import Run

TEXTS = 20
"""Texts of each head, as many as TEXTSPAN's paper shows (arXiv 2310.05916)."""
ATTENTION_AXES = ("view", "layer", "head", "row", "column")


def heads_attention(run: Run, image: str, change: str) -> xr.DataArray:
    """Return how much every head reads of each patch, computing it if missing.

    Parameters
    ----------
    run : Run
    image, change : str
        One of the run's images, and of its changes.

    Returns
    -------
    DataArray, (view, layer, head, row, column)
        float16, of the original and of the changed view, as of
        `helpers.clip.decomposition.Encoding.attention_of_heads`.

    Raises
    ------
    WorkbookError
        If the model gives no exact account, or there is no such image or change.
    """
    run.require("account")

    def compute() -> xr.Dataset:
        drawn = run.views(image, [change])
        # One by one: in one pass, each would round as the other lets it.
        attention = [
            run.model.encode(drawn[name][None], by_token=True).attention_of_heads[0]
            for name in (ORIGINAL, change)
        ]
        values = np.stack(attention).astype(np.float16)
        return xr.Dataset({"attention": (ATTENTION_AXES, values)}, {"view": [ORIGINAL, change]})

    return derived(run, "heads_attention", compute, image=image, change=change)["attention"]


def head_directions(run: Run) -> xr.Dataset:
    """Return the directions that heads of the last layers write most strongly.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Dataset
        As of `helpers.analysis.probes.leading_directions`, of the layers of
        ``run.contributions("heads")``, by their numbers.

    Raises
    ------
    WorkbookError
        If the model gives no exact account.
    """
    run.require("account")
    layers = run.contributions("heads")["layer"].values

    def compute() -> xr.Dataset:
        return leading_directions(run.model.head_weights(len(layers)))

    result = derived(run, "head_directions", compute, directions=DIRECTIONS)
    return result.assign_coords(layer=layers)


def head_readings(run: Run) -> xr.Dataset:
    """Say what each head of a run responds to, in texts.

    Parameters
    ----------
    run : Run
        Of a model with an exact account that reads texts.

    Returns
    -------
    Dataset
        As of `helpers.analysis.labels.read_heads`, with `TEXTS` choices, positions in
        ``run.named_texts()``.

    Raises
    ------
    WorkbookError
        If the model gives no account, or embeds no texts.
    """

    def choose(heads: xr.DataArray, texts: xr.DataArray, rank: int) -> xr.Dataset:
        return labels.read_heads(heads, texts, TEXTS, rank)

    return _read(run, "readings", choose)


def resampled_readings(run: Run) -> xr.Dataset:
    """Read a run's heads anew for resamples of its images.

    Parameters
    ----------
    run : Run
        As for `head_readings`.

    Returns
    -------
    Dataset
        As of `helpers.analysis.roles.resampled_heads`.

    Raises
    ------
    WorkbookError
        As `head_readings` does.
    """
    return _read(run, "resampled_readings", roles.resampled_heads)


def explained_by_chance(run: Run) -> xr.DataArray:
    """Say how much of a run's heads is explained by directions that mean nothing.

    Parameters
    ----------
    run : Run
        As for `head_readings`.

    Returns
    -------
    DataArray, (pool, draw, layer, head, choice)
        As of `helpers.analysis.roles.explained_by_chance`, with `TEXTS` choices.

    Raises
    ------
    WorkbookError
        As `head_readings` does.
    """

    def explain() -> xr.Dataset:
        heads, texts = run.contributions("heads")["heads"], run.named_texts()
        explained = roles.explained_by_chance(heads, texts, TEXTS, run.model.head_width)
        return explained.to_dataset(name="explained")

    return derived(run, "explained_by_chance", explain, texts=run.texts.fingerprint)["explained"]


def _read(
    run: Run, name: str, read: Callable[[xr.DataArray, xr.DataArray, int], xr.Dataset]
) -> xr.Dataset:
    texts = run.named_texts()

    def choose() -> xr.Dataset:
        readings = read(run.contributions("heads")["heads"], texts, run.model.head_width)
        return readings[["text", "explained"]]

    chosen = derived(run, name, choose, texts=run.texts.fingerprint)
    return labels.with_properties(chosen, texts["property"].values)
