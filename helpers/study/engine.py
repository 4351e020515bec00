"""The engine that fills a run's arrays: it draws, encodes and scores an image in one visit."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from helpers.analysis.scores import SCORES
from helpers.data import Image, UnreadableImage, views
from helpers.study.arrays import Arrays
from helpers.study.parameters import Parameters
from helpers.study.visit import CONTENT, Asked, Values, content_of, encoded, scored, variables

if TYPE_CHECKING:
    from helpers.clip import Model

# A processor's core is as fast with one image at a time; a GPU waits for more.
IMAGES_PER_PASS = {"cpu": 1, "cuda": 16}
WAITING_PER_LANE = 4
NOT_FINITE = "the model gives numbers for it that are not finite"
PARTS = ("draw", "encode", "score", "write")


@dataclass(frozen=True)
class Batch:
    """Images whose values lie in one chunk of the arrays.

    Attributes
    ----------
    rows : ndarray of int
        Their positions in the arrays, ascending.
    images : list of Image
    """

    rows: np.ndarray
    images: list[Image]


@dataclass(frozen=True)
class Outcome:
    """What is told of a batch, whose values are written.

    Attributes
    ----------
    images : int
        How many were computed.
    unreadable : dict of str to str
        Image → reason.
    seconds : dict of str to float
        Part → how long it took a thread; threads work side by side.
    """

    images: int
    unreadable: dict[str, str]
    seconds: dict[str, float]

    def shared_by(self, threads: int) -> "Outcome":
        """Return the same with seconds as they count while several threads work side by side."""
        return replace(self, seconds={part: s / threads for part, s in self.seconds.items()})


@dataclass(frozen=True)
class _Visit:
    rows: list[int]
    values: Values
    outcome: Outcome


class Engine:
    """Computes images and writes their values; the same on one machine and on many.

    Parameters
    ----------
    parameters : Parameters
        The model, the draws and what is kept.
    place : str
        Path or URL of the arrays; see `helpers.study.arrays.Arrays`.
    """

    def __init__(self, parameters: Parameters, place: str):
        self._parameters = parameters
        self._changes = parameters.change_names
        self.asked = Asked(parameters.layers, len(self._changes), tuple(SCORES))
        self._arrays = Arrays(place)

    @cached_property
    def model(self) -> "Model":
        """The model, loaded when it is first asked for."""
        from helpers.clip import load

        given = self._parameters
        return load(given.model, given.pretrained, given.device, given.precision)

    def allocate(self) -> None:
        """Make room for all that is kept, in chunks of ``batch_size`` images."""
        size, whole = self._parameters.batch_size, self._images_per_pass
        rows = -(-size // whole) * whole  # no pass is divided between two chunks
        self._arrays.allocate(variables(self.model, self.asked), rows)

    def fill(self, batches: Sequence[Batch]) -> Iterator[Outcome]:
        """Compute batches in as many threads as the parameter ``workers`` says.

        Parameters
        ----------
        batches : sequence of Batch
            No two in one chunk.

        Yields
        ------
        Outcome
            Of each batch in turn, when its values are written.
        """
        with self._visits(batches) as visits:
            for batch in batches:
                outcome = self._write(next(visits) for _ in self._passes(batch))
                yield outcome.shared_by(self._parameters.workers)

    def compute(self, batches: Sequence[Batch]) -> Iterator[tuple[np.ndarray, Values]]:
        """Compute batches as `fill` does, and hand out their values instead of writing them.

        Parameters
        ----------
        batches : sequence of Batch

        Yields
        ------
        tuple of (ndarray of int, dict of str to ndarray)
            Positions of readable images that share a pass, and their values.
        """
        with self._visits(batches) as visits:
            for visit in visits:
                yield np.array(visit.rows, int), visit.values

    @contextmanager
    def _visits(self, batches: Sequence[Batch]) -> Iterator[Iterator["_Visit"]]:
        from helpers.study.lanes import ahead, lanes

        count = self._parameters.workers
        passes = (own for batch in batches for own in self._passes(batch))
        with lanes(count) as pool:
            yield ahead(pool, self._visit, passes, WAITING_PER_LANE * count)

    def fill_alone(self, batch: Batch) -> Outcome:
        """Compute one batch in the calling thread."""
        return self._write(map(self._visit, self._passes(batch)))

    @property
    def _images_per_pass(self) -> int:
        return IMAGES_PER_PASS.get(self.model.device.partition(":")[0], 1)

    def _passes(self, batch: Batch) -> list[Batch]:
        # A pass holds the same images whatever else is computed with them, and an image has its
        # place in it: products round differently at another number of rows, enough to change the
        # sixth digit of a small distance.
        number = batch.rows // self._images_per_pass
        cuts = [0, *(np.flatnonzero(np.diff(number)) + 1), len(number)]
        return [
            Batch(batch.rows[start:end], batch.images[start:end]) for start, end in pairwise(cuts)
        ]

    def _visit(self, batch: Batch) -> _Visit:
        clock = _Clock()
        drawn, contents, unreadable = self._drawn(batch)
        clock.lap("draw")
        if not drawn:
            return _Visit([], {}, Outcome(0, unreadable, clock.seconds))
        values = self._encoded(drawn)
        drawn, values, undefined = _finite(batch, drawn, values)
        unreadable |= undefined
        clock.lap("encode")
        if not drawn:
            return _Visit([], {}, Outcome(0, unreadable, clock.seconds))
        scores = [
            scored(
                pixels, {name: value[place] for name, value in values.items()}, self.asked.scores
            )
            for place, pixels in enumerate(drawn.values())
        ]
        values |= {name: np.stack([score[name] for score in scores]) for name in scores[0]}
        values[CONTENT.name] = np.stack(contents)
        clock.lap("score")
        return _Visit(list(drawn), values, Outcome(len(drawn), unreadable, clock.seconds))

    def _drawn(
        self, batch: Batch
    ) -> tuple[dict[int, np.ndarray], list[np.ndarray], dict[str, str]]:
        drawn, contents, unreadable = {}, [], {}
        seed, severity = self._parameters.seed, self._parameters.severity
        for row, image in zip(batch.rows.tolist(), batch.images, strict=True):
            try:
                pixels = image.pixels
            except UnreadableImage as error:
                unreadable[image.id] = str(error)
                continue
            own = views(pixels, image.id, seed, severity, self._changes)
            drawn[row] = np.stack(list(own.values()))
            contents.append(content_of(pixels))
        return drawn, contents, unreadable

    def _encoded(self, drawn: dict[int, np.ndarray]) -> Values:
        size = self._images_per_pass
        places = [row % size for row in drawn]
        pixels = np.zeros((size, *next(iter(drawn.values())).shape), np.uint8)
        pixels[places] = list(drawn.values())
        encoding = self.model.encode(pixels.reshape(-1, *pixels.shape[2:]), by_token=True)
        values = encoded(encoding, self.model.capabilities, self.asked)
        return {name: value[places] for name, value in values.items()}

    def _write(self, visits: Iterable[_Visit]) -> Outcome:
        visits = list(visits)
        clock = _Clock()
        filled = [visit for visit in visits if visit.rows]
        rows = np.array([row for visit in filled for row in visit.rows], int)
        if filled:
            names = filled[0].values
            values = {name: np.concatenate([own.values[name] for own in filled]) for name in names}
            self._arrays.write(rows, values)
        clock.lap("write")
        outcomes = [visit.outcome for visit in visits] + [Outcome(0, {}, clock.seconds)]
        return Outcome(
            len(rows),
            {image: why for own in outcomes for image, why in own.unreadable.items()},
            {part: sum(own.seconds.get(part, 0.0) for own in outcomes) for part in PARTS},
        )


def _finite(
    batch: Batch, drawn: dict[int, np.ndarray], values: Values
) -> tuple[dict[int, np.ndarray], Values, dict[str, str]]:
    """Leave out images for which a model gave NaN or infinity, and say which: no mean has them."""
    by_image = [value.reshape(len(drawn), -1) for value in values.values()]
    known = np.all([np.isfinite(value).all(axis=1) for value in by_image], axis=0)
    if known.all():
        return drawn, values, {}
    ids = dict(zip(batch.rows.tolist(), (image.id for image in batch.images), strict=True))
    undefined = [ids[row] for row, one in zip(drawn, known, strict=True) if not one]
    left = {row: own for (row, own), one in zip(drawn.items(), known, strict=True) if one}
    told = {name: str(UnreadableImage(name, NOT_FINITE)) for name in undefined}
    return left, {name: value[known] for name, value in values.items()}, told


class _Clock:
    """Seconds between laps, by name."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, name: str) -> None:
        now = perf_counter()
        self.seconds[name], self._last = now - self._last, now
