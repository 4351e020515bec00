"""Texts as directions: ensembles of wordings, and zero-shot predictions."""

import numpy as np
import pandas as pd
import xarray as xr

from helpers import ties
from helpers.checks import WorkbookError

ALL_TEXTS = "all texts"


def unit_vectors(vectors: xr.DataArray) -> xr.DataArray:
    """Scale vectors to length 1: (…, feature)."""
    length = np.sqrt(np.square(vectors).sum("feature"))
    return vectors / length.where(length > 0, 1)


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors, along the last axis, to length 1; one of length 0 becomes NaN."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


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
    found = [_predicted(units, texts.isel(text=np.flatnonzero(names == name))) for name in asked]
    return xr.concat(found, pd.Index(asked, name="property")).transpose(..., "property")


def _predicted(units: xr.DataArray, texts: xr.DataArray) -> xr.Dataset:
    similarity = units.values @ texts.transpose("feature", "text").values  # … × texts
    second, first = np.moveaxis(np.partition(similarity, -2, axis=-1)[..., -2:], -1, 0)
    axes = units.dims[:-1]
    coords = {name: axis for name, axis in units.coords.items() if "feature" not in axis.dims}
    return xr.Dataset(
        {"prediction": (axes, ties.first_largest(similarity)), "margin": (axes, first - second)},
        coords=coords,
    )
