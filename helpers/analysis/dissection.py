"""The exact account of a shift: which components of the model carry it.

An embedding is the sum of what its components added (`helpers.clip.Encoding`), so the
shift Δ from the original's embedding to the augmented one's is the sum of the components'
differences Δ_c. The *share* of a component is ⟨Δ_c, Δ⟩ / ‖Δ‖²: the part of the shift's length that
it accounts for. Shares sum to 1; a component that works against the shift has a negative share.
Where there is no shift all shares are 0, and means over images count them as that.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from helpers.analysis.head_names import head_name, on_grid
from helpers.checks import WorkbookError

if TYPE_CHECKING:
    from torch import Tensor

    from helpers.clip import Encoding

Values = TypeVar("Values", np.ndarray, "Tensor")

NO_SHIFT = 1e-5
"""A shift shorter than this part of the embedding is float32's rounding: there is none."""

POOL, REST = "pool", "rest"


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


def head_shares(shares: xr.DataArray) -> xr.DataArray:
    """Return the shares of the heads on their grid.

    Parameters
    ----------
    shares : DataArray, (…, component)
        Shares, labelled and ordered as by `component_labels`.

    Returns
    -------
    DataArray, (…, layer, head)
    """
    return on_grid(shares)


def named_heads(heads: xr.DataArray | xr.Dataset) -> xr.DataArray | xr.Dataset:
    """Turn a grid of heads into one axis of labelled heads.

    Parameters
    ----------
    heads : DataArray or Dataset, (…, layer, head)
        As of `head_shares`.

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
