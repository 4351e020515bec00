"""What is known of each attention head, in one place: the contents of its card.

A card joins what is found in different ways, so that a reader can see where these disagree: the
texts that TEXTSPAN chose, the images in which the head says the first of them most, what the head
varies with and what a linear probe reads from it, what zero-shot accuracy loses without it, and
how much of each augmentation's shift it carries.
"""

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis.labels import near_ties, written_labels
from helpers.analysis.neighbours import nearest
from helpers.analysis.ties import first_largest

NEEDED = 0.01
"""Loss of accuracy from which a head is called needed; less is a few images of some hundred."""

TEXTS = 5
IMAGES = 4


def head_cards(
    readings: xr.Dataset,
    images: xr.DataArray,
    *,
    variance: xr.DataArray,
    skill: xr.DataArray,
    without: xr.DataArray,
    shares: xr.DataArray,
) -> xr.Dataset:
    """Join what is known of each head.

    Parameters
    ----------
    readings : Dataset
        Result of `helpers.analysis.labels.read_heads`; its layers and heads get a card.
    images : DataArray of int, (layer, head, place)
        Result of `top_images`.
    variance, skill : DataArray, (layer, head, attribute)
        Results of `helpers.analysis.probes.variance_between` and `probe_skill`.
    without : DataArray, (layer, head, attribute)
        Result of `helpers.analysis.ablation.accuracy_without_heads`.
    shares : DataArray, (augmentation, layer, head)
        Mean share of each augmentation's shift; see `helpers.analysis.dissection.head_shares`.

    Returns
    -------
    Dataset
        ``label``, ``near_tie``, ``clarity`` and ``lead``, how much clearer than the runner-up
        (layer, head); ``text`` and ``explained`` (layer, head, choice); ``image`` (layer, head,
        place); ``variance``, ``skill`` and ``without`` (layer, head, attribute); ``share`` (layer,
        head, augmentation).
    """
    columns = {
        "label": written_labels(readings),
        "near_tie": near_ties(readings),
        "clarity": readings["clarity"],
        "lead": readings["clarity"] - readings["runner_up_share"],
        "text": readings["text"].isel(choice=slice(TEXTS)),
        "explained": readings["explained"].isel(choice=slice(TEXTS)),
        "image": images,
        "variance": variance,
        "skill": skill,
        "without": without,
        "share": shares.transpose("layer", "head", "augmentation"),
    }
    plain = {name: column.reset_coords(drop=True) for name, column in columns.items()}
    # Variance and skill may be of more layers than were read; the label's decide.
    return xr.merge([column.rename(name) for name, column in plain.items()], join="left")


def top_images(
    heads: xr.DataArray, texts: xr.DataArray, first: xr.DataArray, count: int = IMAGES
) -> xr.DataArray:
    """Find the images in which each head says its first text most.

    Parameters
    ----------
    heads : DataArray, (image, layer, head, feature)
        What each head added to the embeddings.
    texts : DataArray, (text, feature)
        Normalised embeddings of the pool.
    first : DataArray of int, (layer, head)
        Position of each head's first text.
    count : int
        How many; fewer where there are fewer images.

    Returns
    -------
    DataArray of int, (layer, head, place)
        Positions of the images with the largest inner products, the largest first.
    """
    pool = texts.transpose("text", "feature").values
    by_head = heads.transpose("layer", "head", "image", "feature").values
    found = np.empty((*by_head.shape[:2], min(count, by_head.shape[2])), int)
    for place in np.ndindex(found.shape[:2]):
        found[place] = nearest(by_head[place], pool[first.values[place]], count).indices
    coords = {"layer": first["layer"], "head": first["head"]}
    return xr.DataArray(found, coords, ("layer", "head", "place"))


def notable(cards: xr.Dataset) -> dict[str, xr.Dataset]:
    """Choose the cards that are shown first, by rule.

    Parameters
    ----------
    cards : Dataset
        Result of `head_cards`.

    Returns
    -------
    dict of str to Dataset
        Why it is shown → the card: the head whose label explains most of its variance, the one
        that an accuracy loses most without, and the one whose label leads least. A head that is
        notable twice is shown once.
    """
    flat = cards.stack(unit=("layer", "head"))
    rules = {
        "clearest label": flat["clarity"],
        "most needed": -flat["without"].min("attribute"),
        "closest runner-up": -flat["lead"],
    }
    places = {int(first_largest(values.values)): why for why, values in reversed(rules.items())}
    return {why: flat.isel(unit=place) for place, why in reversed(places.items())}


def strongest(card: xr.Dataset) -> dict[str, object]:
    """Say what stands out on a head's card; of tied ones the earlier.

    Parameters
    ----------
    card : Dataset
        One head's part of `head_cards`.

    Returns
    -------
    dict of str to str or float
        ``label``; ``varies with`` and ``probe reads``, the attributes with the largest ``variance``
        and ``skill``; ``needed for``, the attribute whose accuracy loses most without the head, ""
        where that is less than `NEEDED`, and that ``change``; ``prefers``, the augmentation of
        whose shift it carries the largest ``share``.
    """
    lost, loss = _largest(-card["without"])
    names = ("varies with", "variance"), ("probe reads", "skill"), ("prefers", "share")
    varies, reads, prefers = (
        dict(zip(pair, _largest(card[pair[1]]), strict=True)) for pair in names
    )
    needed = {"needed for": lost if loss >= NEEDED else "", "change": -loss}
    return {"label": card["label"].item()} | varies | reads | needed | prefers


def _largest(values: xr.DataArray) -> tuple[str, float]:
    (axis,) = values.dims
    place = int(first_largest(values.values))
    return str(values[axis].values[place]), float(values.values[place])


def card_table(cards: xr.Dataset) -> pd.DataFrame:
    """List what stands out on every card.

    Parameters
    ----------
    cards : Dataset
        Result of `head_cards`.

    Returns
    -------
    pandas.DataFrame
        A row per head (layer, head), with the columns of `strongest`.
    """
    flat = cards.stack(unit=("layer", "head"))
    rows = [strongest(flat.isel(unit=place)) for place in range(flat.sizes["unit"])]
    return pd.DataFrame(rows, index=flat.indexes["unit"])
