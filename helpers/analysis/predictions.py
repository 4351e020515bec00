"""Zero-shot predictions held against what is true: accuracy, accuracy lost, prediction flips.

A question is asked only of images with a true answer (`helpers.data.truth`), so a flip is a change
from or to a right or wrong answer and never one of two answers that mean nothing.
"""

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis.directions import zero_shot
from helpers.analysis.statistics import mean_with_interval, resample_counts

ORIGINAL = "original"
TAILS = (0.025, 0.975)


def true_values(texts: xr.DataArray, truth: pd.DataFrame) -> xr.DataArray:
    """Number the true value of every question.

    Parameters
    ----------
    texts : DataArray, (text, feature)
        Values and their properties, as of `helpers.analysis.directions.ensembles`.
    truth : DataFrame of str
        A row per image, a column per property, "" where nothing is known; as of
        `helpers.data.truth.known_truth`.

    Returns
    -------
    DataArray of int, (image, property)
        The number of the value among the property's texts, for each property with two texts or
        more and an image that has one of them; -1 where an image has none. ``chance`` (property)
        is one over the number of values.
    """
    numbers, chances = {}, {}
    for name in dict.fromkeys(texts["property"].values.tolist()):
        values = texts["text"].values[texts["property"].values == name].tolist()
        if name in truth and len(values) > 1:
            own = [values.index(value) if value in values else -1 for value in truth[name]]
            if max(own) >= 0:
                numbers[name], chances[name] = own, 1 / len(values)
    coords = {"image": truth.index.to_numpy(object), "property": list(numbers)}
    shape = (len(truth), len(numbers))
    return xr.DataArray(
        np.array(list(numbers.values()), int).reshape(shape[::-1]).T,
        dims=("image", "property"),
        coords=coords | {"chance": ("property", list(chances.values()))},
    )


def judged(embeddings: xr.DataArray, texts: xr.DataArray, true: xr.DataArray) -> xr.DataArray:
    """Ask every question of the images that have a true answer.

    Parameters
    ----------
    embeddings : DataArray, (…, image, …, feature)
        Embeddings of any views, read-outs or restored passes, normalised or not.
    texts : DataArray, (text, feature)
        Values and their properties, as of `helpers.analysis.directions.ensembles`.
    true : DataArray of int, (image, property)
        As of `true_values`, of the same images in any order.

    Returns
    -------
    DataArray, (…, property)
        1 where the zero-shot prediction is right, 0 where it is wrong, NaN where nothing is asked.
    """
    predicted = zero_shot(embeddings, texts)["prediction"].sel(property=true["property"].values)
    true = true.sel(image=predicted["image"].values)
    return (predicted == true).astype(float).where(true >= 0)


def flipped(embeddings: xr.DataArray, texts: xr.DataArray, true: xr.DataArray) -> xr.DataArray:
    """Say which zero-shot predictions differ from the original's, of images with a true answer.

    Parameters
    ----------
    embeddings : DataArray, (image, view, feature)
        With the view ``original``.
    texts, true
        As for `judged`.

    Returns
    -------
    DataArray, (image, augmentation, property)
        1 where the prediction flips, 0 where it stays, NaN where nothing is asked.
    """
    predicted = zero_shot(embeddings, texts)["prediction"].sel(property=true["property"].values)
    augmented = predicted.drop_sel(view=ORIGINAL).rename(view="augmentation")
    changed = augmented != predicted.sel(view=ORIGINAL, drop=True)
    true = true.sel(image=predicted["image"].values)
    return changed.astype(float).where(true >= 0).transpose("image", "augmentation", "property")


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


def recovered(
    clean: xr.DataArray,
    augmented: xr.DataArray,
    patched: xr.DataArray,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> dict[str, float]:
    """Say how much of the accuracy that augmentations cost comes back by activation patching.

    Parameters
    ----------
    clean : DataArray, (image, property)
        Whether the original's predictions are right, as of `judged`.
    augmented, patched : DataArray, (image, augmentation, property)
        The same of the augmented views, without and with components patched.
    n_resamples, seed : int
        Number of bootstrap resamples of the images, and their seed.

    Returns
    -------
    dict of str to float
        ``clean``, ``augmented`` and ``patched`` accuracy, means over images; ``back``, patched less
        augmented accuracy, with ``back_low`` and ``back_high``, its 95 % interval over images; and
        ``recovered``, that as a part of clean less augmented accuracy, NaN where nothing is lost.
    """
    of_image = {
        "clean": clean.mean("property"),
        "augmented": augmented.mean(["augmentation", "property"]),
        "patched": patched.mean(["augmentation", "property"]),
    }
    asked = of_image["clean"].notnull().values
    values = {name: own.values[asked] for name, own in of_image.items()}
    means = {name: float(own.mean()) for name, own in values.items()}
    back = values["patched"] - values["augmented"]
    counts = resample_counts(len(back), n_resamples, seed) / len(back)
    low, high = np.quantile(counts @ back, TAILS) if len(back) > 1 else (np.nan, np.nan)
    gap = means["clean"] - means["augmented"]
    return means | {
        "back": float(back.mean()),
        "back_low": float(low),
        "back_high": float(high),
        "recovered": float(back.mean() / gap) if gap > 0 else np.nan,
    }
