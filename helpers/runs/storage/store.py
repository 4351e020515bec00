"""A run's store: arrays that are read, or else computed, by one process at a time."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from tqdm import tqdm

from helpers.analysis.sources import with_metadata
from helpers.clip import names
from helpers.data import Images
from helpers.data.changes import ORIGINAL
from helpers.runs import paths
from helpers.runs.compute.engine import Batch, Engine, Outcome
from helpers.runs.compute.originals import Originals
from helpers.runs.compute.output_variables import CONTENT
from helpers.runs.parameters import Parameters
from helpers.runs.record import Record, circumstances
from helpers.runs.storage.arrays import Arrays, DamagedArrays
from helpers.runs.storage.drawn import DrawnViews
from helpers.runs.storage.integrity import Damage, repair
from helpers.runs.storage.layout import Layout
from helpers.runs.storage.locks import ProcessLock


class Store:
    """Arrays of a run, which are read where they are whole and computed where they are not."""

    def __init__(
        self,
        parameters: Parameters,
        images: Images,
        identity: Mapping,
        folder: Path,
        originals: Originals,
        wanted: Sequence[str] | None,
        lender: Engine | None,
    ):
        self._parameters, self._images, self._identity = parameters, images, identity
        self._wanted, self._requested = wanted, set()
        self._arrays = Arrays(paths.store(parameters.out, folder))
        self._layout = Layout(self._arrays, identity, self._coordinates())
        self.record = Record(folder / paths.RECORD)
        report = self.record.report_damage
        self.drawn_views = DrawnViews(folder, identity, lambda: self.engine.model, report)
        drawn = (self.drawn_views, originals, lender)
        self.engine = Engine(parameters, self._arrays, identity, *drawn)
        self.lock = ProcessLock(folder / "arrays.lock")

    def open(self) -> None:
        """Make the arrays, or find that they are those of this run; report damage."""
        with self.lock:
            self._layout.create()
            self._repair([CONTENT.name])  # which nothing else reads
            if self._arrays.done().any():
                self.record.report_if_missing()

    def read(self, names: Sequence[str]) -> xr.Dataset:
        """Read variables of every readable image, computing what is missing or damaged."""
        self._requested |= {*names}
        self.compute()
        return with_metadata(self._read(names), self.record.read().get("metadata", {}))

    def progress(self) -> list[int]:
        """Return how many images are done or known to be unreadable, and how many there are."""
        done, unreadable = self._arrays.done(), self.record.read().get("unreadable", {})
        return [int(done.sum()) + len(unreadable), len(done)]

    def counts(self) -> xr.DataArray:
        """Return how many finished images of each source a batch has, (batch, of_source)."""
        return self._arrays.counts()

    def _read(self, names: Sequence[str]) -> xr.Dataset:
        try:
            return self._arrays.read(names)
        except DamagedArrays:
            self._repair([*names, *self._arrays.labels()])
            self.compute()
            return self._arrays.read(names)

    def compute(self) -> None:
        """Compute what is missing: a single pass over an image gives all that is kept of it."""
        with self.lock:
            self._arrays.look_again()
            missing = self._missing_repaired()
            if len(missing):
                self._fill_repaired(missing)
                self._arrays.look_again()
            if "images" not in self.record.read():
                metadata = self._images.metadata().to_dict()
                self.record.update(images=self._contents(), metadata=metadata)

    def _coordinates(self) -> dict[str, tuple[str, list[str]]]:
        changes = self._parameters.change_names
        return {
            "image": ("image", self._images.ids),
            "source": ("image", [image.source for image in self._images]),
            "view": ("view", [ORIGINAL, *changes]),
            "augmentation": ("augmentation", list(changes)),
        }

    def _repair(self, names: Sequence[str]) -> None:
        """Report damage in arrays, so that `compute` fills what it spoiled."""
        ids, place = self._images.ids, self._arrays.place

        def report(damage: Damage) -> None:
            self.record.report_damage(damage.sentence(place, ids))

        with self.lock:
            repair(self._layout, report, names)

    def _contents(self) -> dict[str, str]:
        """Return the SHA-256 of every readable image's pixels."""
        content = self._arrays.read([CONTENT.name])[CONTENT.name]
        return {
            image: row.tobytes().hex()
            for image, row in zip(content["image"].values, content.values, strict=True)
        }

    def _missing(self) -> np.ndarray:
        if not self._requested <= self._arrays.allocated():
            return np.arange(len(self._images))
        unreadable = self.record.read().get("unreadable", {})
        known = np.array([image in unreadable for image in self._images.ids])
        missing = np.flatnonzero(~(self._arrays.done() | known))
        if not len(missing):
            return missing
        whole = self._arrays.whole_batches(missing)
        return whole[~known[whole]]

    def _missing_repaired(self) -> np.ndarray:
        try:
            return self._missing()
        except DamagedArrays:  # which ones are done can't be known
            self._repair([])
            return self._missing()

    def _fill_repaired(self, missing: np.ndarray) -> None:
        try:
            self._fill(missing)
        except DamagedArrays:  # a chunk that other images of it were to be written into
            self._repair(self._arrays.variables())
            self._fill(self._missing())

    def _fill(self, missing: np.ndarray) -> None:
        wanted = None if self._wanted is None else {*self._wanted, *self._requested}
        self.engine.allocate(wanted)
        self.record.add_circumstances(circumstances())
        title = names.title(self._parameters.model, self._parameters.pretrained)
        batches = [
            Batch(rows, [self._images[row] for row in rows.tolist()])
            for rows in self._arrays.batches(missing)
        ]
        total = len(self._images)
        done = total - len(missing)
        with tqdm(total=len(missing), desc=title, unit="image", leave=False) as bar:
            for outcome in self._filled(batches):
                done += outcome.images + len(outcome.unreadable)
                self.record.add(outcome.images, outcome.seconds, outcome.unreadable, [done, total])
                bar.update(outcome.images + len(outcome.unreadable))

    def _filled(self, batches: Sequence[Batch]) -> Iterator[Outcome]:
        if self._parameters.cluster is None:
            return self.engine.fill(batches)
        from helpers.runs.compute import cluster

        job = cluster.Job(self._parameters, self._arrays.place, self._identity)
        return cluster.fill(job, batches)
