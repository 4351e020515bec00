"""Embedding shifts under other fillings, and scores with the geometry undone, kept with a run."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import xarray as xr

from helpers.analysis import maps
from helpers.analysis.scores import attention_map
from helpers.analysis.sources import few_of_each
from helpers.data import geometry
from helpers.data.changes import ORIGINAL
from helpers.runs.derived.cache import derived
from helpers.runs.paths import ALIGNED
from helpers.runs.run import Run
from helpers.runs.storage.arrays import Arrays
from helpers.runs.storage.integrity import repair
from helpers.runs.storage.layout import Layout, Variable, allocate
from helpers.runs.storage.locks import ProcessLock

REFILLED = tuple(
    (name, filling)
    for name in geometry.FILLED
    for filling in ("mean", "reflect" if name in geometry.BORDERED else "black")
)
MOST_REFILLED = 200
"""Images of each source; their embeddings are kept."""
PASS = 16
"""Images in a forward pass: always as many, as another number rounds differently."""


def refilled_embeddings(run: Run) -> xr.DataArray:
    """Return the embeddings of views that fill what they don't show with something else.

    Parameters
    ----------
    run : Run

    Returns
    -------
    DataArray, (image, view, feature)
        float16, of at most `MOST_REFILLED` images of each source. The coordinates ``augmentation``
        and ``filling`` say what a view is; `REFILLED` lists them.
    """
    rule = {"views": REFILLED, "most": MOST_REFILLED}
    return derived(run, "refilled", partial(_refilled, run), **rule)["embedding"]


def _refilled(run: Run) -> xr.Dataset:
    images = few_of_each(run.encodings("embedding")["image"], MOST_REFILLED)
    ids, seed, severity = images.values, run.parameters.seed, run.parameters.severity

    def draw(image_id: str) -> list[np.ndarray]:
        original = run.views(image_id)[ORIGINAL]
        return [geometry.refilled(original, *each, image_id, seed, severity) for each in REFILLED]

    parts = []
    with ThreadPoolExecutor(run.parameters.workers) as pool:
        for start in range(0, len(ids), PASS):
            drawn = np.stack(list(pool.map(draw, ids[start : start + PASS])))
            embedding = run.model.encode(drawn.reshape(-1, *drawn.shape[2:])).embedding
            parts.append(embedding.reshape(*drawn.shape[:2], -1))
    embeddings = np.concatenate(parts).astype(np.float16)
    augmentations, fillings = zip(*REFILLED, strict=True)
    coords = {
        **images.coords,
        "view": [" ".join(each) for each in REFILLED],
        "augmentation": ("view", list(augmentations)),
        "filling": ("view", list(fillings)),
    }
    return xr.Dataset({"embedding": (("image", "view", "feature"), embeddings)}, coords)


def aligned_scores(run: Run) -> xr.Dataset:
    """Return attention and patch similarity with each view's geometry undone.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Dataset
        ``attention_similarity`` and ``patch_similarity``, (image, augmentation), of the geometric
        augmentations; see `helpers.analysis.maps`.
    """
    images = run.encodings("embedding")["image"]
    path, name = run.folder / ALIGNED, "aligned"
    axes = {"score": list(maps.SCORES), "augmentation": list(geometry.GEOMETRIC)}
    coordinates = {"image": ("image", list(images.values))}
    coordinates["source"] = ("image", list(images["source"].values))
    draw = partial(_moved, run, run.encodings("attention")["attention"])
    with ProcessLock(path.with_suffix(".lock")), ThreadPoolExecutor(run.parameters.workers) as pool:
        arrays = Arrays(str(path))
        layout = Layout(arrays, run.identity | {"place": name}, coordinates)
        layout.create()
        repair(layout, lambda damage: run.report_damage(damage.sentence(str(path), images.values)))
        allocate(arrays, [Variable(name, axes, "float64")], run.parameters.batch_size)
        for rows in arrays.batches(np.flatnonzero(~arrays.done())):
            values = [_aligned(moved) for moved in pool.map(draw, images.values[rows])]
            arrays.write(rows, {name: np.stack(values)})
        return arrays.read([name])[name].to_dataset("score")


def _moved(run: Run, attention: xr.DataArray, image_id: str) -> list:
    """Move an image and its attention as each view did, beside the view and its own attention."""
    views, grids = run.views(image_id), attention.sel(image=image_id)
    severity, seed = run.parameters.severity, run.parameters.seed
    size = run.preprocessing.size
    before = attention_map(grids.sel(view=ORIGINAL).values, size)
    moved = []
    for name in geometry.GEOMETRIC:
        origin = geometry.origins(name, image_id, seed, severity, size)
        after = attention_map(grids.sel(view=name).values, size)
        pair = geometry.moved_as(before, origin), after
        moved.append((*pair, geometry.moved_as(views[ORIGINAL], origin), views[name]))
    return [np.stack(part) for part in zip(*moved, strict=True)]


def _aligned(moved: list) -> np.ndarray:
    before, after, pixels_before, pixels_after = moved
    return np.stack(
        [
            maps.attention_similarity(before, after),
            maps.patch_similarity(pixels_before, pixels_after),
        ]
    )
