"""Zero-shot answers: texts embedded, the classes of images, and every question at every depth."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis import predictions
from helpers.analysis.proximity import normalised
from helpers.analysis.sources import METADATA, few_of_each
from helpers.clip import names
from helpers.data.texts import Texts
from helpers.data.texts.templates import CLASS, class_texts
from helpers.runs.derived.cache import derived
from helpers.runs.variants import runs_by_severity

if TYPE_CHECKING:
    from helpers.runs.run import Run

COORDINATE = METADATA + CLASS
MOST_AT_EVERY_DEPTH = 30
"""Images of each source: every view of an image takes a forward pass."""


def embedded_texts(run: "Run", texts: Texts) -> xr.DataArray:
    """Return the normalised embeddings of texts, computing them when missing: (text, feature)."""

    def compute() -> xr.Dataset:
        coords = {
            "text": list(texts.texts),
            "property": ("text", [of or "" for of in texts.properties]),
            "value": ("text", list(texts.values)),
        }
        embeddings = normalised(run.model.encode_text(texts.texts))
        return xr.Dataset({"embedding": (("text", "feature"), embeddings)}, coords)

    return derived(run, "texts", compute, texts=texts.fingerprint)["embedding"]


def are_labelled(run: "Run") -> bool:
    """Return whether a run's images have two classes or more, and its model reads their names."""
    return bool(run.capabilities.texts) and len(classes_of(run)) > 1


def classes_of(run: "Run") -> list[str]:
    """Return the classes of a run's readable images, each once, in alphabetical order."""
    labels = run.encodings("embedding").coords.get(COORDINATE)
    return [] if labels is None else sorted({*labels.values} - {""})


def embedded_classes(run: "Run", templates: str | Sequence[str] | None = None) -> xr.DataArray:
    """Embed the classes of a run's images: of each, the mean over prompts.

    Parameters
    ----------
    run : Run
        With `are_labelled`.
    templates : str or sequence of str, optional
        One of `helpers.data.texts.templates.TEMPLATES`, or sentences with ``{}`` for the class. By
        default ``imagenet``, and ``picture`` for the embedded models.

    Returns
    -------
    DataArray, (text, feature)
        As of `helpers.analysis.predictions.ensembles`, of the property ``label``.
    """
    suits = "picture" if names.is_embedded(run.parameters.model) else "imagenet"
    texts = class_texts(classes_of(run), templates or suits)
    return predictions.ensembles(embedded_texts(run, texts))


def class_answers(run: "Run", classes: xr.DataArray) -> xr.Dataset:
    """Classify every view of every image that has a class.

    Parameters
    ----------
    run : Run
    classes : DataArray, (text, feature)
        As of `embedded_classes`.

    Returns
    -------
    Dataset, (image, view, property)
        ``answer``, the class that fits best, and ``right``, 1 where it is the image's own, else 0;
        with the coordinates ``source`` and ``chance``. The only property is ``label``.
    """
    embeddings = run.encodings("embedding")["embedding"]
    labels = embeddings[COORDINATE]
    labelled = embeddings.isel(image=np.flatnonzero(labels.values != ""))
    truth = pd.DataFrame({CLASS: labels.values}, index=embeddings["image"].values)
    true = predictions.true_values(classes, dict.fromkeys(run.view_names, truth))
    right = predictions.judged(labelled, classes, true)
    return xr.Dataset({"answer": predictions.answered(labelled, classes), "right": right})


def right_by_severity(run: "Run", severities: Sequence[float] | None = None) -> xr.DataArray:
    """Classify every image at several severities.

    Parameters
    ----------
    run : Run
    severities : sequence of float, optional
        As for `helpers.runs.variants.runs_by_severity`.

    Returns
    -------
    DataArray, (severity, image, view)
        1 where the answer is right, else 0; the view ``original`` is that of every severity.
    """
    classes = embedded_classes(run)
    runs = runs_by_severity(run, severities)
    right = [class_answers(each, classes)["right"].sel(property=CLASS) for each in runs.values()]
    return xr.concat(right, pd.Index(list(runs), name="severity"), coords="minimal")


def answers_at_every_depth(run: "Run", texts: xr.DataArray) -> xr.DataArray:
    """Ask every question of all views, read out at every depth.

    Parameters
    ----------
    run : Run
        Gives the views and the model; the answers are kept with it.
    texts : DataArray, (text, feature)
        Values and their properties, as of `helpers.analysis.predictions.ensembles`.

    Returns
    -------
    DataArray of str, (image, view, depth, property)
        Of `MOST_AT_EVERY_DEPTH` images of each source at most, evenly among them, with the
        coordinate ``source``. What the class token answers before the first block (``start``) and
        after each, through the last norm and the projection: the logit lens (nostalgebraist, 2020).
        The last is the answer of the embedding.
    """
    images = few_of_each(run.encodings("embedding")["image"], MOST_AT_EVERY_DEPTH).values.tolist()
    questions = list(
        zip(texts["property"].values.tolist(), texts["text"].values.tolist(), strict=True)
    )

    def compute() -> xr.Dataset:
        answers = predictions.zero_shot(read_at_every_depth(run, images), texts)
        return answers[["prediction"]].astype(np.int16)

    rule = {"images": images, "texts": run.texts.fingerprint, "asked": questions}
    answers = derived(run, "answers_by_depth", compute, **rule)
    source = run.encodings("embedding")["source"].sel(image=images)
    return predictions.named(answers["prediction"], texts).assign_coords(source=source)


def read_at_every_depth(run: "Run", images: Sequence[str]) -> xr.DataArray:
    """Read the residual stream of all views out at every depth: (image, view, depth, feature)."""
    by_image = []
    for image in images:
        views = run.views(image)
        by_image.append(run.model.encode(np.stack(list(views.values()))).depths)
    depths = np.stack(by_image)
    coords = {"image": list(images), "view": list(views)}
    labels = ["start", *map(str, range(depths.shape[2] - 1))]
    return xr.DataArray(
        depths, dims=("image", "view", "depth", "feature"), coords=coords | {"depth": labels}
    )
