"""What heads respond to on fresh scenes, where the truth is known; kept with the run."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis import dissection, probes
from helpers.clip import Model
from helpers.data.scenes import PROPERTIES, Scene, scene
from helpers.study.derived import derived
from helpers.study.run import Run

FRESH = 5_000
"""Number of the first fresh scene: none before it is in a run of the default size."""

SCENES = 300
"""Scenes of one object, which tell about the properties of objects; and as many of one to four."""

SCENES_AT_ONCE = 30


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
    return derived(run, "heads_on_scenes", lambda: _measured(run), scenes=SCENES)


def _measured(run: Run) -> xr.Dataset:
    kinds = {
        "object": [scene(FRESH + index, count="one") for index in range(SCENES)],
        "scene": [scene(FRESH + SCENES + index) for index in range(SCENES)],
    }
    found = [_of_kind(run, of, scenes) for of, scenes in kinds.items()]
    return xr.concat(found, dim="attribute")


def _of_kind(run: Run, of: str, scenes: Sequence[Scene]) -> xr.Dataset:
    names = [name for name, row in PROPERTIES.items() if row.of == of]
    rows = pd.concat([one.attributes.iloc[:1] for one in scenes])
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
    pixels = (np.stack([one.pixels for one in batch]) for batch in batches)
    return xr.concat([dissection.components(model.encode(each)) for each in pixels], dim="image")


def _prompts(model: Model, name: str) -> np.ndarray:
    """Embed the values of a property, (values, features), in wordings that no model learnt from."""
    row = PROPERTIES[name]
    written = [[row.write(text, value) for value in row.values] for text in row.held_out]
    vectors = np.mean([model.encode_text(lines) for lines in written], axis=0)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
