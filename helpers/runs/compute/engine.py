"""The engine that fills a run's arrays: it draws, encodes and scores an image in one pass."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from helpers.analysis.scores import SCORES
from helpers.cores import cores
from helpers.data import CHANGES, STUDY_PREPROCESSING, Preprocessing, UnreadableImage
from helpers.data.change import MODEL
from helpers.runs.compute.loader import Batch, Drawn, draw, drawn_by_processes
from helpers.runs.compute.originals import NONE_KEPT, Originals
from helpers.runs.compute.output_variables import (
    CONTENT,
    OutputSpec,
    Values,
    encoded,
    is_pooled,
    needed,
    pooled,
    scored,
    scored_on_device,
    variables,
)
from helpers.runs.identity import CLASSES
from helpers.runs.parameters import Parameters
from helpers.runs.storage.arrays import Arrays
from helpers.runs.storage.drawn import DrawnViews
from helpers.runs.storage.layout import allocate

if TYPE_CHECKING:
    from torch import Tensor

    from helpers.clip import Model

WAITING_PER_WORKER = 4
NOT_FINITE = "the model gives numbers for it that are not finite, or too large to be kept"
PARTS = ("draw", "encode", "score", "write")
OF_MODEL = ("model", "pretrained", "device", "precision")
"""Parameters that say which model is loaded, and how."""


@dataclass(frozen=True)
class DeviceConfig:
    """How a kind of device is kept busy."""

    images: int  # in a pass. A processor's core is as fast with one; a GPU waits for more
    processes: int  # that draw ahead of it; 0 where the threads that encode draw, too
    scores: bool  # whether it compares pixels and attention itself


DEVICE_CONFIGS = {"cpu": DeviceConfig(1, 0, False), "cuda": DeviceConfig(16, cores(), True)}


@dataclass(frozen=True)
class Outcome:
    """What is known of a batch once its values are written."""

    images: int  # how many were computed
    unreadable: dict[str, str]  # image → reason
    seconds: dict[str, float]  # part → how long it took a thread; threads work side by side

    def shared_by(self, threads: int) -> "Outcome":
        """Return the same with seconds as they count while several threads work side by side."""
        return replace(self, seconds={part: s / threads for part, s in self.seconds.items()})


@dataclass(frozen=True)
class _PassResult:
    rows: list[int]
    values: Values
    outcome: Outcome


class Engine:
    """Computes images and writes their values; the same on one machine and on many."""

    def __init__(
        self,
        parameters: Parameters,
        arrays: Arrays,
        identity: Mapping[str, object],
        drawn_views: DrawnViews | None = None,
        originals: Originals = NONE_KEPT,
        lender: "Engine | None" = None,
    ):
        self._parameters, self._originals = parameters, originals
        self._lender = lender if lender and lender._has_the_model_of(parameters) else None
        self._changes = parameters.change_names
        self._classes = identity.get(CLASSES, ())
        self._drawn_views = drawn_views
        self.spec = OutputSpec(parameters.layers, len(self._changes), tuple(SCORES))
        self._arrays = arrays
        self._names: set[str] = set()  # of the variables that have room

    def _has_the_model_of(self, parameters: Parameters) -> bool:
        """Return whether other parameters ask for the same model."""
        return all(
            getattr(parameters, each) == getattr(self._parameters, each) for each in OF_MODEL
        )

    @cached_property
    def model(self) -> "Model":
        """The model, loaded when it is first asked for."""
        if self._lender:
            return self._lender.model
        from helpers.clip import load

        given = self._parameters
        return load(given.model, given.pretrained, given.device, given.precision)

    @property
    def preprocessing(self) -> Preprocessing:
        """How images are brought to the size of views; the model's own way is asked of it."""
        if self._parameters.preprocessed_for == "model":
            return self.model.preprocessing
        return STUDY_PREPROCESSING

    def allocate(self, wanted: Collection[str] | None = None) -> None:
        """Make room for what is kept, in chunks of ``batch_size`` images."""
        size, whole = self._parameters.batch_size, self._config.images
        rows = -(-size // whole) * whole  # no pass is divided between two chunks
        known = [
            variable
            for variable in variables(self.model, self.spec, self._arrays.sources())
            if wanted is None or variable.name in {*wanted, CONTENT.name}
        ]
        allocate(self._arrays, known, rows)

    def fill(self, batches: Sequence[Batch]) -> Iterator[Outcome]:
        """Compute batches in as many threads as the parameter ``workers`` says."""
        with self._results(batches) as results:
            for batch in batches:
                outcome = self._write(next(results) for _ in self._passes(batch))
                yield outcome.shared_by(self._parameters.workers)

    def compute(self, batches: Sequence[Batch]) -> Iterator[tuple[np.ndarray, Values]]:
        """Compute batches as `fill` does, and hand out their values instead of writing them."""
        with self._results(batches) as results:
            for result in results:
                by_image = {n: each for n, each in result.values.items() if not is_pooled(n)}
                yield np.array(result.rows, int), by_image

    @contextmanager
    def _results(self, batches: Sequence[Batch]) -> Iterator[Iterator["_PassResult"]]:
        from helpers.runs.compute.worker_pool import ahead, worker_pool

        self._names = self._arrays.allocated()
        count = self._parameters.workers
        tasks = [images for batch in batches for images in self._passes(batch)]
        run_pass = self._draw_and_run_pass
        if processes := self._config.processes:
            # They start before any thread does, which might hold a lock that they would wait for.
            tasks, run_pass = self._drawn_ahead(tasks, processes), self._run_pass
        with worker_pool(count, self.model.device) as pool:
            yield ahead(pool, run_pass, tasks, WAITING_PER_WORKER * count)

    def fill_alone(self, batch: Batch) -> Outcome:
        """Compute one batch in the calling thread, of arrays that another process has made."""
        self._arrays.look_again()
        self._names = self._arrays.allocated()
        return self._write(map(self._draw_and_run_pass, self._passes(batch)))

    @property
    def _config(self) -> DeviceConfig:
        return DEVICE_CONFIGS.get(self.model.device.partition(":")[0], DEVICE_CONFIGS["cpu"])

    def _passes(self, batch: Batch) -> list[Batch]:
        # A pass holds the same images whatever else is computed with them, and an image has its
        # place in it: products round differently at another number of rows, enough to change the
        # sixth digit of a small distance.
        number = batch.rows // self._config.images
        cuts = [0, *(np.flatnonzero(np.diff(number)) + 1), len(number)]
        return [
            Batch(batch.rows[start:end], batch.images[start:end]) for start, end in pairwise(cuts)
        ]

    def _draw_and_run_pass(self, batch: Batch) -> _PassResult:
        return self._run_pass(draw(batch, *self._draw_options, self._originals))

    def _drawn_ahead(self, passes: Sequence[Batch], processes: int) -> Iterator[Drawn]:
        return drawn_by_processes(passes, *self._draw_options, processes)

    @property
    def _draw_options(self) -> tuple[Parameters, Sequence[str], Preprocessing, Sequence[str]]:
        return self._parameters, self._changes, self.preprocessing, self._classes

    def _attack(self, drawn: Drawn) -> None:
        """Put the views that need the model into their places."""
        pixels, severity = drawn.pixels.numpy(), self._parameters.severity
        for place, name in enumerate(self._changes, 1):
            if CHANGES[name].needs == MODEL:
                for views, image in zip(pixels, drawn.ids, strict=True):
                    views[place] = self._drawn_views.view(views[0], name, image, severity)

    def _run_pass(self, drawn: Drawn) -> _PassResult:
        if not drawn.rows:
            return _PassResult([], {}, Outcome(0, drawn.unreadable, {"draw": drawn.seconds}))
        clock = _Clock()
        self._attack(drawn)
        clock.lap("draw")
        clock.seconds["draw"] += drawn.seconds
        pixels = self.model.upload(drawn.pixels)
        values = self._encoded(drawn.rows, pixels) | {CONTENT.name: np.stack(drawn.contents)}
        known = _finite(values)
        values = {name: value[known] for name, value in values.items()}
        clock.lap("encode")
        if known.any():
            # A GPU's pass takes many megabytes, which are not copied without need.
            chosen = slice(None) if known.all() else known
            values |= self._scored(pixels[chosen], drawn.pixels.numpy()[chosen], values)
        clock.lap("score")
        undefined = {drawn.ids[n]: _not_finite(drawn.ids[n]) for n in np.flatnonzero(~known)}
        rows = [row for row, is_known in zip(drawn.rows, known, strict=True) if is_known]
        outcome = Outcome(len(rows), drawn.unreadable | undefined, clock.seconds)
        kept = {name: values[name] for name in self._names & values.keys()} if rows else {}
        return _PassResult(rows, kept, outcome)

    def _encoded(self, rows: Sequence[int], pixels: "Tensor") -> Values:
        size = self._config.images
        places = [row % size for row in rows]
        if len(rows) < size:
            padded = pixels.new_zeros((size, *pixels.shape[1:]))
            padded[places] = pixels
            pixels = padded
        rows = needed(self.model.capabilities, self._names)
        keeping = {
            "by_token": any(row.by_token for row in rows),
            "neurons": any(row.neurons for row in rows),
        }
        encoding = self.model.encode(pixels.flatten(0, 1), tensors=True, **keeping)
        values = encoded(encoding, rows, self.spec)
        return {name: value[places] for name, value in values.items()}

    def _scored(self, pixels: "Tensor", drawn: np.ndarray, values: Values) -> Values:
        there = scored_on_device(pixels, values) if self._config.scores else {}
        values = values | there
        scores = [
            scored(views, {name: value[place] for name, value in values.items()}, self.spec.scores)
            for place, views in enumerate(drawn)
        ]
        return there | {name: np.stack([score[name] for score in scores]) for name in scores[0]}

    def _write(self, results: Iterable[_PassResult]) -> Outcome:
        results = list(results)
        clock = _Clock()
        filled = [result for result in results if result.rows]
        rows = np.array([row for result in filled for row in result.rows], int)
        if filled:
            names = filled[0].values
            values = {
                name: np.concatenate([each.values[name] for each in filled]) for name in names
            }
            of_batch = pooled(values, self._arrays.source_of(rows), self._arrays.sources())
            self._arrays.write(rows, values | of_batch)
        clock.lap("write")
        outcomes = [result.outcome for result in results] + [Outcome(0, {}, clock.seconds)]
        return Outcome(
            len(rows),
            {image: why for each in outcomes for image, why in each.unreadable.items()},
            {part: sum(each.seconds.get(part, 0.0) for each in outcomes) for part in PARTS},
        )


def _finite(values: Values) -> np.ndarray:
    """Return for which images a model gave neither NaN nor infinity."""
    by_image = [value.reshape(len(value), -1) for value in values.values()]
    return np.all([np.isfinite(value).all(axis=1) for value in by_image], axis=0)


def _not_finite(image: str) -> str:
    return str(UnreadableImage(image, NOT_FINITE))


class _Clock:
    """Seconds between laps, by name."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, name: str) -> None:
        now = perf_counter()
        self.seconds[name], self._last = now - self._last, now
