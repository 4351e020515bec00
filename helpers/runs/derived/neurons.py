"""What neurons carry of ordinary differences, what excites them, and what goes with them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis import patching, specificity
from helpers.analysis.dissection import along_shift
from helpers.analysis.proximity import normalised, unit_vectors
from helpers.analysis.sources import by_source
from helpers.data import SIZE
from helpers.data.changes import ORIGINAL
from helpers.runs.derived.cache import derived
from helpers.runs.derived.ordinary import MOST_IMAGES, PASS

if TYPE_CHECKING:
    from helpers.clip import Encoding, Model
    from helpers.clip.interventions import Means
    from helpers.runs.run import Run

MEASURED = 8
"""Images of a source on which neurons are ablated, at most."""

AVERAGED = 32
"""Images of a source whose mean an ablated neuron keeps, at most."""


def neuron_account(run: "Run") -> specificity.NeuronAccount | None:
    """Return the account of a run's shifts down to neurons, computing what is missing.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Account or None
        None where the model gives none.
    """
    if not run.capabilities.neurons:
        return None
    return specificity.neuron_account(run.neurons(), ordinary_neurons(run), ablated_neurons(run))


def neuron_texts(run: "Run", excess: pd.DataFrame) -> xr.DataArray:
    """Return how well texts fit what some neurons write, computing it if missing.

    Parameters
    ----------
    run : Run
    excess : DataFrame
        With columns `neuron`, `depth` and `place`, as of
        `helpers.analysis.specificity.leading_neurons`.

    Returns
    -------
    DataArray, (neuron, text)
        Cosine similarities with the run's texts, less the mean of the pool.

    Raises
    ------
    WorkbookError
        If the model gives no exact account of neurons, or embeds no texts.
    """
    run.require("neurons")
    texts = run.text_embeddings()
    chosen = excess.drop_duplicates("neuron").sort_values(["depth", "place"])

    def compute() -> xr.Dataset:
        blank = np.zeros((1, SIZE, SIZE, 3), np.uint8)
        axes = np.eye(texts.sizes["feature"], dtype=np.float32)
        written = run.model.encode(blank, neurons=True).neuron_writing(axes)
        directions = normalised(written[:, chosen["depth"], chosen["place"]].T)
        pool = unit_vectors(texts - texts.mean("text")).transpose("feature", "text").values
        coords = {"neuron": chosen["neuron"].to_numpy(object), "text": texts["text"]}
        fit = xr.DataArray(directions @ pool, dims=("neuron", "text"), coords=coords)
        return fit.to_dataset(name="fit")

    names = chosen["neuron"].tolist()
    return derived(run, "neuron_texts", compute, neurons=names, texts=run.texts.fingerprint)["fit"]


def ordinary_neurons(run: "Run") -> xr.Dataset:
    """Return what neurons carry of differences between originals, computing it if missing."""
    run.require("neurons")
    embeddings = run.encodings("embedding")["embedding"].sel(view=ORIGINAL, drop=True)
    return derived(run, "ordinary_neurons", lambda: _ordinary(run, embeddings), most=MOST_IMAGES)


def _ordinary(run: "Run", embeddings: xr.DataArray) -> xr.Dataset:
    rng = np.random.default_rng(run.parameters.seed)
    by_name = {}
    for source, group in by_source(embeddings).items():
        drawn = rng.permutation(group.sizes["image"])[:MOST_IMAGES]
        chosen = group.isel(image=np.sort(drawn))
        parts = list(_fired_and_written(run, chosen["image"].values))
        fired, written = (np.concatenate(side) for side in zip(*parts, strict=True))
        axes = ("image", "depth", "neuron")
        ids = {"image": chosen["image"].values}
        sides = (xr.DataArray(side, dims=axes, coords=ids) for side in (fired, written))
        by_name[source] = specificity.ordinary_neurons(*sides, chosen.drop_vars("source"), rng)
    return xr.concat(by_name.values(), xr.Variable("of_source", list(by_name)))


def _fired_and_written(run: "Run", ids: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield how neurons fire, and how far they write towards each image's embedding."""
    for start in range(0, len(ids), PASS):
        encoding = _encoded(run.model, _views(run, ids[start : start + PASS], ())[:, 0])
        yield encoding.neurons, encoding.neuron_writing(encoding.embedding)


def ablated_neurons(run: "Run") -> xr.Dataset:
    """Return what ablating neurons does to shifts and originals, computing it if missing."""
    account, reference = run.neurons(), ordinary_neurons(run)
    compute = lambda: _ablated(run, account, reference)  # noqa: E731
    return derived(run, "ablated_neurons", compute, measured=MEASURED, averaged=AVERAGED)


def _ablated(run: "Run", account: xr.Dataset, reference: xr.Dataset) -> xr.Dataset:
    parts = []
    for source, group in by_source(account["neurons_for_half"]).items():
        ids, images = group["image"].values, group.sizes["image"]
        choosing, measuring = patching.split(images, MEASURED, run.parameters.seed)
        drawn = _views(run, ids[measuring], run.changes)
        shares = account["share"].sel(of_source=source)
        encoded = [_encoded(run.model, views) for views in drawn]
        total = _less(shares * images, encoded) if images > 1 else shares
        ordinary = reference["share"].sel(of_source=source)
        chosen = specificity.choose_neurons(
            total / max(images - len(measuring), 1), ordinary, seed=run.parameters.seed
        )
        means = run.model.means_over(_views(run, ids[choosing][:AVERAGED], ())[:, 0])
        plain = np.stack([each.embedding for each in encoded])
        effects = _effects(run.model, drawn, plain, means, chosen)
        parts.append(
            xr.Dataset(
                {name: (("choice", "image", "augmentation"), e) for name, e in effects.items()},
                coords={
                    "choice": chosen["choice"].values,
                    "image": ids[measuring],
                    "augmentation": list(run.changes),
                    "source": ("image", [source] * len(measuring)),
                },
            )
        )
    return xr.concat(parts, "image").astype(np.float32)


def _less(total: xr.DataArray, encoded: Sequence["Encoding"]) -> xr.DataArray:
    """Take the shares of the images measured, views of one each, from a sum over all."""
    for encoding in encoded:
        shift = encoding.embedding[1:] - encoding.embedding[:1]
        fired = encoding.neurons[1:] - encoding.neurons[:1]
        total = total - fired * encoding.neuron_writing(shift) / _length(shift)
    return total


def _length(shift: np.ndarray) -> np.ndarray:
    length = np.square(shift).sum(axis=-1)[:, None, None]
    return np.where(length > 0, length, np.inf)


def _effects(
    model: "Model",
    drawn: np.ndarray,
    plain: np.ndarray,
    means: "Means",
    chosen: xr.DataArray,
) -> dict[str, np.ndarray]:
    """Encode images, images × views, again for every choice (choice, augmentation, …)."""
    images, views = drawn.shape[:2]
    originals, shifts = plain[:, :1], plain[:, 1:] - plain[:, :1]
    removed, kept = np.empty((2, chosen.sizes["choice"], images, views - 1))
    for row, choice in enumerate(chosen.values):
        altered, last = None, None
        for column, mask in enumerate(choice):
            if last is None or not np.array_equal(mask, last):
                altered, last = model.with_neurons_ablated(mask, means), mask
                before = altered.encode(drawn[:, 0]).embedding
            after = altered.encode(drawn[:, 1 + column]).embedding
            left, shift = after - before, shifts[:, column]
            gone = along_shift((shift - left)[:, None], shift, originals[:, 0])
            removed[row, :, column] = gone[:, 0]
            kept[row, :, column] = _cosine(before, originals[:, 0])
    return {"removed": removed, "kept": kept}


def _cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(axis=1) / lengths


def _encoded(model: "Model", pixels: np.ndarray) -> "Encoding":
    return model.encode(pixels, neurons=True)


def _views(run: "Run", ids: np.ndarray, changes: tuple[str, ...]) -> np.ndarray:
    return np.stack([np.stack(list(run.views(name, changes).values())) for name in ids])
