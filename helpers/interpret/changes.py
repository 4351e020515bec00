"""What a change does to one image, as a figure for any severity: to be dragged through them."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from helpers import ties
from helpers.analysis import dissection, predictions
from helpers.analysis.predictions import side_by_side
from helpers.analysis.scores import embedding_similarity
from helpers.checks import one_of
from helpers.clip import Encoding
from helpers.data import CHANGES, scale_of
from helpers.data.attacks import UNKNOWN
from helpers.data.changes import changed
from helpers.figures import images as figures
from helpers.figures import style
from helpers.interpret import choices
from helpers.runs.compute.worker_pool import worker_pool
from helpers.runs.run import Run

T = TypeVar("T")
LEADING = 5
QUESTIONS = 8
OWN = "the image"  # what the draw for an image of one's own depends on, in place of an id


def pixels(run: Run, image: str | np.ndarray, change: str, severity: float) -> Figure:
    """Show what a change does to the pixels of an image, and how similar its embedding stays.

    Parameters
    ----------
    run : Run
    image : str or ndarray of uint8, height × width × 3
    change : str
        One of `helpers.data.CHANGES`.
    severity : float
        From 0 to `helpers.data.MAX_SEVERITY`. That of the run gives the run's own view.

    Returns
    -------
    Figure
        The image, its changed view and where the two differ.

    Raises
    ------
    WorkbookError
        If there is no such image or change, or it can't be made.
    """
    views = _views(run, image, change, severity)
    embeddings = _of_each(run, views, lambda encoding: encoding.embedding[0])
    similarity = float(embedding_similarity(*embeddings))
    return figures.changed_pixels(*views, title=_title(change, severity), similarity=similarity)


def shift(run: Run, image: str | np.ndarray, change: str, severity: float) -> Figure:
    """Show how a change moves an image's embedding, which heads move it, and what it then says.

    Parameters
    ----------
    run : Run
        Of a model with an exact account.
    image, change, severity
        As for `pixels`.

    Returns
    -------
    Figure
        The image, its changed view, the similarity of their embeddings, the heads that carry most
        of this shift, and zero-shot predictions where the model reads texts.

    Raises
    ------
    WorkbookError
        If there is no such image or change, or it can't be made.
    """
    views = _views(run, image, change, severity)
    taken = _of_each(run, views, lambda each: (each.embedding[0], dissection.components(each)[0]))
    embeddings, components = zip(*taken, strict=True)
    return figures.shifted(
        *views,
        title=_title(change, severity),
        similarity=float(embedding_similarity(*embeddings)),
        heads=_leading_heads(*components),
        predictions=_predictions(run, embeddings) if run.capabilities.texts else None,
    )


def attention(run: Run, image: str | np.ndarray, change: str, severity: float) -> Figure:
    """Show what every head of every layer reads of an image, before and after a change.

    Parameters
    ----------
    run : Run
        Of a model with an exact account.
    image, change, severity
        As for `pixels`.

    Returns
    -------
    Figure
        As of `helpers.figures.images.attended`.

    Raises
    ------
    WorkbookError
        If there is no such image or change, or it can't be made.
    """
    views = _views(run, image, change, severity)
    run.require("account")
    before, after = _of_each(run, views, lambda each: each.attention_of_heads[0], by_token=True)
    return figures.attended(*views, title=_title(change, severity), before=before, after=after)


def most_severe(run: Run) -> float:
    """Return up to which severity a run's changes are shown: as far as 10 goes, or its own."""
    return max(*scale_of(run.changes).severities, run.parameters.severity)


def _views(run: Run, image: str | np.ndarray, change: str, severity: float) -> list[np.ndarray]:
    original = choices.pixels_of(run, image)
    name = image if isinstance(image, str) else OWN
    if not CHANGES[one_of("change", change, CHANGES)].needs:
        return [original, changed(original, change, name, run.parameters.seed, severity)]
    if isinstance(image, str) and severity == run.parameters.severity:
        return list(run.views(image, [change]).values())
    # Views that a severity is dragged through are kept by nobody.
    subject = run.subject(image) if isinstance(image, str) else UNKNOWN
    given = (name, run.parameters.seed, severity)
    return [original, changed(original, change, *given, subject=subject, model=run.model)]


def _title(change: str, severity: float) -> str:
    return f"{style.label(change)}\nseverity {severity:.2f}"


def _of_each(
    run: Run, views: list[np.ndarray], take: Callable[[Encoding], T], *, by_token: bool = False
) -> list[T]:
    """Encode views side by side, in threads that don't wait for each other on a busy machine."""
    model = run.model
    with worker_pool(len(views)) as pool:
        return list(pool.map(lambda view: take(model.encode(view[None], by_token=by_token)), views))


def _leading_heads(before: xr.DataArray, after: xr.DataArray) -> pd.Series:
    shares = before.isel(feature=0).copy(data=dissection.shift_shares(before, after))
    heads = dissection.named_heads(dissection.on_grid(shares))
    return ties.ranked(heads.to_series())[:LEADING]


def _predictions(run: Run, embeddings: Sequence[np.ndarray]) -> pd.DataFrame:
    stacked = xr.DataArray(np.stack(embeddings), dims=("view", "feature"))
    table = side_by_side(stacked, _pool(run))
    return table.loc[ties.ranked(table["original_margin"]).index[:QUESTIONS]].sort_index()


@lru_cache(maxsize=4)
def _pool(run: Run) -> xr.DataArray:
    # As in 08: a caption of a photograph from the training says which picture was learnt by heart.
    return predictions.ensembles(predictions.without(run.text_embeddings(), "photograph"))
