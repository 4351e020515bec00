"""What may be chosen in an analysis, and the arrays that a choice stands for.

Every choice is checked here, so that a function and a panel say the same of a bad one.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
import xarray as xr

from helpers.analysis.labels import UNKNOWN
from helpers.analysis.proximity import to_unit_embeddings
from helpers.checks import WorkbookError, one_of
from helpers.data import published, views
from helpers.runs.derived.heads import head_readings
from helpers.runs.run import Run
from helpers.ties import first_largest

ALL = "all"
"""In place of a layer or head: the sum over all of them."""

UNNAMED = (
    "No head of this run could be named after a property: with one image, or none that differ,"
    " no head's contribution varies; take a run of more images."
)
"""What is shown where `heads_by_property` finds nothing."""

HEADS_AT_HAND = 32  # 27 MB each for 13,312 images of 512 features
IMAGES_AT_HAND = 64  # 0.15 MB each
Head = tuple[int, int]

PUBLISHED = "{}, as published"
"""How a property is named whose heads Intel Labs published, beside the run's own labels."""


def image_ids(run: Run) -> list[str]:
    """Return the ids of the run's readable images."""
    return list(_heads(run)["image"].values)


def searched_layers(run: Run) -> list[int]:
    """Return the layers whose heads' contributions the run keeps."""
    return list(map(int, _heads(run)["layer"].values))


def numbers_of_heads(run: Run) -> list[int]:
    """Return the numbers of the heads in a layer."""
    return list(map(int, _heads(run)["head"].values))


def pixels_of(run: Run, image: str | np.ndarray) -> np.ndarray:
    """Return an image as models see it.

    Parameters
    ----------
    run : Run
    image : str or ndarray of uint8, height × width × 3
        The id of an image of the run, or an image of one's own.

    Returns
    -------
    ndarray of uint8, height × width × 3

    Raises
    ------
    WorkbookError
        If the run has no such image, or the array is no RGB image.
    """
    return _of_run(run, image) if isinstance(image, str) else _resized(run, image)


def text_direction(run: Run, text: str) -> np.ndarray:
    """Return the normalised embedding of a text."""
    if not isinstance(text, str) or not text.strip():
        raise WorkbookError(
            f"The text {text!r} says nothing; type what to look for, such as 'a red object'."
        )
    pool = run.named_texts()
    known = list(pool["text"].values)
    if text in known:  # which needs no model
        return pool.values[known.index(text)]
    (embedding,) = run.model.encode_text([text])
    return embedding / np.linalg.norm(embedding)


def contributions(run: Run, heads: Sequence[Head]) -> np.ndarray:
    """Return what heads added to each image's embedding of length 1, averaged over the heads.

    Parameters
    ----------
    run : Run
    heads : sequence of (int, int)
        Layer and number of each head.

    Returns
    -------
    ndarray, (images, features)
        float32 and contiguous; kept, so that another search of the same heads finds it ready.

    Raises
    ------
    WorkbookError
        If the run keeps no contributions of such a head.
    """
    for layer, head in heads:
        _check_number("layer", layer, searched_layers(run))
        _check_number("head", head, numbers_of_heads(run))
    return _mean_contribution(run, tuple(heads))


def contribution_of(run: Run, image: str | np.ndarray, heads: Sequence[Head]) -> np.ndarray:
    """Return what heads add to one image's embedding of length 1, averaged over the heads."""
    searched = contributions(run, heads)
    if isinstance(image, str):
        return searched[position(run, image)]
    encoding = run.model.encode(pixels_of(run, image)[None])
    (added,) = to_unit_embeddings(encoding.heads, encoding.embedding)  # layers × heads × features
    return np.mean([added[head] for head in heads], axis=0)


def position(run: Run, image: str | np.ndarray) -> int | None:
    """Return where an image stands among those searched; None for an image of one's own."""
    if not isinstance(image, str):
        return None
    ids = image_ids(run)
    return ids.index(one_of("image", image, ids))


def heads_by_property(run: Run) -> Mapping[str, list[Head]]:
    """Find the heads that each property's texts describe, and those published for a property.

    See `helpers.analysis.labels` for what a head's property is, and `helpers.data.published` for
    the models whose property heads are published; these follow the run's own.

    Parameters
    ----------
    run : Run

    Returns
    -------
    mapping of str to list of (int, int)
        Property → layer and number of its heads. Properties without a head are left out.
    """
    labels = _readings(run)["property"]
    result = _grouped(labels.to_series().items())
    return {name: heads for name, heads in result.items() if name != UNKNOWN} | published_heads(
        run.parameters.model, run.parameters.pretrained, searched_layers(run)
    )


def published_heads(
    model: str, pretrained: str | None, layers: Sequence[int]
) -> Mapping[str, list[Head]]:
    """Find the heads that are published as those of a property."""
    rows = published.property_heads(model, pretrained)
    rows = rows[rows["layer"].isin(layers)].astype({"layer": int, "head": int})
    names = rows["property"].map(PUBLISHED.format)
    return _grouped(zip(zip(rows["layer"], rows["head"], strict=True), names, strict=True))


def _grouped(named: Iterable[tuple[Head, str]]) -> dict[str, list[Head]]:
    result: dict[str, list[Head]] = {}
    for head, name in named:
        result.setdefault(name, []).append(head)
    return dict(sorted(result.items()))


def clearest_head(run: Run, name: str) -> Head:
    """Return the head of a property whose label explains most of its variance.

    Parameters
    ----------
    run : Run
    name : str
        As for `heads_of_property`.

    Returns
    -------
    (int, int)
        Layer and number; of tied ones the earlier.

    Raises
    ------
    WorkbookError
        As `heads_of_property` does.
    """
    heads, clarity = heads_of_property(run, name), _readings(run)["clarity"]
    values = [float(clarity.sel(layer=layer, head=head)) for layer, head in heads]
    return heads[int(first_largest(values))]


def first_text(run: Run, layer: int, head: int) -> str:
    """Return the text of the run's pool along which a head's contributions vary most.

    Parameters
    ----------
    run : Run
    layer, head : int
        A head whose contributions the run keeps.

    Returns
    -------
    str
    """
    place = _readings(run)["text"].sel(layer=layer, head=head)[0]
    return str(run.named_texts()["text"].values[int(place)])


def heads_of_property(run: Run, name: str) -> list[Head]:
    """Return the heads of a property."""
    result = heads_by_property(run)
    if not result:
        raise WorkbookError(UNNAMED)
    return result[one_of("property", name, result)]


def maps_of_heads(run: Run, image: str | np.ndarray, texts: Sequence[str]) -> np.ndarray:
    """Return how much every head reads in favour of texts at each patch of an image.

    Of shape (texts, layers, heads, rows, columns).
    """
    directions = np.stack([text_direction(run, text) for text in texts])
    encoding = run.model.encode(pixels_of(run, image)[None], by_token=True)
    by_head = encoding.tokens_of_heads(directions)[0][:, :, encoding.prefix :]
    by_text = np.moveaxis(by_head, -1, 0)  # texts × layers × heads × patches
    return by_text.reshape(*by_text.shape[:-1], *run.model.grid)


def topic_maps(maps: np.ndarray, layer: int | str, head: int | str) -> np.ndarray:
    """Take one head's maps, or add up those of several: (texts, rows, columns)."""
    layers, heads = maps.shape[1:3]
    rows = _chosen("layer", layer, layers), _chosen("head", head, heads)
    return maps[:, *rows].sum(axis=(1, 2))


# A large photograph takes longer to read than everything that a panel then does with it.
@lru_cache(maxsize=IMAGES_AT_HAND)
def _of_run(run: Run, image: str) -> np.ndarray:
    row = run.images.ids.index(one_of("image", image, run.images.ids))
    return _resized(run, run.images[row].pixels)


def _resized(run: Run, pixels: np.ndarray) -> np.ndarray:
    return views(pixels, "given", changes=(), preprocessing=run.preprocessing)["original"]


@lru_cache(maxsize=4)
def _heads(run: Run) -> xr.DataArray:
    return run.contributions("heads")["heads"]


@lru_cache(maxsize=4)
def _embeddings(run: Run) -> np.ndarray:
    originals = run.encodings("embedding")["embedding"].sel(view="original")
    return originals.transpose("image", "feature").values


@lru_cache(maxsize=4)
def _readings(run: Run) -> xr.Dataset:
    return head_readings(run)


@lru_cache(maxsize=HEADS_AT_HAND)
def _mean_contribution(run: Run, heads: tuple[Head, ...]) -> np.ndarray:
    kept, first = _heads(run), searched_layers(run)[0]
    by_head = [kept.values[:, layer - first, head].astype(np.float32) for layer, head in heads]
    mean = by_head[0] if len(by_head) == 1 else np.mean(by_head, axis=0)
    return to_unit_embeddings(mean, _embeddings(run))


def _chosen(name: str, value: int | str, count: int) -> slice:
    if value == ALL:
        return slice(None)
    _check_number(name, value, range(count), ALL)
    return slice(value, value + 1)


def _check_number(name: str, value: object, numbers: Sequence[int], *others: str) -> None:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value not in numbers:
        valid = ", ".join([*others, f"{numbers[0]} to {numbers[-1]}"])
        raise WorkbookError(f"{name} has no value {value!r}; choose one of {valid}.")
