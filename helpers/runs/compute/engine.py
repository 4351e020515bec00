"""The engine that fills a run's arrays: it draws, encodes and scores an image in one visit."""

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
from helpers.runs.compute.output_variables import (
    CONTENT,
    Asked,
    Values,
    encoded,
    is_pooled,
    needed,
    pooled,
    scored,
    scored_on_device,
    variables,
)
from helpers.runs.parameters import Parameters
from helpers.runs.paths import CLASSES
from helpers.runs.storage.arrays import Arrays
from helpers.runs.storage.drawn import DrawnViews
from helpers.runs.storage.layout import allocate

if TYPE_CHECKING:
    from torch import Tensor

    from helpers.clip import Model

WAITING_PER_LANE = 4
NOT_FINITE = "the model gives numbers for it that are not finite, or too large to be kept"
PARTS = ("draw", "encode", "score", "write")


@dataclass(frozen=True)
class Pace:
    """How a kind of device is kept busy."""

    images: int  # in a pass. A processor's core is as fast with one; a GPU waits for more
    processes: int  # that draw ahead of it; 0 where the threads that encode draw, too
    scores: bool  # whether it compares pixels and attention itself


PACES = {"cpu": Pace(1, 0, False), "cuda": Pace(16, cores(), True)}


@dataclass(frozen=True)
class Outcome:
    """What is told of a batch, whose values are written."""

    images: int  # how many were computed
    unreadable: dict[str, str]  # image → reason
    seconds: dict[str, float]  # part → how long it took a thread; threads work side by side

    def shared_by(self, threads: int) -> "Outcome":
        """Return the same with seconds as they count while several threads work side by side."""
        return replace(self, seconds={part: s / threads for part, s in self.seconds.items()})


@dataclass(frozen=True)
class _Visit:
    rows: list[int]
    values: Values
    outcome: Outcome


class Engine:
    """Computes images and writes their values; the same on one machine and on many."""

    def __init__(
        self,
        parameters: Parameters,
        place: str,
        identity: Mapping[str, object],
        drawn_views: DrawnViews | None = None,
        lender: "Engine | None" = None,
    ):
        self._parameters, self._lender = parameters, lender
        self._changes = parameters.change_names
        self._classes = identity.get(CLASSES, ())
        self._drawn_views = drawn_views
        self.asked = Asked(parameters.layers, len(self._changes), tuple(SCORES))
        self._arrays = Arrays(place)
        self._names: set[str] = set()  # of the variables that have room

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
        own = self._parameters.preprocessed_for == "model"
        return self.model.preprocessing if own else STUDY_PREPROCESSING

    def allocate(self, wanted: Collection[str] | None = None) -> None:
        """Make room for what is kept, in chunks of ``batch_size`` images."""
        size, whole = self._parameters.batch_size, self._pace.images
        rows = -(-size // whole) * whole  # no pass is divided between two chunks
        known = [
            variable
            for variable in variables(self.model, self.asked, self._arrays.sources())
            if wanted is None or variable.name in {*wanted, CONTENT.name}
        ]
        allocate(self._arrays, known, rows)

    def fill(self, batches: Sequence[Batch]) -> Iterator[Outcome]:
        """Compute batches in as many threads as the parameter ``workers`` says."""
        with self._visits(batches) as visits:
            for batch in batches:
                outcome = self._write(next(visits) for _ in self._passes(batch))
                yield outcome.shared_by(self._parameters.workers)

    def compute(self, batches: Sequence[Batch]) -> Iterator[tuple[np.ndarray, Values]]:
        """Compute batches as `fill` does, and hand out their values instead of writing them."""
        with self._visits(batches) as visits:
            for visit in visits:
                by_image = {n: own for n, own in visit.values.items() if not is_pooled(n)}
                yield np.array(visit.rows, int), by_image

    @contextmanager
    def _visits(self, batches: Sequence[Batch]) -> Iterator[Iterator["_Visit"]]:
        from helpers.runs.compute.worker_pool import ahead, lanes

        self._names = self._arrays.allocated()
        count = self._parameters.workers
        tasks, visit = [own for each in batches for own in self._passes(each)], self._draw_and_visit
        if processes := self._pace.processes:
            # They start before any thread does, which might hold a lock that they would wait for.
            tasks, visit = self._drawn_ahead(tasks, processes), self._visit
        with lanes(count, self.model.device) as pool:
            yield ahead(pool, visit, tasks, WAITING_PER_LANE * count)

    def fill_alone(self, batch: Batch) -> Outcome:
        """Compute one batch in the calling thread."""
        self._names = self._arrays.allocated()
        return self._write(map(self._draw_and_visit, self._passes(batch)))

    @property
    def _pace(self) -> Pace:
        return PACES.get(self.model.device.partition(":")[0], PACES["cpu"])

    def _passes(self, batch: Batch) -> list[Batch]:
        # A pass holds the same images whatever else is computed with them, and an image has its
        # place in it: products round differently at another number of rows, enough to change the
        # sixth digit of a small distance.
        number = batch.rows // self._pace.images
        cuts = [0, *(np.flatnonzero(np.diff(number)) + 1), len(number)]
        return [
            Batch(batch.rows[start:end], batch.images[start:end]) for start, end in pairwise(cuts)
        ]

    def _draw_and_visit(self, batch: Batch) -> _Visit:
        return self._visit(draw(batch, *self._asked))

    def _drawn_ahead(self, passes: Sequence[Batch], processes: int) -> Iterator[Drawn]:
        return drawn_by_processes(passes, *self._asked, processes)

    @property
    def _asked(self) -> tuple[Parameters, Sequence[str], Preprocessing, Sequence[str]]:
        return self._parameters, self._changes, self.preprocessing, self._classes

    def _attack(self, drawn: Drawn) -> None:
        """Put the views that need the model into their places."""
        pixels, severity = drawn.pixels.numpy(), self._parameters.severity
        for place, name in enumerate(self._changes, 1):
            if CHANGES[name].needs == MODEL:
                for own, image in zip(pixels, drawn.ids, strict=True):
                    own[place] = self._drawn_views.view(own[0], name, image, severity)

    def _visit(self, drawn: Drawn) -> _Visit:
        if not drawn.rows:
            return _Visit([], {}, Outcome(0, drawn.unreadable, {"draw": drawn.seconds}))
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
            own = slice(None) if known.all() else known
            values |= self._scored(pixels[own], drawn.pixels.numpy()[own], values)
        clock.lap("score")
        undefined = {drawn.ids[n]: _not_finite(drawn.ids[n]) for n in np.flatnonzero(~known)}
        rows = [row for row, one in zip(drawn.rows, known, strict=True) if one]
        outcome = Outcome(len(rows), drawn.unreadable | undefined, clock.seconds)
        kept = {name: values[name] for name in self._names & values.keys()} if rows else {}
        return _Visit(rows, kept, outcome)

    def _encoded(self, rows: Sequence[int], pixels: "Tensor") -> Values:
        size = self._pace.images
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
        values = encoded(encoding, rows, self.asked)
        return {name: value[places] for name, value in values.items()}

    def _scored(self, pixels: "Tensor", drawn: np.ndarray, values: Values) -> Values:
        there = scored_on_device(pixels, values) if self._pace.scores else {}
        values = values | there
        scores = [
            scored(own, {name: value[place] for name, value in values.items()}, self.asked.scores)
            for place, own in enumerate(drawn)
        ]
        return there | {name: np.stack([score[name] for score in scores]) for name in scores[0]}

    def _write(self, visits: Iterable[_Visit]) -> Outcome:
        visits = list(visits)
        clock = _Clock()
        filled = [visit for visit in visits if visit.rows]
        rows = np.array([row for visit in filled for row in visit.rows], int)
        if filled:
            names = filled[0].values
            values = {name: np.concatenate([own.values[name] for own in filled]) for name in names}
            of_batch = pooled(values, self._arrays.source_of(rows), self._arrays.sources())
            self._arrays.write(rows, values | of_batch)
        clock.lap("write")
        outcomes = [visit.outcome for visit in visits] + [Outcome(0, {}, clock.seconds)]
        return Outcome(
            len(rows),
            {image: why for own in outcomes for image, why in own.unreadable.items()},
            {part: sum(own.seconds.get(part, 0.0) for own in outcomes) for part in PARTS},
        )


def _finite(values: Values) -> np.ndarray:
    """Tell for which images a model gave neither NaN nor infinity."""
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
