"""What heads and maps do on fresh scenes, where the truth is known; kept with the run."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis import dissection, probes
from helpers.analysis.proximity import normalised
from helpers.clip import Model
from helpers.data.scenes import PROPERTIES, Scene, scene, sentence
from helpers.head_benchmark import scoring
from helpers.interpret import choices
from helpers.interpret.analyses import PROPERTY_NEIGHBOURS
from helpers.runs.derived.cache import derived
from helpers.runs.run import Run
from helpers.runs.variants import untrained_run
from helpers.ties import first_largest
from helpers.training.examples import pixels_of

FRESH = 5_000
"""Number of the first fresh scene: none before it is in a run of the default size."""

SCENES = 300
"""Scenes of one object, which show the properties of objects; and as many of one to four."""

SCENES_AT_ONCE = 30

FEWER = 5
"""How many times fewer scenes are drawn where a run leaves out its extras."""

OF_TWO = 40
"""Scenes of two things for each wording of the texts that name them."""

SEARCHED = 200
"""Scenes of one object whose neighbours are looked for."""

PAIR = "red circle, blue square"
"""How the scenes with a red circle and a blue square are named among the wordings."""

ALONE = (PAIR, "shape", "position")
"""Wordings by which every head is scored alone: the easiest, and harder ones."""


def heads_on_scenes(run: Run) -> xr.Dataset:
    """Measure what the heads of a run vary with on fresh scenes, and which answers they sway.

    Parameters
    ----------
    run : Run
        Of a model with an exact account that reads texts.

    Returns
    -------
    Dataset
        ``variance`` and ``answers`` (layer, head, attribute), of the layers that the run keeps; see
        `helpers.analysis.probes.variance_between` and `share_of_answers`. Attributes of objects are
        measured on scenes of one object, in which they say something of the picture.
    """
    return derived(run, "heads_on_scenes", lambda: _measured(run), scenes=_some(run, SCENES))


def maps_on_scenes(run: Run) -> xr.Dataset:
    """Score maps of texts on fresh scenes of two things.

    Parameters
    ----------
    run : Run
        As for `heads_on_scenes`.

    Returns
    -------
    Dataset
        ``maps`` and ``levels`` (wording, scene, map or level), as of
        `helpers.head_benchmark.scoring.score_together`, of `PAIR` and every wording; ``untrained``
        (scene, map), of the network before training on `PAIR`. ``contrast``, ``chance`` and
        ``empty_patch`` (told, scene, layer, head), as of `score_heads`, of the wordings `ALONE`.
        ``example`` (place, thing, layer, head, row, column): maps of `PAIR`'s two texts in the
        scenes that all heads together find best and worst, whose numbers are ``shown`` (place).
    """
    return derived(run, "maps_on_scenes", lambda: _scored_maps(run), scenes=_some(run, OF_TWO))


def gradients_on_scenes(run: Run) -> xr.DataArray:
    """Score gradient-weighted attention on the scenes of `maps_on_scenes`.

    Parameters
    ----------
    run : Run
        As for `heads_on_scenes`.

    Returns
    -------
    DataArray, (wording, scene, map)
        As of `helpers.head_benchmark.scoring.score_gradients`; to compare with ``maps`` there.
    """

    def score() -> xr.Dataset:
        drawn = _drawn(_some(run, OF_TWO))
        result = {name: scoring.score_gradients(run.model, *pair) for name, pair in drawn.items()}
        return xr.concat(result.values(), pd.Index(result, name="wording")).to_dataset(name="maps")

    return derived(run, "gradients_on_scenes", score, scenes=_some(run, OF_TWO))["maps"]


def neighbours_on_scenes(run: Run) -> pd.DataFrame:
    """Score nearest neighbours among fresh scenes of one object.

    Parameters
    ----------
    run : Run
        As for `heads_on_scenes`.

    Returns
    -------
    DataFrame
        As of `helpers.head_benchmark.scoring.score_neighbours`, of `PROPERTY_NEIGHBOURS`
        neighbours.
    """
    count = _some(run, SEARCHED)

    def score() -> xr.Dataset:
        singles = [scene(FRESH + index, count="one") for index in range(count)]
        table = scoring.score_neighbours(run, singles, PROPERTY_NEIGHBOURS).reset_index()
        index = [*table.columns[:3]]
        return table.rename_axis("row").to_xarray().set_coords(index).drop_vars("row")

    kept = derived(run, "neighbours_on_scenes", score, texts=run.texts.fingerprint, scenes=count)
    named = ["property", "heads", "which"]
    return kept.to_dataframe().reset_index(drop=True).set_index(named)


def _some(run: Run, scenes: int) -> int:
    return scenes if run.parameters.extras else scenes // FEWER


def _drawn(scenes: int) -> dict[str, tuple[list[Scene], str]]:
    """Draw scenes of two things for each wording, and of `PAIR`."""
    pairs = [scoring.paired_scene(index) for index in range(scenes)]
    return {PAIR: (pairs, "colour and shape")} | {
        name: (scoring.differing_scenes(scenes, name), name) for name in scoring.WORDINGS
    }


def _scored_maps(run: Run) -> xr.Dataset:
    drawn = _drawn(_some(run, OF_TWO))
    pairs = drawn[PAIR][0]
    together = {name: scoring.score_together(run.model, *pair) for name, pair in drawn.items()}
    alone = [scoring.score_heads(run.model, *drawn[name]) for name in ALONE]
    bare = scoring.score_together(untrained_run(run).model, *drawn[PAIR])["maps"]
    fits = together[PAIR]["maps"].sel(map=scoring.MAPS[1]).values
    shown = [int(first_largest(sign * fits)) for sign in (1, -1)]
    texts = [sentence({}, [look]) for look in scoring.PAIR]
    examples = [choices.maps_of_heads(run, pairs[number].pixels, texts) for number in shown]
    axes = ("place", "thing", "layer", "head", "row", "column")
    return xr.merge(
        [
            xr.concat(together.values(), pd.Index(together, name="wording")),
            xr.concat(alone, pd.Index(ALONE, name="told")),
            bare.rename("untrained"),
            xr.Dataset({"example": (axes, np.stack(examples)), "shown": ("place", shown)}),
        ]
    )


def _measured(run: Run) -> xr.Dataset:
    count = _some(run, SCENES)
    kinds = {
        "object": [scene(FRESH + index, count="one") for index in range(count)],
        "scene": [scene(FRESH + SCENES + index) for index in range(count)],
    }
    result = [_of_kind(run, of, scenes) for of, scenes in kinds.items()]
    return xr.concat(result, dim="attribute")


def _of_kind(run: Run, of: str, scenes: Sequence[Scene]) -> xr.Dataset:
    names = [name for name, row in PROPERTIES.items() if row.of == of]
    rows = pd.concat([item.attributes.iloc[:1] for item in scenes])
    components = _encoded(run.model, scenes)
    heads = probes.by_head(components).sel(layer=run.contributions()["layer"].values)
    prompts = {name: _prompts(run.model, name) for name in names}
    measures = {
        "variance": probes.variance_between(heads, {name: rows[name].to_numpy() for name in names}),
        "answers": probes.share_of_answers(heads, components.sum("component"), prompts),
    }
    return xr.Dataset({name: each.reset_coords(drop=True) for name, each in measures.items()})


def _encoded(model: Model, scenes: Sequence[Scene]) -> xr.DataArray:
    batches = [scenes[at : at + SCENES_AT_ONCE] for at in range(0, len(scenes), SCENES_AT_ONCE)]
    pixels = (pixels_of(batch) for batch in batches)
    return xr.concat([dissection.components(model.encode(each)) for each in pixels], dim="image")


def _prompts(model: Model, name: str) -> np.ndarray:
    """Embed the values of a property, (values, features), in wordings that no model learnt from."""
    row = PROPERTIES[name]
    written = [[row.write(text, value) for value in row.values] for text in row.held_out]
    vectors = np.mean([model.encode_text(lines) for lines in written], axis=0)
    return normalised(vectors)
