"""What a shift says: the texts along which embeddings move, and zero-shot predictions."""

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from helpers.analysis import ties
from helpers.analysis.statistics import FALSE_DISCOVERY_RATE, mean_with_interval
from helpers.checks import WorkbookError

ALL_TEXTS = "all texts"
QUANTILE = 0.95


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
    return unit_vectors(shift) @ _centred(texts)


def isotropic_level(shift: xr.DataArray, texts: int, quantile: float = QUANTILE) -> pd.Series:
    """Say how far a mean shift would point along the best of as many random directions.

    For a direction u drawn uniformly from the unit sphere in d dimensions and the mean m of the
    unit shifts, ⟨m, u⟩² / ‖m‖² follows a Beta(1/2, (d - 1)/2) distribution. The level is the given
    quantile of the largest |⟨m, u⟩| among independent directions. It is too low a bar for texts,
    which lie in a few of the dimensions, as shifts do: `span_null` is the fair one.

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


def span_null(
    shift: xr.DataArray, texts: xr.DataArray, *, draws: int = 1000, seed: int = 0
) -> xr.DataArray:
    """Draw how far a mean shift points along the best of random directions that texts could have.

    A direction is a mixture of the centred texts with weights from a normal distribution, and so
    lies where the texts lie, in their span and mostly in the few dimensions along which they differ
    most. As many are drawn as there are texts, and the best of them counts.

    Parameters
    ----------
    shift : DataArray, (image, augmentation, feature)
        Δ in the units of the embedding.
    texts : DataArray, (text, feature)
        The pool, as for `along_texts`.
    draws, seed : int
        Number of draws, and their seed.

    Returns
    -------
    DataArray, (draw, augmentation)
        The largest |cosine| of each draw.
    """
    mean = unit_vectors(shift).mean("image").transpose("augmentation", "feature")
    centred = _centred(texts).values
    rng = np.random.default_rng(seed)
    found = np.empty((draws, mean.sizes["augmentation"]))
    for draw in range(draws):
        directions = rng.normal(size=(len(centred), len(centred))) @ centred
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        found[draw] = np.abs(mean.values @ directions.T).max(axis=1)
    names = mean["augmentation"].values
    return xr.DataArray(found, dims=("draw", "augmentation"), coords={"augmentation": names})


def permuted_null(
    embeddings: xr.DataArray, texts: xr.DataArray, *, draws: int = 200, seed: int = 0
) -> xr.DataArray:
    """Draw how far shifts point along the best text when they lead to another image's view.

    Every original is paired with the augmented view of another image, the next in a random ring.
    What remains is what the augmentation does to images as a whole, whichever image it is.

    Parameters
    ----------
    embeddings : DataArray, (image, view, feature)
        The view ``original`` and augmented ones.
    texts, draws, seed
        As for `span_null`.

    Returns
    -------
    DataArray, (draw, augmentation)
        The largest |cosine| of each draw.
    """
    embeddings = embeddings.transpose("image", "view", "feature")
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        ring = rng.permutation(embeddings.sizes["image"])
        others = embeddings.isel(image=np.roll(ring, 1)[np.argsort(ring)])
        paired = embeddings.copy(data=others.values)
        paired.loc[{"view": "original"}] = embeddings.sel(view="original").values
        found.append(_furthest(shifts(paired), texts))
    return xr.concat(found, "draw")


def other_images(originals: xr.DataArray, texts: xr.DataArray) -> np.ndarray:
    """Say how far a move to another image points along its best text: a yardstick.

    Parameters
    ----------
    originals : DataArray, (image, feature)
        Embeddings of two or more images.
    texts : DataArray, (text, feature)
        As for `along_texts`.

    Returns
    -------
    ndarray, (images,)
        For each image the largest |cosine| of a text with the mean of the unit shifts that lead
        from all other images to it.
    """
    found = []
    for place in range(originals.sizes["image"]):
        rest = originals.isel(image=np.delete(np.arange(originals.sizes["image"]), place))
        towards = (originals.isel(image=place) - rest).expand_dims(augmentation=["other"])
        found.append(_furthest(towards, texts).item())
    return np.array(found)


def text_table(along: xr.DataArray, null: xr.DataArray, k: int) -> pd.DataFrame:
    """Name the texts towards which, and away from which, each augmentation moves images most.

    Parameters
    ----------
    along : DataArray, (image, augmentation, text)
        As of `along_texts`, perhaps with the coordinate ``property`` of the texts.
    null : DataArray, (draw, augmentation)
        As of `span_null`.
    k : int
        Texts per augmentation and sign; at most half of the texts.

    Returns
    -------
    DataFrame
        Columns `augmentation`, `text`, `property` (where known), `mean`, `low`, `high`, `sd`, `n`
        (`helpers.analysis.statistics.mean_with_interval`); `chance`, the 95 % quantile of the null;
        `p`, the share of draws, the data counted in, whose best direction is as far from 0; and
        `beyond_chance`, whether p passes Benjamini and Hochberg's control of the false discovery
        rate at 5 % over all rows. From the farthest towards to the farthest away.
    """
    k = min(k, along.sizes["text"] // 2)
    names = null["augmentation"].values
    rows = [_text_rows(along.sel(augmentation=n), null.sel(augmentation=n), k) for n in names]
    table = pd.concat(rows, ignore_index=True)
    passed = stats.false_discovery_control(table["p"]) <= FALSE_DISCOVERY_RATE
    return table.assign(beyond_chance=passed)


def _text_rows(along: xr.DataArray, null: xr.DataArray, k: int) -> pd.DataFrame:
    order = ties.largest_first(along.mean("image").values)
    chosen = along.isel(text=[*order[:k], *order[len(order) - k :]]).transpose("image", "text")
    table = mean_with_interval(chosen.to_pandas()).rename_axis("text").reset_index()
    if "property" in chosen.coords:
        table.insert(1, "property", chosen["property"].values)
    table.insert(0, "augmentation", along["augmentation"].item())
    as_far = null.values[:, None] >= np.abs(table["mean"].to_numpy())  # draws × texts
    p = (1 + as_far.sum(axis=0)) / (1 + len(null))
    return table.assign(chance=float(null.quantile(QUANTILE)), p=p)


def _centred(texts: xr.DataArray) -> xr.DataArray:
    return unit_vectors(texts - texts.mean("text")).transpose("text", "feature")


def _furthest(shift: xr.DataArray, texts: xr.DataArray) -> xr.DataArray:
    return abs(along_texts(shift, texts).mean("image")).max("text")


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
        those that are tied (`helpers.analysis.ties`); ``margin``, its cosine similarity less that
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
