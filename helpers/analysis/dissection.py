"""The exact account of a shift: which components of the model carry it, and at which depth.

An embedding is the sum of what its components added (`helpers.clip.Encoding`), so the
shift Δ from the original's embedding to the augmented one's is the sum of the components'
differences Δ_c. The *share* of a component is ⟨Δ_c, Δ⟩ / ‖Δ‖²: the part of the shift's length that
it accounts for. Shares sum to 1; a component that works against the shift has a negative share.
Where there is no shift all shares are 0, and means over images count them as that.

The *mean ablation* of a component replaces what it added to each image's embedding by its mean over
the images: the embedding keeps its place and loses what distinguished images in the component.
Source: Gandelsman, Efros and Steinhardt, ICLR 2024 (arXiv 2310.05916), sections 3.2 and 4. They
ablate all MLPs and all but the last four layers' attention; here both choices are shown.

Heads are named ``L3.H1``, which is head 1 of layer 3, both counted from 0.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from helpers.analysis.predictions import zero_shot
from helpers.analysis.scores import embedding_similarity
from helpers.analysis.statistics import mean_with_interval
from helpers.checks import WorkbookError

if TYPE_CHECKING:
    from torch import Tensor

    from helpers.clip import Encoding

_HEAD = re.compile(r"L(\d+)\.H(\d+)")
Values = TypeVar("Values", np.ndarray, "Tensor")
NO_SHIFT = 1e-5
"""A shift shorter than this part of the embedding is float32's rounding: there is none."""
POOL, REST = "pool", "rest"
LAYER = re.compile(r"L(\d+)\.")
MLP = ".MLP"


# Names of heads


def head_name(layer: int, head: int) -> str:
    """Name a head."""
    return f"L{layer}.H{head}"


def is_head(name: str) -> bool:
    """Check whether a component is a head, not another one, such as ``L3.MLP``."""
    return _HEAD.fullmatch(name) is not None


def place_of(name: str) -> tuple[int, int]:
    """Return the layer and number of a head: (3, 1) for ``L3.H1``.

    Raises
    ------
    ValueError
        If the name is no head's.
    """
    result = _HEAD.fullmatch(name)
    if result is None:
        raise ValueError(f"{name!r} is no name of a head, such as 'L3.H1'.")
    return int(result[1]), int(result[2])


def on_grid(components: xr.DataArray) -> xr.DataArray:
    """Put the heads among components on a grid of layers and heads.

    Parameters
    ----------
    components : DataArray, (…, component)
        Such as shares, labelled as by `component_labels`.

    Returns
    -------
    DataArray, (…, layer, head)
    """
    heads = components.sel(component=[n for n in components["component"].values if is_head(n)])
    layer, head = np.array([place_of(name) for name in heads["component"].values]).T
    index = pd.MultiIndex.from_arrays([layer, head], names=["layer", "head"])
    grid = heads.drop_vars("component").assign_coords(
        xr.Coordinates.from_pandas_multiindex(index, "component")
    )
    return grid.unstack("component")


# Shares


def shares(original: "Encoding", augmented: "Encoding") -> xr.DataArray:
    """Say what share of the shift between two encodings each component carries.

    Parameters
    ----------
    original, augmented : Encoding
        Encodings of the same n images before and after; or one original for n augmented views.

    Returns
    -------
    DataArray, (image, component)
        Sums to 1 over components; 0 for every component where there is no shift (`NO_SHIFT`).
        Components are labelled as `component_labels` says.

    Raises
    ------
    WorkbookError
        If the encodings are of different models or numbers of images.

    Examples
    --------
    >>> from helpers import clip, data
    >>> model, photo = clip.load("embedded"), data.open_images("photos")[0]
    >>> drawn = data.views(photo.pixels, photo.id, changes=["noise"])
    >>> carried = shares(*(model.encode(view[None]) for view in drawn.values()))
    >>> carried.sel(component="L5.H3").shape, carried.sum("component").round(3).item()
    ((1,), 1.0)
    """
    before, after = (components(encoding) for encoding in (original, augmented))
    _check_match(before.shape, after.shape)
    return xr.DataArray(
        shift_shares(before.values, after.values),
        dims=("image", "component"),
        coords={"component": before["component"]},
    )


def components(encoding: "Encoding") -> xr.DataArray:
    """Return all that an embedding is the sum of.

    Parameters
    ----------
    encoding : Encoding
        Of n images.

    Returns
    -------
    DataArray, (image, component, feature)
        Heads, MLPs and the rest, labelled as `component_labels` says; float32.
    """
    labels = component_labels(*encoding.heads.shape[1:3], encoding.rest_labels)
    return xr.DataArray(
        encoding.components,
        dims=("image", "component", "feature"),
        coords={"component": labels},
    )


def component_labels(layers: int, heads: int, rest: Sequence[str] | None = None) -> list[str]:
    """Name the components of a model."""
    biases = [f"L{layer}.bias" for layer in range(layers)]
    return [
        *(head_name(layer, head) for layer in range(layers) for head in range(heads)),
        *(f"L{layer}.MLP" for layer in range(layers)),
        *(rest or ("class token", *biases, "constant")),
    ]


def shift_shares(original: ArrayLike, augmented: ArrayLike) -> np.ndarray:
    """Say what share of a shift each component carries, from the components themselves.

    Of shape (…, components).
    """
    original = np.asarray(original, np.float64)
    differences = np.asarray(augmented, np.float64) - original
    return along_shift(differences, differences.sum(axis=-2), original.sum(axis=-2))


def along_shift(differences: ArrayLike, shift: ArrayLike, embedding: ArrayLike) -> np.ndarray:
    """Say what share of a shift lies in each of some differences: (…, parts)."""
    differences, shift, embedding = (
        np.asarray(side, np.float64) for side in (differences, shift, embedding)
    )
    return as_shares(np.einsum("...cd,...d->...c", differences, shift), shift, embedding)


def as_shares(along: Values, shift: Values, embedding: Values) -> Values:
    """Turn inner products with a shift into shares of it: (…, parts)."""
    length = (shift * shift).sum(axis=-1)
    none = length <= NO_SHIFT**2 * (embedding * embedding).sum(axis=-1)
    return (along * ~none[..., None]) / (length + none)[..., None]


def fewest_for_half(falling: Values) -> Values:
    """Say how many of the largest sizes make up half of their sum."""
    carried = falling.cumsum(-1)
    return (1 + (carried < carried[..., -1:] / 2).sum(-1)) * (carried[..., -1] > 0)


def part_shares(shares: xr.DataArray) -> xr.DataArray:
    """Add up shares by layer: all heads of a layer, its MLP, and the rest of the model.

    Parameters
    ----------
    shares : DataArray, (…, component)
        Shares, labelled as by `component_labels`.

    Returns
    -------
    DataArray, (…, part)
        ``L0 heads``, ``L0 MLP``, ``L1 heads`` …, then ``pool`` where the pool has an MLP of its
        own, and ``rest``: the class token that enters the first block, the biases of the
        attentions' outputs and the constant. Sums to what `shares` sums to.
    """
    groups = [_part_of(label) for label in shares["component"].values]
    parts = sorted(set(groups), key=_layer_then_kind)
    members = [np.flatnonzero([group == part for group in groups]) for part in parts]
    summed = [shares.isel(component=places).sum("component") for places in members]
    return xr.concat(summed, pd.Index(parts, name="part")).transpose(..., "part")


def named_heads(heads: xr.DataArray | xr.Dataset) -> xr.DataArray | xr.Dataset:
    """Turn a grid of heads into one axis of labelled heads.

    Parameters
    ----------
    heads : DataArray or Dataset, (…, layer, head)
        As of `on_grid`.

    Returns
    -------
    DataArray or Dataset, (…, component)
        Labels such as ``L3.H1``.
    """
    flat = heads.stack(component=("layer", "head"))
    labels = [head_name(layer, head) for layer, head in flat["component"].values]
    return flat.drop_vars(["component", "layer", "head"]).assign_coords(component=labels)


def _check_match(before: tuple, after: tuple) -> None:
    if before[0] not in (1, after[0]) or before[1:] != after[1:]:
        raise WorkbookError(
            f"An original of {before[0]} images × {before[1]} components × {before[2]} features"
            f" and an augmented side of {after[0]} × {after[1]} × {after[2]} don't match; encode"
            " the same images with the same model."
        )


def _part_of(label: str) -> str:
    layer, _, kind = label.partition(".")
    if label == POOL:
        return POOL
    if kind == "MLP":
        return f"{layer} MLP"
    return f"{layer} heads" if kind.startswith("H") else REST


def _layer_then_kind(part: str) -> tuple[float, str]:
    return (np.inf, part) if part in (POOL, REST) else (int(part.split()[0][1:]), part.lower())


# Depth


def shares_by_layer(shares: xr.DataArray) -> xr.DataArray:
    """Add up the shares of each layer's heads and MLP; what is in no layer is left out.

    Parameters
    ----------
    shares : DataArray, (…, component)
        Of shifts, or of ordinary differences.

    Returns
    -------
    DataArray, (…, layer)
    """
    names = shares["component"].values.tolist()
    layer = [int(match[1]) if (match := LAYER.match(name)) else -1 for name in names]
    by_layer = shares.assign_coords(layer=("component", layer)).groupby("layer").sum(skipna=False)
    return by_layer.sel(layer=by_layer["layer"] >= 0)


def mean_depth(shares: xr.DataArray) -> xr.DataArray:
    """Say at which depth a difference is written on average: 0, the first layer, to 1, the last.

    Parameters
    ----------
    shares : DataArray, (…, component)

    Returns
    -------
    DataArray, (…)
        The mean place of layers, weighted by their shares; linear in the shares. NaN where there
        was no shift, or the tower has a single layer.
    """
    by_layer = shares_by_layer(shares)
    places = by_layer["layer"] / by_layer["layer"].max()
    whole = by_layer.sum("layer", skipna=False)
    return (by_layer * places).sum("layer", skipna=False) / whole.where(whole != 0)


def later_than_untrained(
    trained: Mapping[str, xr.DataArray], untrained: Mapping[str, xr.DataArray]
) -> pd.DataFrame:
    """Say how much later a trained model writes than an untrained one, shifts and any difference.

    Parameters
    ----------
    trained, untrained : mapping of str to DataArray
        ``shift``, (image, augmentation), and ``ordinary``, (image): depths as of `mean_depth`, of
        the same images of one source.

    Returns
    -------
    DataFrame
        Rows ``shift``, ``ordinary`` and ``beyond``, the first less the second, with `mean`, `low`
        and `high` (95 %, over images); NaN where no image has all three, as of a single image.
    """
    later = {
        "shift": (trained["shift"] - untrained["shift"]).mean("augmentation"),
        "ordinary": _in_pairs(trained["ordinary"] - untrained["ordinary"]),
    }
    later["beyond"] = later["shift"] - later["ordinary"]
    values = xr.concat(later.values(), pd.Index(list(later), name="augmentation"), coords="minimal")
    known = values.transpose("image", "augmentation").dropna("image")
    if not known.sizes["image"]:
        return pd.DataFrame(np.nan, list(later), ["mean", "low", "high"])
    return mean_with_interval(known)


def _in_pairs(values: xr.DataArray) -> xr.DataArray:
    # Every image is in the pairs of others, too, and so counts twice.
    mean = values.mean("image")
    return mean + 2 * (values - mean)


# Mean ablation


def mean_ablated(parts: xr.DataArray, kept: Sequence[str]) -> np.ndarray:
    """Return the embeddings with all but some parts replaced by their means: (image, feature)."""
    means = parts.mean("image")
    varying = parts.sel(part=list(kept)) - means.sel(part=list(kept))
    return (means.sum("part") + varying.sum("part")).transpose("image", "feature").values


def last_layers(parts: xr.DataArray) -> dict[str, dict[int, np.ndarray]]:
    """Ablate all attention but that of the last n layers, with MLPs kept and with MLPs ablated.

    Parameters
    ----------
    parts : DataArray, (image, part, feature)
        What the embeddings are the sum of; a layer has ``L3.MLP``, and everything else whose name
        starts with ``L3.`` is its attention, whole or by heads and bias.

    Returns
    -------
    dict of str to dict of int to ndarray
        What is kept besides (``everything else`` or ``nothing else``) → n, from 0 to all layers →
        embeddings, (image, feature).
    """
    names = list(parts["part"].values)
    layers = [_attention_of(layer, names) for layer in range(_number_of_layers(names))]
    rest = [name for name in names if name not in chain(*layers)]
    return {
        title: {
            n: mean_ablated(parts, [*besides, *chain(*layers[len(layers) - n :])])
            for n in range(len(layers) + 1)
        }
        for title, besides in (("everything else", rest), ("nothing else", []))
    }


def _number_of_layers(names: Sequence[str]) -> int:
    return sum(name.endswith(MLP) for name in names)


def _attention_of(layer: int, names: Sequence[str]) -> list[str]:
    return [name for name in names if name.startswith(f"L{layer}.") and not name.endswith(MLP)]


def remaining(
    embeddings: np.ndarray, ablated: np.ndarray, texts: xr.DataArray, groups: Sequence[str]
) -> dict[str, float]:
    """Measure how much of the embeddings an ablation leaves.

    Parameters
    ----------
    embeddings, ablated : ndarray, (images, features)
        Before and after.
    texts : DataArray, (text, feature)
        Embeddings of the pool, with the coordinate ``property``.
    groups : sequence of str
        Properties that zero-shot questions are asked about.

    Returns
    -------
    dict of str to float
        ``variance``, the share of the variance over images that is left: 1 less that of the
        difference, so below 0 where the ablation adds more error than it leaves of the signal;
        ``cosine``, the mean cosine similarity; ``predictions``, the share of zero-shot predictions
        that stay as they were, over images and properties. NaN for the variance of equal
        embeddings.
    """
    spread = np.square(embeddings - embeddings.mean(axis=0)).sum()
    lost = embeddings - ablated
    error = np.square(lost - lost.mean(axis=0)).sum()
    asked = texts.isel(text=np.isin(texts["property"].values, groups))
    same = [_predicted(side, asked) for side in (embeddings, ablated)] if groups else []
    return {
        "variance": float(1 - error / spread) if spread else np.nan,
        "cosine": float(embedding_similarity(embeddings, ablated).mean()),
        "predictions": float(np.mean(np.equal(*same))) if groups else np.nan,
    }


def _predicted(embeddings: np.ndarray, texts: xr.DataArray) -> np.ndarray:
    vectors = xr.DataArray(embeddings, dims=("image", "feature"))
    return zero_shot(vectors, texts)["prediction"].values
