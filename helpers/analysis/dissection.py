"""The exact account of a shift: which components of the model carry it.

An embedding is the sum of what its components added (`helpers.clip.Encoding`), so the
shift Δ from the original's embedding to the augmented one's is the sum of the components'
differences Δ_c. The *share* of a component is ⟨Δ_c, Δ⟩ / ‖Δ‖²: the part of the shift's length that
it accounts for. Shares sum to 1; a component that works against the shift has a negative share.
"""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from helpers.checks import WorkbookError

if TYPE_CHECKING:
    from helpers.clip import Encoding

NO_SHIFT = 1e-5
"""A shift shorter than this part of the embedding is float32's rounding: there is none."""


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
        Components are labelled ``L3.H1`` (head), ``L3.MLP``, ``L3.bias``, ``class token`` and
        ``constant``.

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
    heads = encoding.heads
    parts = [heads.reshape(len(heads), -1, heads.shape[-1]), encoding.mlps, encoding.rest]
    labels = component_labels(*heads.shape[1:3])
    return xr.DataArray(
        np.concatenate(parts, axis=1),
        dims=("image", "component", "feature"),
        coords={"component": labels},
    )


def component_labels(layers: int, heads: int) -> list[str]:
    """Name the components of a model.

    Parameters
    ----------
    layers, heads : int
        Number of layers, and of heads in each.

    Returns
    -------
    list of str
        ``L0.H0`` … for heads, ``L0.MLP`` …, ``class token`` (as it enters the first block),
        ``L0.bias`` … (of the attention's output) and ``constant`` (the bias of `ln_post`).
    """
    return [
        *(f"L{layer}.H{head}" for layer in range(layers) for head in range(heads)),
        *(f"L{layer}.MLP" for layer in range(layers)),
        "class token",
        *(f"L{layer}.bias" for layer in range(layers)),
        "constant",
    ]


def shift_shares(original: ArrayLike, augmented: ArrayLike) -> np.ndarray:
    """Say what share of a shift each component carries, from the components themselves.

    Parameters
    ----------
    original, augmented : array_like, (…, components, features)
        What each component added to the embeddings; leading axes broadcast.

    Returns
    -------
    ndarray, (…, components)
        ⟨Δ_c, Δ⟩ / ‖Δ‖², float64; zeros where there is no shift.
    """
    original = np.asarray(original, np.float64)
    differences = np.asarray(augmented, np.float64) - original
    return along_shift(differences, differences.sum(axis=-2), original.sum(axis=-2))


def along_shift(differences: ArrayLike, shift: ArrayLike, embedding: ArrayLike) -> np.ndarray:
    """Say what share of a shift lies in each of some differences.

    Parameters
    ----------
    differences : array_like, (…, parts, features)
        Change of each part, such as what heads read from each patch.
    shift : array_like, (…, features)
        Change of the embedding.
    embedding : array_like, (…, features)
        The embedding that was shifted; it says how short a shift is none (`NO_SHIFT`).

    Returns
    -------
    ndarray, (…, parts)
        ⟨difference, shift⟩ / ‖shift‖², float64; zeros where there is no shift.
    """
    differences, shift = (np.asarray(side, np.float64) for side in (differences, shift))
    length = np.square(shift).sum(axis=-1)
    none = length <= NO_SHIFT**2 * np.square(embedding).sum(axis=-1)
    along = np.einsum("...cd,...d->...c", differences, shift)
    return np.where(none[..., None], 0, along / np.where(none, 1, length)[..., None])


def _check_match(before: tuple, after: tuple) -> None:
    if before[0] not in (1, after[0]) or before[1:] != after[1:]:
        raise WorkbookError(
            f"An original of {before[0]} images × {before[1]} components × {before[2]} features"
            f" and an augmented side of {after[0]} × {after[1]} × {after[2]} don't match; encode"
            " the same images with the same model."
        )
