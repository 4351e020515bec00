"""What a shift says: the texts along which embeddings move, and the answers that change."""

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from helpers.analysis import ties
from helpers.analysis.statistics import mean_with_interval
from helpers.checks import WorkbookError

ALL_TEXTS = "all texts"


def shifts(embeddings: xr.DataArray) -> xr.DataArray:
    """Return Δ: every augmented view's embedding less the original's.

    Parameters
    ----------
    embeddings : DataArray, (image, view, feature)
        The view ``original`` and augmented ones.

    Returns
    -------
    DataArray, (image, augmentation, feature)
        In the units of the embedding.
    """
    embeddings = embeddings.transpose("image", "view", "feature")
    augmented = embeddings.drop_sel(view="original").rename(view="augmentation")
    return augmented - embeddings.sel(view="original", drop=True)


def unit_vectors(vectors: xr.DataArray) -> xr.DataArray:
    """Scale vectors to length 1.

    Parameters
    ----------
    vectors : DataArray, (…, feature)

    Returns
    -------
    DataArray, (…, feature)
        Zeros where a vector is zero.
    """
    length = np.sqrt(np.square(vectors).sum("feature"))
    return vectors / length.where(length > 0, 1)


def along_texts(shift: xr.DataArray, texts: xr.DataArray) -> xr.DataArray:
    """Say how far the direction of each shift points towards each text.

    Shifts are scaled to length 1, so that every image counts equally.

    All texts of a CLIP lie in a narrow cone: a shift into the cone would be one towards every text.
    So the mean of the pool is taken from each text first, and what is left is scaled to length 1.

    Parameters
    ----------
    shift : DataArray, (image, augmentation, feature)
        Δ in the units of the embedding.
    texts : DataArray, (text, feature)
        Normalised embeddings of a pool of two or more texts.

    Returns
    -------
    DataArray, (image, augmentation, text)
        ⟨Δ / ‖Δ‖, t⟩, the cosine of the angle between the two, in [-1, 1]; 0 where there is no
        shift.

    Raises
    ------
    WorkbookError
        If there are fewer than two texts, or shifts and texts have other features.
    """
    if texts.sizes["text"] < 2 or texts.sizes["feature"] != shift.sizes["feature"]:
        raise WorkbookError(
            f"{texts.sizes['text']} texts of {texts.sizes['feature']} features can't say where"
            f" shifts of {shift.sizes['feature']} features lead; give two texts or more, of the"
            " same model."
        )
    return unit_vectors(shift) @ unit_vectors(texts - texts.mean("text"))


def chance_level(shift: xr.DataArray, texts: int, quantile: float = 0.95) -> pd.Series:
    """Say how far a mean shift would point along the best of as many random directions.

    For a direction u drawn uniformly from the unit sphere in d dimensions and the mean m of the
    unit shifts, ⟨m, u⟩² / ‖m‖² follows a Beta(1/2, (d - 1)/2) distribution. The level is the given
    quantile of the largest |⟨m, u⟩| among independent directions. Texts that say nearly the same
    are fewer directions than they are texts, which makes the level a cautious one.

    Parameters
    ----------
    shift : DataArray, (image, augmentation, feature)
        Δ in the units of the embedding.
    texts : int
        Number of directions.
    quantile : float
        Of the largest value.

    Returns
    -------
    Series
        A level per augmentation, to hold the mean of `along_texts` against.
    """
    mean = unit_vectors(shift).mean("image")
    length = np.sqrt(np.square(mean).sum("feature")).to_series()
    square = stats.beta.ppf(quantile ** (1 / texts), 0.5, (shift.sizes["feature"] - 1) / 2)
    return length * np.sqrt(square)


def text_table(along: xr.DataArray, chance: pd.Series, k: int) -> pd.DataFrame:
    """Name the texts towards which, and away from which, each augmentation moves images most.

    Parameters
    ----------
    along : DataArray, (image, augmentation, text)
        As of `along_texts`, perhaps with the coordinate ``property`` of the texts.
    chance : Series
        As of `chance_level`.
    k : int
        Texts per augmentation and sign; at most half of the texts.

    Returns
    -------
    DataFrame
        Columns `augmentation`, `text`, `property` (where known), `mean`, `low`, `high`, `sd`, `n`
        (`helpers.analysis.statistics.mean_with_interval`), `chance` and `beyond_chance`: whether
        the whole interval is farther from 0 than chance. From the farthest towards to the farthest
        away.
    """
    k = min(k, along.sizes["text"] // 2)
    rows = [_text_rows(along.sel(augmentation=name), chance[name], k) for name in chance.index]
    return pd.concat(rows, ignore_index=True)


def _text_rows(along: xr.DataArray, chance: float, k: int) -> pd.DataFrame:
    order = ties.largest_first(along.mean("image").values)
    chosen = along.isel(text=[*order[:k], *order[len(order) - k :]]).transpose("image", "text")
    table = mean_with_interval(chosen.to_pandas()).rename_axis("text").reset_index()
    if "property" in chosen.coords:
        table.insert(1, "property", chosen["property"].values)
    table.insert(0, "augmentation", along["augmentation"].item())
    beyond = (table["low"] > chance) | (table["high"] < -chance)
    return table.assign(chance=chance, beyond_chance=beyond)


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
    """Answer every property's question for every view: which value fits best, and how clearly.

    Parameters
    ----------
    embeddings : DataArray, (image, view, feature)
        Embeddings of one model, normalised or not.
    texts : DataArray, (text, feature)
        Values and their properties, as of `ensembles`.

    Returns
    -------
    Dataset
        ``answer`` (image, view, property), the number of the value among the property's;
        ``margin``, its cosine similarity less that of the second best. Properties of a single value
        pose no question and are left out.

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
    views = unit_vectors(embeddings.transpose("image", "view", "feature"))
    answered = [_answered(views, texts.isel(text=np.flatnonzero(names == name))) for name in asked]
    return xr.concat(answered, pd.Index(asked, name="property")).transpose(..., "property")


def _answered(views: xr.DataArray, texts: xr.DataArray) -> xr.Dataset:
    similarity = views.values @ texts.transpose("feature", "text").values  # image × view × texts
    second, first = np.moveaxis(np.partition(similarity, -2, axis=-1)[..., -2:], -1, 0)
    axes = ("image", "view")
    return xr.Dataset(
        {"answer": (axes, ties.first_largest(similarity)), "margin": (axes, first - second)},
        coords={name: views[name] for name in axes},
    )


def flips(answers: xr.Dataset) -> xr.DataArray:
    """Say which answers differ from the original's.

    Parameters
    ----------
    answers : Dataset
        As of `zero_shot`, with the view ``original``.

    Returns
    -------
    DataArray of bool, (image, augmentation, property)
    """
    answer = answers["answer"]
    augmented = answer.drop_sel(view="original").rename(view="augmentation")
    return augmented != answer.sel(view="original", drop=True)


def flip_table(answers: xr.Dataset) -> pd.DataFrame:
    """Sum up how often answers flip, and how clear the original's answer was.

    Parameters
    ----------
    answers : Dataset
        As of `zero_shot`.

    Returns
    -------
    DataFrame
        Columns `augmentation`, `property`, `rate` (share of images whose answer flips), `low`,
        `high` (95 % bootstrap interval over images), `n`, and `margin_kept` and `margin_flipped`:
        mean margins of the original's answer where it is kept and where it flips; NaN where none
        is.
    """
    flipped = flips(answers)
    margin = answers["margin"].sel(view="original", drop=True)
    tables = []
    for name in flipped["property"].values:
        own, margins = flipped.sel(property=name), margin.sel(property=name)
        table = mean_with_interval(own.astype(float)).rename(columns={"mean": "rate"})
        means = {"margin_kept": ~own, "margin_flipped": own}
        columns = {
            column: margins.where(which).mean("image").to_series()
            for column, which in means.items()
        }
        tables.append(table.drop(columns="sd").assign(property=name, **columns))
    order = ["augmentation", "property", "rate", "low", "high", "n", *means]
    return pd.concat(tables).rename_axis("augmentation").reset_index()[order]


def margins(answers: xr.Dataset) -> pd.DataFrame:
    """Hold margins of answers that flip against those of answers that are kept, all properties.

    Parameters
    ----------
    answers : Dataset
        As of `zero_shot`.

    Returns
    -------
    DataFrame
        Columns `augmentation`, `answer` ("kept" or "flipped"), and `mean`, `low`, `high`, `sd`,
        `n` of the original's margin: mean over an image's properties, then over the images that
        have such an answer.
    """
    flipped = flips(answers)
    margin = answers["margin"].sel(view="original", drop=True)
    parts = {
        "kept": margin.where(~flipped).mean("property"),
        "flipped": margin.where(flipped).mean("property"),
    }
    tables = {name: mean_with_interval(values) for name, values in parts.items()}
    return pd.concat(tables, names=["answer", "augmentation"]).reset_index()
