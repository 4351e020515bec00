"""Zero-shot predictions, and how they compare with the truth: accuracy and accuracy lost.

Texts are directions; the wordings of a value make one, and of a property's values the nearest is
the prediction. Whether it is right is asked only of images with a true answer
(`helpers.data.truth`), so a flip is a change from or to a right or wrong answer and never one of
two answers that mean nothing.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from helpers import ties
from helpers.analysis.proximity import unit_vectors
from helpers.analysis.statistics import mean_with_interval
from helpers.checks import WorkbookError
from helpers.data.changes import ORIGINAL

ALL_TEXTS = "all texts"


# Zero-shot


def without(texts: xr.DataArray, property: str) -> xr.DataArray:
    """Leave the texts about a property out of a pool.

    Captions of photographs that a model was trained on are such texts: a shift towards one of them
    says which picture it learnt by heart, not what the shift means.

    Parameters
    ----------
    texts : DataArray, (text, feature)
        With the coordinate ``property``.
    property : str
        A pool without such texts stays as it is.

    Returns
    -------
    DataArray, (text, feature)
    """
    return texts.isel(text=np.flatnonzero(texts["property"].values != property))


def ensembles(texts: xr.DataArray) -> xr.DataArray:
    """Make one text of all wordings of a value: the mean of their embeddings, of length 1.

    Prompt ensembles, as CLIP classifies with (Radford et al., ICML 2021, arXiv 2103.00020, section
    3.1.4). Without them an answer would seem to change when only its wording does.

    Parameters
    ----------
    texts : DataArray, (text, feature)
        Normalised embeddings with the coordinates ``property``, "" for none, and ``value``.

    Returns
    -------
    DataArray, (text, feature)
        A row per value, named by it, in order of appearance; untagged texts have the property
        `ALL_TEXTS`.
    """
    properties = [name or ALL_TEXTS for name in texts["property"].values]
    keys = pd.MultiIndex.from_arrays([properties, list(texts["value"].values)])
    number, distinct = pd.factorize(keys)
    sums = np.zeros((len(distinct), texts.sizes["feature"]))
    np.add.at(sums, number, texts.transpose("text", "feature").values)
    property_, value = (list(distinct.get_level_values(level)) for level in (0, 1))
    coords = {"text": value, "property": ("text", property_)}
    return unit_vectors(xr.DataArray(sums, dims=("text", "feature"), coords=coords))


def zero_shot(embeddings: xr.DataArray, texts: xr.DataArray) -> xr.Dataset:
    """Ask every property's question: which of its values fits an embedding best, and how clearly.

    Parameters
    ----------
    embeddings : DataArray, (…, feature)
        Embeddings of one model, normalised or not.
    texts : DataArray, (text, feature)
        Values and their properties, as of `ensembles`.

    Returns
    -------
    Dataset
        ``prediction`` (…, property), the number of the value among the property's, the first of
        those that are tied (`helpers.ties`); ``margin``, its cosine similarity less that
        of the second best. Properties of a single value pose no question and are left out.

    Raises
    ------
    WorkbookError
        If no property has two values.
    """
    names = pd.Series(texts["property"].values)
    asked = [name for name, count in names.value_counts(sort=False).items() if count > 1]
    if not asked:
        raise WorkbookError(
            f"None of the {names.nunique()} properties of the texts has two values to choose from;"
            " give a pool with more texts."
        )
    units = unit_vectors(embeddings.transpose(..., "feature"))
    result = [_predicted(units, texts.isel(text=np.flatnonzero(names == name))) for name in asked]
    return xr.concat(result, pd.Index(asked, name="property")).transpose(..., "property")


def _predicted(units: xr.DataArray, texts: xr.DataArray) -> xr.Dataset:
    similarity = units.values @ texts.transpose("feature", "text").values  # … × texts
    second, first = np.moveaxis(np.partition(similarity, -2, axis=-1)[..., -2:], -1, 0)
    axes = units.dims[:-1]
    coords = {name: axis for name, axis in units.coords.items() if "feature" not in axis.dims}
    return xr.Dataset(
        {"prediction": (axes, ties.first_largest(similarity)), "margin": (axes, first - second)},
        coords=coords,
    )


def answered(embeddings: xr.DataArray, texts: xr.DataArray) -> xr.DataArray:
    """Ask every question of every view.

    Parameters
    ----------
    embeddings : DataArray, (…, feature)
        Normalised or not.
    texts : DataArray, (text, feature)
        Values and their properties, as of `ensembles`.

    Returns
    -------
    DataArray of str, (…, property)
        The value that fits best.
    """
    return named(zero_shot(embeddings, texts)["prediction"], texts)


def named(predictions: xr.DataArray, texts: xr.DataArray) -> xr.DataArray:
    """Write predictions as values in place of numbers.

    Parameters
    ----------
    predictions : DataArray of int, (…, property)
        As of `zero_shot`.
    texts : DataArray, (text, feature)
        As for `answered`.

    Returns
    -------
    DataArray of str, (…, property)
    """
    predictions = predictions.transpose(..., "property")
    values, properties = texts["text"].values.astype(object), texts["property"].values
    names = [
        values[properties == name][predictions.sel(property=name).values]
        for name in predictions["property"].values
    ]
    return predictions.copy(data=np.stack(names, axis=-1))


# Against the truth


def true_values(texts: xr.DataArray, truth: Mapping[str, pd.DataFrame]) -> xr.DataArray:
    """Return the number of every question's true value.

    Parameters
    ----------
    texts : DataArray, (text, feature)
        Values and their properties, as of `ensembles`.
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
    asked = [
        name
        for name, possible in values.items()
        if len(possible) > 1 and first[name].isin(possible).any()
    ]
    numbers = [
        [[_number(value, values[name]) for value in table[name]] for name in asked]
        for table in truth.values()
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
        Values and their properties, as of `ensembles`.
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
    result = zero_shot(embeddings, texts)
    before, after = named(result["prediction"], texts).values
    margin_before, margin = result["margin"].values
    columns = {"original": before, "changed": after}
    columns |= {"original_margin": margin_before, "margin": margin}
    return pd.DataFrame(columns, index=result["property"].values)


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
