"""The analyses, scored against what is known of drawn scenes.

Segmentation: two differing things are in each scene, and each is named by its own attributes, such
as "a red circle". A thing's region is predicted from a map without use of the truth, by
`helpers.analysis.maps.foreground`, and compared with the thing's mask.

Neighbours: how many of them show what the searched scene shows, and whether one image is near to
all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice, product

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis.dissection import head_name
from helpers.analysis.maps import coarse, foreground, intersection_over_union
from helpers.analysis.proximity import (
    SIMILARITIES,
    chance_precision,
    normalised,
    occurrences,
    precision,
    to_unit_embeddings,
)
from helpers.analysis.scores import enlarge
from helpers.analysis.statistics import mean_with_interval
from helpers.checks import WorkbookError, one_of
from helpers.clip import Model
from helpers.data import SIZE
from helpers.data.scenes import HELD_OUT_SEED, Scene, scene, sentence
from helpers.data.scenes.drawing import draw_scene
from helpers.interpret import choices
from helpers.runs.run import Run
from helpers.ties import first_largest
from helpers.training.examples import pixels_of

SCENES_AT_ONCE = 8  # in a forward pass; what heads read at every patch fills memory
PAIR = ({"colour": "red", "shape": "circle"}, {"colour": "blue", "shape": "square"})

WORDINGS: Mapping[str, tuple[str, ...]] = {
    "colour and shape": ("colour", "shape"),
    "colour": ("colour",),
    "shape": ("shape",),
    "fill": ("fill",),
    "size": ("size",),
    "position": ("position",),
}
"""Name → the properties that a text says of a thing."""

MAPS = ("one text", "contrast of the two")
"""What a region is predicted from: a text's map, or that less the other text's."""

LEVELS = ("chance: masks of other scenes", "chance: the whole image", "best possible on this grid")
"""What the score would be without any skill, twice, and for the true mask on the model's grid."""


def paired_scene(index: int) -> Scene:
    """Draw a held-out scene of two things that look as given.

    Parameters
    ----------
    index : int
        Number of the scene, which gives everything else: places, sizes, fills, background.

    Returns
    -------
    Scene
    """
    drawn = scene(index, count="two")
    objects = [item | look for item, look in zip(drawn.objects, PAIR, strict=True)]
    rng = np.random.default_rng((HELD_OUT_SEED, index))
    pixels, masks = draw_scene(objects, drawn.medium, drawn.background, rng)
    words = sentence({}, list(PAIR))
    return Scene(
        index, HELD_OUT_SEED, pixels, masks, words, drawn.medium, drawn.background, objects
    )


def differing_scenes(number: int, wording: str) -> list[Scene]:
    """Draw the first held-out scenes of two things that a wording distinguishes."""
    drawn = (scene(index, count="two") for index in count())
    return list(islice((item for item in drawn if len(set(_texts(item, wording))) == 2), number))


def score_together(model: Model, scenes: Sequence[Scene], wording: str) -> xr.Dataset:
    """Score the regions that all heads together give to the things of scenes."""
    masks = _masks(scenes)
    maps = np.stack([by_head.sum(axis=(1, 2)) for by_head in _maps(model, scenes, wording)])
    contrasts = maps - maps[:, ::-1]
    by_map = [_fit(_regions(values), masks) for values in (maps, contrasts)]
    by_level = [
        _fit(_regions(contrasts), _of_others(masks)),
        _fit(np.ones_like(masks), masks),
        _fit(_regions(coarse(masks, model.grid)), masks),
    ]
    return xr.Dataset(
        {
            "maps": (("scene", "map"), np.transpose(by_map)),
            "levels": (("scene", "level"), np.transpose(by_level)),
        },
        coords={"map": list(MAPS), "level": list(LEVELS)},
    )


def score_gradients(model: Model, scenes: Sequence[Scene], wording: str) -> xr.DataArray:
    """Score the regions that gradient-weighted attention gives to the things of scenes.

    Of shape (scene, map).
    """
    masks = _masks(scenes)
    named = [_texts(item, wording) for item in scenes]
    texts, directions = _directions(model, named)
    by_scene = directions[[[texts.index(text) for text in sentences] for sentences in named]]
    parts = []
    for start in range(0, len(scenes), SCENES_AT_ONCE):
        few = slice(start, start + SCENES_AT_ONCE)
        pixels = pixels_of(scenes[few])
        parts.append(model.gradient_maps(pixels, by_scene[few]))
    maps = np.concatenate(parts)
    by_map = [_fit(_regions(values), masks) for values in (maps, maps - maps[:, ::-1])]
    return xr.DataArray(np.transpose(by_map), dims=("scene", "map"), coords={"map": list(MAPS)})


def score_heads(model: Model, scenes: Sequence[Scene], wording: str) -> xr.Dataset:
    """Score the regions that the contrasts of each head give to the things of scenes."""
    masks, fits = _masks(scenes), []
    all_maps = _maps(model, scenes, wording)
    for maps, mask, others in zip(all_maps, masks, _of_others(masks), strict=True):
        # One scene at a time: the regions of all heads of a large model fill much memory.
        regions = np.moveaxis(_regions(maps - maps[::-1]), 0, 2)  # layers × heads × things × …
        fits.append([_fit(regions, mask), _fit(regions, others), _empty_patch(maps, mask)])
    axes = ("scene", "layer", "head")
    contrast, chance, empty_patch = np.moveaxis(np.array(fits), 1, 0)
    return xr.Dataset(
        {
            "contrast": (axes, contrast),
            "chance": (axes, chance),
            "empty_patch": (axes, empty_patch),
        },
        coords={"layer": range(model.layers), "head": range(model.heads)},
    )


def _empty_patch(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Say of each head whether its maps (things × … × rows × columns) share an empty patch."""
    first, second = first_largest(maps.reshape(*maps.shape[:-2], -1))
    empty = ~coarse(masks, maps.shape[-2:]).any(axis=0).ravel()
    return (first == second) & empty[first]


@dataclass(frozen=True)
class Alone:
    """The head that finds things best alone: chosen on half of the scenes, scored on the others."""

    heads: list[str]  # the head chosen by either half, once where it is the same
    # mean over all scenes of its intersection over union, and of that less all heads' together,
    # with `low` and `high`
    score: pd.Series
    difference: pd.Series
    together: float  # that of all heads


def best_head_alone(by_head: xr.DataArray, together: xr.DataArray) -> Alone:
    """Find the head that finds things best alone, without its luck.

    Parameters
    ----------
    by_head : DataArray, (scene, component)
        Intersection over union of each head, by name.
    together : DataArray, (scene,)
        That of all heads together.

    Returns
    -------
    Alone
    """
    scores = by_head.transpose("scene", "component").values
    halves = np.array_split(np.arange(len(scores)), 2)
    chosen = [int(first_largest(scores[half].mean(axis=0))) for half in halves[::-1]]
    alone = np.concatenate([scores[half, head] for half, head in zip(halves, chosen, strict=True)])
    table = mean_with_interval(np.stack([alone, alone - together.values], axis=1))
    names = [str(by_head["component"].values[head]) for head in chosen]
    return Alone(sorted(set(names)), *(row for _, row in table.iterrows()), float(together.mean()))


def summary(scores: xr.DataArray) -> pd.DataFrame:
    """Average scores over scenes, with 95 % bootstrap intervals.

    Parameters
    ----------
    scores : DataArray, (wording, scene, map or level)
        A variable of `score_together`, of several wordings.

    Returns
    -------
    DataFrame
        Rows (wording, map or level), columns of `helpers.analysis.statistics.mean_with_interval`.
    """
    names = scores["wording"].values
    (axis,) = set(scores.dims) - {"wording", "scene"}
    tables = {
        name: mean_with_interval(scores.sel(wording=name).transpose("scene", axis).to_pandas())
        for name in names
    }
    return pd.concat(tables, names=["wording", axis])


def score_neighbours(run: Run, scenes: Sequence[Scene], count: int) -> pd.DataFrame:
    """Score the nearest scenes of each scene by the heads of each property."""
    named = choices.heads_by_property(run)
    known = pd.concat([item.attributes.iloc[:1] for item in scenes])
    encoded = _heads_of(run.model, scenes)  # scenes × layers × heads × features
    rows = {}
    for name in (name for name in named if name in known and known[name].nunique() > 1):
        alone = choices.clearest_head(run, name)
        for who, heads in (("all", named[name]), (head_name(*alone), [alone])):
            mean = np.mean([encoded[:, layer, head] for layer, head in heads], axis=0)
            rows[name, len(heads), who] = _right(mean, known[name], count)
    index = pd.MultiIndex.from_tuples(rows, names=["property", "heads", "which"])
    return pd.DataFrame(rows.values(), index, ["chance", *SIMILARITIES])


def hub_shares(run: Run, count: int) -> pd.DataFrame:
    """Say of each head how many images have one and the same image among their nearest.

    Parameters
    ----------
    run : Run
    count : int
        How many nearest of each.

    Returns
    -------
    DataFrame
        A row per head such as ``L3.H1``, a column for each of
        `helpers.analysis.proximity.SIMILARITIES`: share of the other images that have the head's
        commonest neighbour. NaN for a single image.
    """
    layers, others = choices.searched_layers(run), len(choices.image_ids(run)) - 1
    rows = {
        head_name(layer, head): _commonest(choices.contributions(run, [(layer, head)]), count)
        for layer, head in product(layers, choices.numbers_of_heads(run))
    }
    return pd.DataFrame.from_dict(rows, orient="index") / (others or np.nan)


def _commonest(contributions: np.ndarray, count: int) -> dict[str, int]:
    return {name: occurrences(contributions, count, name).max() for name in SIMILARITIES}


def _right(contributions: np.ndarray, values: Sequence[str], count: int) -> dict[str, float]:
    result = {
        name: float(precision(contributions, values, count, name).mean()) for name in SIMILARITIES
    }
    return {"chance": chance_precision(values)} | result


def _heads_of(model: Model, scenes: Sequence[Scene]) -> np.ndarray:
    starts = range(0, len(scenes), SCENES_AT_ONCE)
    batches = [pixels_of(scenes[at : at + SCENES_AT_ONCE]) for at in starts]
    encoded = (model.encode(pixels) for pixels in batches)
    return np.concatenate([to_unit_embeddings(each.heads, each.embedding) for each in encoded])


def _texts(picture: Scene, wording: str) -> list[str]:
    said = WORDINGS[one_of("wording", wording, WORDINGS)]
    return [sentence({}, [{name: item[name] for name in said}]) for item in picture.objects]


def _maps(model: Model, scenes: Sequence[Scene], wording: str) -> Iterator[np.ndarray]:
    """Yield the maps of each scene's two texts, things × layers × heads × rows × columns."""
    named = [_texts(item, wording) for item in scenes]
    texts, directions = _directions(model, named)
    for start in range(0, len(scenes), SCENES_AT_ONCE):
        few = slice(start, start + SCENES_AT_ONCE)
        encoding = model.encode(pixels_of(scenes[few]), by_token=True)
        for parts, sentences in zip(encoding.tokens_of_heads(directions), named[few], strict=True):
            rows = [texts.index(text) for text in sentences]
            # things × layers × heads × patches
            patches = np.moveaxis(parts[:, :, encoding.prefix :, rows], -1, 0)
            yield patches.reshape(*patches.shape[:-1], *model.grid)


def _directions(model: Model, named: Sequence[Sequence[str]]) -> tuple[list[str], np.ndarray]:
    """Embed the texts of scenes, each once: the texts, and their normalised embeddings."""
    texts = list(dict.fromkeys(chain.from_iterable(named)))
    embeddings = model.encode_text(texts)
    return texts, normalised(embeddings)


def _masks(scenes: Sequence[Scene]) -> np.ndarray:
    """Stack the masks of the scenes' things, scenes × things × height × width."""
    if len(scenes) < 2:
        raise WorkbookError(
            f"{len(scenes)} scenes can't be scored: chance is measured on the masks of other"
            " scenes; give 2 or more."
        )
    return np.stack([item.masks for item in scenes])


def _of_others(masks: np.ndarray) -> np.ndarray:
    return np.roll(masks, 1, axis=0)


def _regions(maps: np.ndarray) -> np.ndarray:
    return foreground(enlarge(maps, SIZE))


def _fit(regions: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Score regions with masks, (…, things, height, width), and average over things."""
    return intersection_over_union(regions, masks).mean(axis=-1)
