"""What every method says of the heads of a model, property by property, and what is true of them.

Scenes are drawn in pairs that differ in one property alone. What a head has to do with the property
is tested by activation patching: the head writes for one scene what it wrote for its partner, and
the zero-shot prediction follows, or doesn't. The methods see other scenes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis import labels, probes
from helpers.analysis.dissection import components, head_name, place_of
from helpers.analysis.predictions import without
from helpers.analysis.proximity import normalised
from helpers.clip import Encoding, Model
from helpers.data.scenes import PROPERTIES, Scene, scene
from helpers.data.texts import MEMORISED, open_texts
from helpers.head_benchmark.comparison import planted_ranks
from helpers.head_benchmark.planting import Plant
from helpers.head_benchmark.scoring import WORDINGS, differing_scenes, score_heads
from helpers.training.examples import pixels_of, value_of

FRESH = 7_000  # scenes from here on are nobody else's
AT_ONCE = 32
KINDS = {"object": {"count": "one"}, "scene": {}}
"""What a property is of → what is fixed in scenes that ask for it."""


@dataclass(frozen=True)
class Amount:
    """How much is drawn: the more, the narrower the intervals."""

    # of scenes, for each property: as many for the truth, and as many for the methods
    pairs: int = 12
    scenes: int = 120  # of one object, and as many of several, for labels, variance and probes
    segmented: int = 12  # scenes of two things, for each wording


def heads_of(model: Model, layers: int) -> list[str]:
    """Name the heads of the last layers, such as ``L3.H1``."""
    return [
        head_name(layer, head)
        for layer in range(max(0, model.layers - layers), model.layers)
        for head in range(model.heads)
    ]


def pair_of_scenes(name: str, index: int) -> tuple[Scene, Scene]:
    """Draw two held-out scenes that differ in one property alone."""
    fixed = KINDS[PROPERTIES[name].of]
    first = scene(FRESH + index, **fixed)
    others = [value for value in PROPERTIES[name].values if value != value_of(first, name)]
    other = others[np.random.default_rng((FRESH, index)).integers(len(others))]
    return first, scene(FRESH + index, **fixed | {name: other})


def prompts(model: Model, name: str) -> np.ndarray:
    """Embed the held-out prompts of a property's values: values × features."""
    row = PROPERTIES[name]
    written = [[row.write(text, value) for value in row.values] for text in row.held_out]
    mean = np.mean([normalised(model.encode_text(lines)) for lines in written], axis=0)
    return normalised(mean)


def accuracies(model: Model, count: int) -> pd.Series:
    """Measure zero-shot accuracy on held-out scenes."""
    drawn = {of: [scene(FRESH + n, **fixed) for n in range(count)] for of, fixed in KINDS.items()}
    images = {of: model.encode(pixels_of(scenes)).embedding for of, scenes in drawn.items()}
    result = {}
    for name, row in PROPERTIES.items():
        truth = [row.values.index(value_of(item, name)) for item in drawn[row.of]]
        answers = (images[row.of] @ prompts(model, name).T).argmax(axis=1)
        result[name] = float((answers == truth).mean())
    return pd.Series(result, name="accuracy")


@dataclass(frozen=True)
class Pairs:
    """Encoded pairs of a property."""

    pixels: np.ndarray  # pairs × 224 × 224 × 3: of the first scenes and the others
    other_pixels: np.ndarray
    first: Encoding  # of both scenes
    other: Encoding
    along: np.ndarray  # pairs × features: the text of the first's value less that of the other's

    @classmethod
    def drawn(cls, model: Model, name: str, indices: Sequence[int]) -> "Pairs":
        """Draw and encode pairs."""
        firsts, others = zip(*(pair_of_scenes(name, index) for index in indices), strict=True)
        texts, values = prompts(model, name), PROPERTIES[name].values
        numbers = [
            [values.index(value_of(item, name)) for item in scenes] for scenes in (firsts, others)
        ]
        pixels = [pixels_of(scenes) for scenes in (firsts, others)]
        encoded = map(model.encode, pixels)
        return cls(*pixels, *encoded, texts[numbers[0]] - texts[numbers[1]])

    def margin(self, embeddings: np.ndarray) -> np.ndarray:
        """Say how far embeddings speak for the first's value and against the other's, (pairs,)."""
        return np.einsum("pf,pf->p", normalised(embeddings), self.along)

    @property
    def gap(self) -> float:
        """The mean difference that the property makes to the margin."""
        sides = (self.margin(side.embedding) for side in (self.first, self.other))
        return float(np.subtract(*sides).mean())


def patching_effects(model: Model, pairs: Pairs, heads: Sequence[str]) -> np.ndarray:
    """Patch heads one by one, from the other scene into the first: pairs × heads."""
    before = pairs.margin(pairs.first.embedding)
    after = _patched(model, pairs, [[head] for head in heads])
    return (before - after).T / pairs.gap


def restoring_effects(model: Model, pairs: Pairs, heads: Sequence[str]) -> np.ndarray:
    """Patch all these heads but one: pairs × heads."""
    others = [[item for item in heads if item != head] for head in heads]
    nothing, *kept = _patched(model, pairs, [heads, *others])
    return (kept - nothing).T / pairs.gap


def contribution_effects(_: Model, pairs: Pairs, heads: Sequence[str]) -> np.ndarray:
    """Take each head's part in the difference of the margins: pairs × heads."""
    sides = [_along(side, pairs.along, heads) for side in (pairs.first, pairs.other)]
    return np.subtract(*sides) / pairs.gap


PATCHING = "patching, other pairs"
BY_PAIRS = {
    PATCHING: patching_effects,
    "contributions (08)": contribution_effects,
    "restoring one head": restoring_effects,
}
"""Methods that see pairs. The first is the truth's own test, which no method need beat."""


def truth(model: Model, names: Sequence[str], heads: Sequence[str], count: int) -> xr.DataArray:
    """Measure what patching each head does to each property.

    Parameters
    ----------
    model : Model
    names : sequence of str
        Properties.
    heads : sequence of str
        Such as ``L3.H1``.
    count : int
        Number of pairs for each property.

    Returns
    -------
    DataArray, (pair, property, head)
        As of `patching_effects`.
    """
    result = [
        patching_effects(model, Pairs.drawn(model, name, range(count)), heads) for name in names
    ]
    coords = {"property": list(names), "head": list(heads)}
    return xr.DataArray(np.stack(result, axis=1), coords, ("pair", "property", "head"))


def scores(
    model: Model, names: Sequence[str], heads: Sequence[str], amount: Amount
) -> dict[str, xr.DataArray]:
    """Ask every method for the heads of each property.

    Parameters
    ----------
    model : Model
    names : sequence of str
        Properties.
    heads : sequence of str
    amount : Amount
        The scenes are others than those of `truth`.

    Returns
    -------
    dict of str to DataArray, (property, head)
        Method → scores; NaN where a method can say nothing of a property.
    """
    drawn = range(amount.pairs, 2 * amount.pairs)
    pairs = {name: Pairs.drawn(model, name, drawn) for name in names}
    by_method = {
        method: {name: ask(model, pair, heads).mean(axis=0) for name, pair in pairs.items()}
        for method, ask in BY_PAIRS.items()
    }
    by_method |= _read(model, names, heads, amount.scenes)
    by_method["segmentation (07)"] = _segmented(model, names, heads, amount.segmented)
    coords = {"property": list(names), "head": list(heads)}
    nothing = np.full(len(heads), np.nan)
    return {
        method: xr.DataArray(np.stack([by_name.get(name, nothing) for name in names]), coords)
        for method, by_name in by_method.items()
    }


def _read(
    model: Model, names: Sequence[str], heads: Sequence[str], count: int
) -> dict[str, dict[str, np.ndarray]]:
    """Ask TEXTSPAN, the share of variance and probes, of scenes."""
    result = {method: {} for method in BY_SCENES}
    everything = []
    for of in dict.fromkeys(PROPERTIES[name].of for name in names):
        scenes = [scene(FRESH + 1_000 + index, **KINDS[of]) for index in range(count)]
        contributions = _written_for(model, scenes, heads)
        everything.append(contributions)
        asked = [name for name in names if PROPERTIES[name].of == of]
        known = {name: [value_of(item, name) for item in scenes] for name in asked}
        for method, measure in BY_SCENES.items():
            result[method] |= _by_property(measure(contributions, known), heads)
    by_texts = _named_by_texts(model, xr.concat(everything, dim="image"), heads)
    return {"TEXTSPAN's texts (06)": by_texts} | result


BY_SCENES = {
    "share of variance (06)": probes.variance_between,
    "probe (06)": probes.probe_skill,
}


def _named_by_texts(
    model: Model, contributions: xr.DataArray, heads: Sequence[str]
) -> dict[str, np.ndarray]:
    pool = open_texts("scenes")
    vectors = normalised(model.encode_text(pool.texts))
    texts = xr.DataArray(
        vectors, {"property": ("text", list(pool.properties))}, ("text", "feature")
    )
    texts = without(texts, MEMORISED)
    readings = labels.read_heads(contributions, texts, k=labels.TOP, rank=model.head_width)
    return _by_property(labels.explained_by_property(readings, texts["property"].values), heads)


def _segmented(
    model: Model, names: Sequence[str], heads: Sequence[str], count: int
) -> dict[str, np.ndarray]:
    result = {}
    for name in (name for name in names if name in WORDINGS):
        scores = score_heads(model, differing_scenes(count, name), name)
        result[name] = _in_order((scores["contrast"] - scores["chance"]).mean("scene"), heads)
    return result


def _by_property(values: xr.DataArray, heads: Sequence[str]) -> dict[str, np.ndarray]:
    return {
        name: _in_order(values.sel(attribute=name), heads) for name in values["attribute"].values
    }


def _in_order(by_head: xr.DataArray, heads: Sequence[str]) -> np.ndarray:
    """Take some heads of a grid, (layer, head), in order; one that doesn't vary scores 0."""
    places = [dict(zip(("layer", "head"), place_of(head), strict=True)) for head in heads]
    return np.nan_to_num([by_head.sel(place).item() for place in places])


def _written_for(model: Model, scenes: Sequence[Scene], heads: Sequence[str]) -> xr.DataArray:
    """Encode scenes, and keep the layers of some heads, (image, layer, head, feature)."""
    parts = [
        components(model.encode(pixels_of(scenes[start : start + AT_ONCE])))
        for start in range(0, len(scenes), AT_ONCE)
    ]
    layers = sorted({place_of(head)[0] for head in heads})
    return probes.by_head(xr.concat(parts, dim="image")).sel(layer=layers)


def _patched(model: Model, pairs: Pairs, choices: Sequence[Sequence[str]]) -> np.ndarray:
    """Return the margins with some heads patched, (choices, pairs)."""
    chosen = np.zeros((len(choices), len(pairs.pixels), model.layers, model.heads), bool)
    for mask, heads in zip(chosen, choices, strict=True):
        for head in heads:
            mask[(slice(None), *place_of(head))] = True
    sides = (pairs.pixels, pairs.other_pixels)
    patched = model.encode_patched(*sides, heads=chosen, tokens=model.read_tokens)
    return np.stack([pairs.margin(embedded) for embedded in patched])


def _along(side: Encoding, along: np.ndarray, heads: Sequence[str]) -> np.ndarray:
    length = np.linalg.norm(side.embedding, axis=1)[:, None]
    layers, numbers = np.transpose([place_of(head) for head in heads])
    return np.einsum("phf,pf->ph", side.heads[:, layers, numbers], along) / length


def planted(
    model: Model, plants: Sequence[Plant], heads: Sequence[str], amount: Amount
) -> pd.DataFrame:
    """Let every method look for a head that was made to carry a property.

    Parameters
    ----------
    model : Model
        In which heads are planted, one at a time.
    plants : sequence of Plant
    heads, amount
        As for `methods`.

    Returns
    -------
    DataFrame, (plants, methods)
        At which place a method puts the planted head (`helpers.head_benchmark.comparison`).
    """
    rows = {}
    for plant in plants:
        altered = plant.planted_in(model, prompts(model, plant.name))
        asked = scores(altered, [plant.name], heads, amount)
        rows[f"{plant.name} in {plant.label}"] = planted_ranks(asked, plant.name, plant.label)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("planted")
