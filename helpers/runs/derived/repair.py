"""Repairs that take forward passes, and a task with a spurious feature, kept with a run."""

from collections.abc import Mapping
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
    found = {}
    for source, own in by_source(embeddings).items():
        learning, measuring = _halves(run, own)
        if not len(learning):
            continue
        own = patching.with_known_shift(own) if known else own
        values = patching.repaired(own.isel(image=learning), own.isel(image=measuring))
        right = judge(values).mean("choice")
        if passed is not None:
            ids = passed["image"].values[(passed["source"] == source).values]
            own_passes = passed.sel(image=ids).drop_vars("source")
            right = xr.concat([right, own_passes], "repair", join="outer")
        if right.sizes["property"] and right.notnull().any():
            found[source] = right
    return found


def _judge(run: "Run"):
    """Return what asks the run's questions of embeddings, (…, image, view, feature)."""
    asked = predictions.ensembles(run.text_embeddings())
    true = predictions.true_values(asked, truth_of_views(known_truth(run.images), run.view_names))
    return lambda values: predictions.judged(values, asked, true)


def _halves(run: "Run", own: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    count = own.sizes["image"]
    if count < 2:
        return np.array([], int), np.arange(count)
    return patching.split(count, count // 2, run.parameters.seed)


def _with_passes(run: "Run") -> xr.DataArray | None:
    """Return answers by models with heads ablated, and by the mean of mild views."""
    heads = on_grid(run.dissection("shares")["shares"])
    if not any(len(_halves(run, own)[0]) for own in by_source(heads).values()):
        return None
    ordinary = on_grid(ordinary_differences(run)["shares"])

    def compute() -> xr.Dataset:
        judge, parts = _judge(run), []
        for own in by_source(heads).values():
            learning, measuring = _halves(run, own)
            if len(learning):
                reference = ordinary.isel(image=np.isin(ordinary["image"], own["image"]))
                chosen = _chosen(own.isel(image=learning), reference.mean("image"), run)
                ids = own["image"].values
                values = _encoded(run, ids[learning[:AVERAGED]], ids[measuring[:MEASURED]], chosen)
                right = judge(values).assign_coords(source=own["source"][measuring[:MEASURED]])
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
        name: np.isin(np.arange(own.size), ties.largest_first(own.ravel())[:count]).reshape(
            own.shape
        )
        for name, own in values.items()
    }


def _encoded(
    run: "Run", averaged: np.ndarray, measured: np.ndarray, chosen: Mapping[str, np.ndarray]
) -> xr.DataArray:
    means = run.model.means_over(np.stack([run.views(own, ())[ORIGINAL] for own in averaged]))
    altered = {name: run.model.with_heads_ablated(own, means) for name, own in chosen.items()}
    found = []
    for own in measured:
        pixels = np.stack(list(run.views(own).values()))
        by_repair = [model.encode(pixels).embedding for model in altered.values()]
        found.append(np.stack([*by_repair, _mean_of_mild_views(run.model, pixels)]))
    return xr.DataArray(
        np.stack(found, axis=1),
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
    return np.mean([model.encode(own).embedding for own in views], axis=0)


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
    own = {f"{METADATA}{LABEL}", f"{METADATA}{GROUP}"} <= set(heads.coords)
    compute = lambda: _spurious(run, heads, own)  # noqa: E731
    found = derived(run, "spurious", compute, learned=LEARNED, asked=ASKED, together=TOGETHER)
    return found.assign_attrs(of="images" if own else "scenes")


def _spurious(run: "Run", heads: xr.DataArray, own: bool) -> xr.Dataset:
    task, even = (_of_images(run, heads), None) if own else _of_scenes(run)
    rng = np.random.default_rng(run.parameters.seed)
    learned = task.learning
    scores = {
        CONTRIBUTING: probes.between_groups(
            task.heads[learned], task.label[learned], task.group[learned]
        )
    }
    names = [head_name(*each) for each in heads.stack(each=("layer", "head"))["each"].values]
    if not own:
        scores |= _of_background(run, scores[CONTRIBUTING], names)
    right = {n: probes.answered_without(task, ties.largest_first(own)) for n, own in scores.items()}
    drawn = [probes.answered_without(task, rng.permutation(len(names))) for _ in range(DRAWS)]
    right[probes.AT_RANDOM] = np.mean(drawn, axis=0)
    values = {"right": (("order", "heads", "image"), np.stack(list(right.values())))}
    if even is not None:
        values["even"] = ("image", probes.answered_without(even, [])[0])
    return xr.Dataset(
        {name: (axes, np.asarray(own, np.float32)) for name, (axes, own) in values.items()},
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
    found = []
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
        found.append((encoding.embedding, encoding.heads[:, -run.parameters.layers :]))
    sides = (np.concatenate(side).astype(np.float64) for side in zip(*found, strict=True))
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
        return probes.ProbeTask(*(own[rows] for own in arrays), learning[rows])

    return task(misled), task(~misled & ~asked)


def _of_background(run: "Run", varying: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    """Order heads by what is known of the background: their labels, and what patching them does."""
    from helpers.clip.embedded import NAMES
    from helpers.head_benchmark import judging

    found = {}
    if run.capabilities.texts:
        labels = head_readings(run)["property"].values.ravel()
        found[LABELLED] = varying + (labels == "background") * 2 * varying.max()
    if run.parameters.model in NAMES:
        effects = judging.read(run.parameters.model).patched.sel(property="background")
        found[PATCHED] = effects.mean("pair").sel(head=names).values
    return found
