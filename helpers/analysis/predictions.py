"""Zero-shot predictions held against what is true: accuracy, accuracy lost, prediction flips.

A question is asked only of images with a true answer (`helpers.data.truth`), so a flip is a change
from or to a right or wrong answer and never one of two answers that mean nothing.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis.directions import zero_shot
from helpers.analysis.statistics import mean_with_interval
from helpers.data.changes import ORIGINAL


def true_values(texts: xr.DataArray, truth: Mapping[str, pd.DataFrame]) -> xr.DataArray:
    """Return the number of every question's true value.

    Parameters
    ----------
    texts : DataArray, (text, feature)
        Values and their properties, as of `helpers.analysis.directions.ensembles`.
    truth : mapping of str to DataFrame of str
        View → a row per image, a column per property, "" where nothing is known; as of
        `helpers.data.truth.truth_of_views`.

    Returns
    -------
    DataArray of int, (view, image, property)
        The number of the value among the property's texts, for each property with two texts or
        more and an image that has one of them; -1 where an image has none. ``chance`` (property)
        is one over the number of values.
    """
    first = next(iter(truth.values()))
    values = {
        name: texts["text"].values[texts["property"].values == name].tolist()
        for name in dict.fromkeys(texts["property"].values.tolist())
        if name in first
    }
    asked = [name for name, own in values.items() if len(own) > 1 and first[name].isin(own).any()]
    numbers = [
        [[_number(value, values[name]) for value in own[name]] for name in asked]
        for own in truth.values()
    ]
    return xr.DataArray(
        np.array(numbers, int).reshape(len(truth), len(asked), len(first)),
        dims=("view", "property", "image"),
        coords={
            "view": list(truth),
            "image": first.index.to_numpy(object),
            "property": asked,
            "chance": ("property", [1 / len(values[name]) for name in asked]),
        },
    ).transpose("view", "image", "property")


def _number(value: str, values: list[str]) -> int:
    return values.index(value) if value in values else -1


def judged(embeddings: xr.DataArray, texts: xr.DataArray, true: xr.DataArray) -> xr.DataArray:
    """Ask every question of the images that have a true answer.

    Parameters
    ----------
    embeddings : DataArray, (…, image, view, …, feature)
        Embeddings of views, of early read-outs or of patched passes, normalised or not.
    texts : DataArray, (text, feature)
        Values and their properties, as of `helpers.analysis.directions.ensembles`.
    true : DataArray of int, (view, image, property)
        As of `true_values`, of these images and views and perhaps others.

    Returns
    -------
    DataArray, (…, image, view, …, property)
        1 where the zero-shot prediction is right, 0 where it is wrong, NaN where nothing is asked.
    """
    predicted = _asked(embeddings, texts, true)
    true = true.sel({axis: predicted[axis].values for axis in ("image", "view")})
    return (predicted == true).astype(float).where(true >= 0).transpose(*predicted.dims)


def _asked(embeddings: xr.DataArray, texts: xr.DataArray, true: xr.DataArray) -> xr.DataArray:
    return zero_shot(embeddings, texts)["prediction"].sel(property=true["property"].values)


def side_by_side(embeddings: xr.DataArray, texts: xr.DataArray) -> pd.DataFrame:
    """Put the zero-shot predictions for an image before and after a change side by side."""
    found = zero_shot(embeddings, texts)
    names = found["property"].values
    values = [texts["text"].values[texts["property"].values == name] for name in names]
    columns = {"original": found["prediction"][0], "changed": found["prediction"][1]}
    told = {
        view: [own[number] for own, number in zip(values, numbers.values, strict=True)]
        for view, numbers in columns.items()
    }
    margins = {"original_margin": found["margin"][0], "margin": found["margin"][1]}
    return pd.DataFrame(told | {name: own.values for name, own in margins.items()}, index=names)


def lost(right: xr.DataArray) -> xr.DataArray:
    """Return what each augmentation takes of a right answer.

    Parameters
    ----------
    right : DataArray, (image, view, …)
        As of `judged`, with the view ``original``; or whether an image is retrieved.

    Returns
    -------
    DataArray, (image, augmentation, …)
        1 where a right answer turned wrong, -1 where a wrong one turned right, else 0. Its mean is
        the accuracy lost, paired image by image.
    """
    augmented = right.drop_sel(view=ORIGINAL).rename(view="augmentation")
    difference = right.sel(view=ORIGINAL, drop=True) - augmented
    return difference.transpose("image", "augmentation", ...)


def accuracy_by_severity(right: xr.DataArray) -> pd.DataFrame:
    """Average right answers over images, at every severity and under every change.

    Parameters
    ----------
    right : DataArray, (severity, image, view)
        1 where an answer is right, else 0, with the view ``original``.

    Returns
    -------
    DataFrame
        Columns ``severity``, ``augmentation``, ``lost``, the accuracy lost, and of the accuracy
        what `helpers.analysis.statistics.mean_with_interval` gives.
    """
    tables = []
    for severity, own in zip(right["severity"].values, right, strict=True):
        table = mean_with_interval(own.drop_sel(view=ORIGINAL).rename(view="augmentation"))
        lost_there = float(own.sel(view=ORIGINAL).mean()) - table["mean"]
        table = table.assign(lost=lost_there).rename_axis("augmentation").reset_index()
        tables.append(table.assign(severity=float(severity)))
    return pd.concat(tables, ignore_index=True)


def over_questions(values: xr.DataArray) -> pd.DataFrame:
    """Average over each image's questions, then over images.

    Parameters
    ----------
    values : DataArray, (image, augmentation, property)
        NaN where nothing is asked.

    Returns
    -------
    DataFrame
        As of `helpers.analysis.statistics.mean_with_interval`: every image that is asked anything
        counts equally.
    """
    return mean_with_interval(values.mean("property"))


def accuracy(right: xr.DataArray) -> pd.DataFrame:
    """Average right answers over each image's questions, then over images, view by view.

    Parameters
    ----------
    right : DataArray, (image, view, property)
        As of `judged`, with the coordinate ``chance`` (property).

    Returns
    -------
    DataFrame
        A row per view, as of `over_questions`, and `chance`, what guessing would reach on the same
        questions.
    """
    asked = right.notnull().any("view")
    chance = right["chance"].where(asked).mean("property").mean().item()
    return over_questions(right.rename(view="augmentation")).assign(chance=chance)
