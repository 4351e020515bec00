"""What is known of each attention head, in one place: the contents of its card.

A card joins what is found in different ways, so that a reader can see where these disagree: the
texts that TEXTSPAN chose, the images in which the head says the first of them most, what the head
varies with, which zero-shot answers it sways, and how much of each augmentation's shift it carries.
"""

import numpy as np
import xarray as xr

from helpers.analysis.labels import written_labels
from helpers.analysis.neighbours import nearest
from helpers.ties import first_largest

TEXTS = 5
IMAGES = 4


def head_cards(
    readings: xr.Dataset,
    images: xr.DataArray,
    *,
    variance: xr.DataArray,
    answers: xr.DataArray,
    shares: xr.DataArray,
) -> xr.Dataset:
    """Join what is known of each head.

    Parameters
    ----------
    readings : Dataset
        Result of `helpers.analysis.labels.read_heads`; its layers and heads get a card.
    images : DataArray of int, (layer, head, place)
        Result of `top_images`.
    variance, answers : DataArray, (layer, head, attribute)
        Results of `helpers.analysis.probes.variance_between` and `share_of_answers`.
    shares : DataArray, (augmentation, layer, head)
        Mean share of each augmentation's shift; see `helpers.analysis.dissection.head_shares`.

    Returns
    -------
    Dataset
        ``label`` (layer, head); ``text`` (layer, head, choice); ``image`` (layer, head, place);
        ``variance`` and ``answers`` (layer, head, attribute); ``share`` (layer, head,
        augmentation).
    """
    columns = {
        "label": written_labels(readings),
        "text": readings["text"].isel(choice=slice(TEXTS)),
        "image": images,
        "variance": variance,
        "answers": answers,
        "share": shares.transpose("layer", "head", "augmentation"),
    }
    plain = {name: column.reset_coords(drop=True) for name, column in columns.items()}
    # Variance and answers may be of more layers than were read; the label's decide.
    return xr.merge([column.rename(name) for name, column in plain.items()], join="left")


def top_images(heads: xr.DataArray, texts: xr.DataArray, first: xr.DataArray) -> xr.DataArray:
    """Find the images in which each head says its first text most.

    Parameters
    ----------
    heads : DataArray, (image, layer, head, feature)
        What each head added to embeddings of length 1; see `neighbours.to_unit_embeddings`.
    texts : DataArray, (text, feature)
        Normalised embeddings of the pool.
    first : DataArray of int, (layer, head)
        Position of each head's first text.

    Returns
    -------
    DataArray of int, (layer, head, place)
        Positions of the images with the largest inner products, the largest first.
    """
    pool = texts.transpose("text", "feature").values
    by_head = heads.transpose("layer", "head", "image", "feature").values
    found = np.empty((*by_head.shape[:2], min(IMAGES, by_head.shape[2])), int)
    for place in np.ndindex(found.shape[:2]):
        found[place] = nearest(by_head[place], pool[first.values[place]], IMAGES).indices
    coords = {"layer": first["layer"], "head": first["head"]}
    return xr.DataArray(found, coords, ("layer", "head", "place"))


def strongest(card: xr.Dataset) -> dict[str, object]:
    """Say what stands out on a head's card; of tied ones the earlier.

    Parameters
    ----------
    card : Dataset
        One head's part of `head_cards`.

    Returns
    -------
    dict of str to str or float
        ``varies with``, the attribute with the largest ``variance``; ``sways``, that with the
        largest share of ``answers``; ``prefers``, the augmentation of whose shift it carries the
        largest ``share``.
    """
    found: dict[str, object] = {}
    for name, measure in (("varies with", "variance"), ("sways", "answers"), ("prefers", "share")):
        found[name], found[measure] = _largest(card[measure])
    return found


def _largest(values: xr.DataArray) -> tuple[str, float]:
    (axis,) = values.dims
    place = int(first_largest(values.values))
    return str(values[axis].values[place]), float(values.values[place])
