"""Repairs that take forward passes, and a task with a spurious feature, kept with a run."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from helpers import ties
from helpers.analysis import patching, predictions, probes
from helpers.analysis.dissection import head_name, on_grid
from helpers.analysis.sources import GROUP, METADATA, by_source
from helpers.data.changes import ORIGINAL
from helpers.data.images import LABEL
from helpers.data.scenes import scene
from helpers.data.truth import known_truth, truth_of_views
from helpers.runs.derived.cache import derived
from helpers.runs.derived.heads import head_readings
from helpers.runs.derived.ordinary import ordinary_differences

if TYPE_CHECKING:
    from helpers.clip import Model
    from helpers.runs.run import Run

MEASURED = 24
"""Images of a source on which repairs that need forward passes are measured, at most."""

AVERAGED = 32
"""Images whose mean an ablated head keeps, at most."""

SHAPES, BACKGROUNDS = ("circle", "crescent"), ("plain", "textured")
LEARNED, ASKED, TOGETHER = 80, 160, 0.95
"""Scenes that the probe learns on and is asked about; how often shape and background go together.

Circle and crescent are alike enough that a probe is misled.
"""

FIRST_SCENE = 50_000
DRAWS = 10
"""Random orders of the heads."""

LABELLED, CONTRIBUTING, PATCHED = "label", "contribution", "patching"
"""Orders of the heads, beside `helpers.analysis.probes.AT_RANDOM`."""


def repaired_answers(run: "Run", *, known: bool = False) -> dict[str, xr.DataArray]:
    """Return which questions are answered rightly after every repair, source by source.

    Parameters
    ----------
    run : Run
    known : bool
        Whether changes are replaced by shifts that are the same for every image, which subtracting
        the mean shift must undo: a positive control.

    Returns
    -------
    dict of str to DataArray
        Source → (repair, image, view, property), as `helpers.analysis.patching.repair_gains` takes
        it; NaN of repairs that were not measured on an image. Empty where the model embeds no
        texts, which are the answers, or no source has two images.
    """
    if not run.capabilities.texts:
        return {}
    embeddings = run.encodings("embedding")["embedding"]
    judge = _judge(run)
    passed = _with_passes(run) if run.capabilities.account and not known else None
    by_name = {}
    for source, group in by_source(embeddings).items():
        learning, measuring = _halves(run, group)
        if not len(learning):
            continue
        given = patching.with_known_shift(group) if known else group
        values = patching.repaired(given.isel(image=learning), given.isel(image=measuring))
        right = judge(values).mean("choice")
        if passed is not None:
            ids = passed["image"].values[(passed["source"] == source).values]
            by_passes = passed.sel(image=ids).drop_vars("source")
            right = xr.concat([right, by_passes], "repair", join="outer")
        if right.sizes["property"] and right.notnull().any():
            by_name[source] = right
    return by_name


def _judge(run: "Run"):
    """Return what asks the run's questions of embeddings, (…, image, view, feature)."""
    texts = predictions.ensembles(run.text_embeddings())
    true = predictions.true_values(texts, truth_of_views(known_truth(run.images), run.view_names))
    return lambda values: predictions.judged(values, texts, true)


def _halves(run: "Run", values: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    count = values.sizes["image"]
    if count < 2:
        return np.array([], int), np.arange(count)
    return patching.split(count, count // 2, run.parameters.seed)


def _with_passes(run: "Run") -> xr.DataArray | None:
    """Return answers by models with heads ablated, and by the mean of mild views."""
    heads = on_grid(run.dissection("shares")["shares"])
    if not any(len(_halves(run, group)[0]) for group in by_source(heads).values()):
        return None
    ordinary = on_grid(ordinary_differences(run)["shares"])

    def compute() -> xr.Dataset:
        judge, parts = _judge(run), []
        for group in by_source(heads).values():
            learning, measuring = _halves(run, group)
            if len(learning):
                reference = ordinary.isel(image=np.isin(ordinary["image"], group["image"]))
                chosen = _chosen(group.isel(image=learning), reference.mean("image"), run)
                ids = group["image"].values
                values = _encoded(run, ids[learning[:AVERAGED]], ids[measuring[:MEASURED]], chosen)
                right = judge(values).assign_coords(source=group["source"][measuring[:MEASURED]])
                parts.append(right)
        return xr.concat(parts, "image").astype(np.float32).to_dataset(name="right")

    kept = derived(
        run, "repaired", compute, texts=run.texts.fingerprint, measured=MEASURED, averaged=AVERAGED
    )
    return kept["right"]


def _chosen(shares: xr.DataArray, ordinary: xr.DataArray, run: "Run") -> dict[str, np.ndarray]:
    """Choose heads without knowing the change, layers × heads: as many for each reason."""
    mean = shares.mean(["image", "augmentation"]).transpose("layer", "head").values
    generic = ordinary.transpose("layer", "head").fillna(0).values
    random = np.random.default_rng(run.parameters.seed).random(mean.shape)
    values = {
        patching.SPECIFIC_HEADS: mean - generic,
        patching.GENERIC_HEADS: generic,
        patching.RANDOM_HEADS: random,
    }
    count = patching.top_count(mean.size)
    return {
        name: np.isin(np.arange(mean.size), ties.largest_first(by_head.ravel())[:count]).reshape(
            mean.shape
        )
        for name, by_head in values.items()
    }


def _encoded(
    run: "Run", averaged: np.ndarray, measured: np.ndarray, chosen: Mapping[str, np.ndarray]
) -> xr.DataArray:
    means = run.model.means_over(np.stack([run.views(image, ())[ORIGINAL] for image in averaged]))
    altered = {name: run.model.with_heads_ablated(heads, means) for name, heads in chosen.items()}
    by_image = []
    for image in measured:
        pixels = np.stack(list(run.views(image).values()))
        by_repair = [model.encode(pixels).embedding for model in altered.values()]
        by_image.append(np.stack([*by_repair, _mean_of_mild_views(run.model, pixels)]))
    return xr.DataArray(
        np.stack(by_image, axis=1),
        dims=("repair", "image", "view", "feature"),
        coords={
            "repair": [*altered, patching.MILD],
            "image": measured,
            "view": list(run.view_names),
        },
    )


def _mean_of_mild_views(model: "Model", pixels: np.ndarray) -> np.ndarray:
    """Average over a view, its mirror image and a copy moved by some pixels."""
    mirrored, moved = pixels[:, :, ::-1], np.roll(pixels, (6, 6), axis=(1, 2))
    views = (pixels, np.ascontiguousarray(mirrored), moved)
    return np.mean([model.encode(view).embedding for view in views], axis=0)


def spurious_task(run: "Run") -> xr.Dataset:
    """Return how a probe does that learnt a spurious feature, with more and more heads ablated.

    Parameters
    ----------
    run : Run
        Where its images have a class (`label`) and a `group`, as a folder with a table may give
        them, they are the task, and a random half of them is learned on. Otherwise scenes are
        drawn: the shape is to be learned, and the background goes with it.

    Returns
    -------
    Dataset
        ``right`` (order, heads, image), float32: of the images asked, mean over random orders;
        the orders are those of the heads that are known. ``even`` (image): of a probe that learns
        as many scenes in which nothing goes together; none of a user's images. Coordinates
        ``label`` and ``group`` (image), and the attribute ``of``: "scenes" or "images".

    Raises
    ------
    WorkbookError
        If the model gives no exact account.
    """
    heads = run.contributions("heads")["heads"]
    of_images = {f"{METADATA}{LABEL}", f"{METADATA}{GROUP}"} <= set(heads.coords)
    compute = partial(_spurious, run, heads, of_images)
    result = derived(run, "spurious", compute, learned=LEARNED, asked=ASKED, together=TOGETHER)
    return result.assign_attrs(of="images" if of_images else "scenes")


def _spurious(run: "Run", heads: xr.DataArray, of_images: bool) -> xr.Dataset:
    task, even = (_of_images(run, heads), None) if of_images else _of_scenes(run)
    rng = np.random.default_rng(run.parameters.seed)
    learned = task.learning
    scores = {
        CONTRIBUTING: probes.between_groups(
            task.heads[learned], task.label[learned], task.group[learned]
        )
    }
    names = [head_name(*each) for each in heads.stack(each=("layer", "head"))["each"].values]
    if not of_images:
        scores |= _of_background(run, scores[CONTRIBUTING], names)
    right = {n: probes.answered_without(task, ties.largest_first(s)) for n, s in scores.items()}
    drawn = [probes.answered_without(task, rng.permutation(len(names))) for _ in range(DRAWS)]
    right[probes.AT_RANDOM] = np.mean(drawn, axis=0)
    values = {"right": (("order", "heads", "image"), np.stack(list(right.values())))}
    if even is not None:
        values["even"] = ("image", probes.answered_without(even, [])[0])
    return xr.Dataset(
        {name: (axes, np.asarray(each, np.float32)) for name, (axes, each) in values.items()},
        coords={
            "order": list(right),
            "heads": list(probes.ABLATED[: len(drawn[0])]),
            "label": ("image", task.label[~learned]),
            GROUP: ("image", task.group[~learned]),
        },
    )


def _of_images(run: "Run", heads: xr.DataArray) -> probes.ProbeTask:
    embeddings = run.encodings("embedding")["embedding"].sel(view=ORIGINAL)
    values = heads.transpose("image", "layer", "head", "feature").values.astype(np.float64)
    learning = np.random.default_rng(run.parameters.seed).random(len(values)) < 0.5
    label, group = (heads[f"{METADATA}{name}"].values.astype(str) for name in (LABEL, GROUP))
    flat = values.reshape(len(values), -1, values.shape[-1])
    return probes.ProbeTask(embeddings.values.astype(np.float64), flat, label, group, learning)


def _of_scenes(run: "Run") -> tuple[probes.ProbeTask, probes.ProbeTask]:
    """Draw scenes for a probe that is misled, and for one that is not."""
    rng = np.random.default_rng(run.parameters.seed)
    number = np.arange(2 * LEARNED + ASKED)
    shape, even = number % 2, (number // 2) % 2
    misled = number < LEARNED
    together = np.where(rng.random(len(number)) < TOGETHER, shape, 1 - shape)
    background = np.where(misled, together, even)
    encoded = []
    for rows in np.array_split(number, len(number) // AVERAGED):
        pixels = [
            scene(
                FIRST_SCENE + row,
                count="one",
                shape=SHAPES[shape[row]],
                background=BACKGROUNDS[background[row]],
            ).pixels
            for row in rows.tolist()
        ]
        encoding = run.model.encode(np.stack(pixels))
        encoded.append((encoding.embedding, encoding.heads[:, -run.parameters.layers :]))
    sides = (np.concatenate(side).astype(np.float64) for side in zip(*encoded, strict=True))
    embeddings, heads = sides
    arrays = (
        embeddings,
        heads.reshape(len(number), -1, heads.shape[-1]),
        np.array(SHAPES)[shape],
        np.array(BACKGROUNDS)[background],
    )
    asked = number >= 2 * LEARNED

    def task(learning: np.ndarray) -> probes.ProbeTask:
        rows = learning | asked
        return probes.ProbeTask(*(array[rows] for array in arrays), learning[rows])

    return task(misled), task(~misled & ~asked)


def _of_background(run: "Run", varying: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    """Order heads by what is known of the background: their labels, and what patching them does."""
    from helpers.clip.embedded import NAMES
    from helpers.head_benchmark import judging

    scores = {}
    if run.capabilities.texts:
        labels = head_readings(run)["property"].values.ravel()
        scores[LABELLED] = varying + (labels == "background") * 2 * varying.max()
    if run.parameters.model in NAMES:
        effects = judging.read(run.parameters.model).patched.sel(property="background")
        scores[PATCHED] = effects.mean("pair").sel(head=names).values
    return scores
