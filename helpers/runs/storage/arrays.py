"""The arrays of a run: one Zarr dataset with named axes, filled chunk by chunk.

An image counts as done only when all of its values are written, and no chunk has two writers. A
process killed at any moment therefore loses at most the batch that it was working on. Every chunk
carries a checksum, and one that is missing is damaged, too.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote, urlsplit

import numpy as np
import xarray as xr
import zarr
from zarr.abc.store import Store
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.core.sync import sync
from zarr.storage import LocalStore

from helpers.checks import WorkbookError
from helpers.runs.storage import manifest
from helpers.runs.storage.damage import (
    NOBODY,
    Damage,
    DamagedArrays,
    Watched,
    damaged_chunks,
    is_variable,
    per_batch,
)
from helpers.runs.storage.manifest import Manifest
from helpers.runs.storage.remote import Remembered, open_remote

DONE = "done"
CHECKED = (ZstdCodec(), Crc32cCodec())
# A chunk of nothing but fill values is written, too: one that isn't there was lost.
zarr.config.set({"array.write_empty_chunks": True})


@dataclass(frozen=True)
class Variable:
    """An array with one row per image, or per batch of images."""

    name: str
    # names of the axes after the first, with their lengths or, where they have any, labels
    axes: Mapping[str, int | Sequence]
    dtype: str = "float32"
    per: str = "image"  # the first axis. A batch is the images that share a chunk

    @property
    def lengths(self) -> tuple[int, ...]:
        """Lengths of the axes after the first."""
        return tuple(axis if isinstance(axis, int) else len(axis) for axis in self.axes.values())


class Arrays:
    """One run's Zarr dataset, on disk or in an object store.

    Parameters
    ----------
    place : str
        Path of the ``.zarr`` folder, or a URL that fsspec opens.

    Raises
    ------
    WorkbookError
        If the place can't be opened.
    """

    def __init__(self, place: str):
        self.place = place
        self._store = _open(place)
        self._manifest = Manifest(self._store)
        self._identity: Mapping = {}
        self._coordinates: Mapping[str, tuple[str, Sequence[str]]] = {}

    def create(
        self, identity: Mapping, coordinates: Mapping[str, tuple[str, Sequence[str]]]
    ) -> None:
        """Write coordinates and identity, unless they are there.

        Parameters
        ----------
        identity : dict
            Everything that the arrays' values depend on. Arrays of another identity are refused.
        coordinates : dict of str to (str, sequence of str)
            Name → (axis, labels); the axis ``image`` must be among them.

        Raises
        ------
        WorkbookError
            If the place holds arrays of another identity, or of one that can't be told any more.
        """
        self._identity, self._coordinates = identity, coordinates
        there = self._manifest.identity()
        if there not in (None, identity):
            self._refuse(differences(there, identity))
        if self._manifest.read() is None:
            owner = self._manifest.owner(DONE)
            if owner is None:
                self._create()
            elif owner != manifest.mark(identity)["of"]:
                self._refuse("which ones can't be told any more, as its zarr.json is damaged")

    def look_again(self) -> None:
        """Find what another process has written meanwhile, where that isn't read each time."""
        if isinstance(self._store, Remembered):
            sync(self._store.look_again())

    def _refuse(self, why: str) -> None:
        raise WorkbookError(
            f"{self.place.rpartition('/')[0]} holds the arrays of other parameters ({why}); choose"
            " another folder with --out, or remove that one."
        )

    @property
    def are_there(self) -> bool:
        """Whether anything is at the place, damaged or not."""
        return bool(self._manifest.names())

    @staticmethod
    def identity_of(place: str) -> dict | None:
        """Return the identity of the arrays at a place; None where there are none."""
        return Manifest(_open(place)).identity()

    def allocate(self, variables: Sequence[Variable], rows: int) -> None:
        """Make room for variables, unless it is there already."""
        self.look_again()
        there = self.allocated()
        new = [variable for variable in variables if variable.name not in there]
        if not new:
            return
        self.__dict__.pop("_variables", None)
        chunk = self._array(DONE).chunks[0] if there else min(rows, self._count)
        self._make(Variable(DONE, {}, "bool"), chunk)[:] = False
        for variable in new:
            for name, axis in variable.axes.items():
                if not isinstance(axis, int):
                    self._make_labels(name, name, axis)
            self._make(variable, chunk)
        # Written last: it says that all others are there.
        self._seal()

    def batches(self, rows: np.ndarray) -> list[np.ndarray]:
        """Group images by the chunk that holds them, which is what one worker may write."""
        cuts = np.flatnonzero(np.diff(self._batch(rows))) + 1
        return np.split(rows, cuts) if len(rows) else []

    def _batch(self, rows: np.ndarray) -> np.ndarray:
        return rows // self._array(DONE).chunks[0]

    def _images_of(self, batch: int) -> np.ndarray:
        size = self._array(DONE).chunks[0]
        return np.arange(batch * size, min((batch + 1) * size, self._count))

    def whole_batches(self, rows: np.ndarray) -> np.ndarray:
        """Add to images those that share a batch with them, if anything is kept of batches.

        What is kept of a batch can't be mended for one of its images alone.
        """
        if not any(per_batch(self._array(name)) for name in self.variables()):
            return rows
        return np.concatenate([self._images_of(number) for number in np.unique(self._batch(rows))])

    def done(self) -> np.ndarray:
        """Return which images are finished, booleans of length images.

        Raises
        ------
        DamagedArrays
            If what says so is damaged, or what says how any array is stored.
        """
        if self._manifest.damaged():
            raise DamagedArrays(self.place)
        if not self._is_allocated:
            return np.zeros(self._count, bool)
        watched = Watched(self._store)
        try:
            done = zarr.open_array(watched, path=DONE, mode="r", zarr_format=3)[:]
        except ValueError as error:
            raise DamagedArrays(self.place) from error
        if watched.missing:
            raise DamagedArrays(self.place)
        return done

    def write(self, rows: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
        """Write some images' rows of all variables, then mark these images as done.

        Parameters
        ----------
        rows : ndarray of int
            Positions of images of one chunk.
        values : dict of str to ndarray
            Variable → values, first axis as long as `rows`; of what is kept of a batch, 1.

        Raises
        ------
        DamagedArrays
            If the rest of their chunk is damaged.
        """
        try:
            for name, value in (*values.items(), (DONE, np.ones(len(rows), bool))):
                array = self._variables[name]
                array.oindex[self._place(self._batch(rows[:1]) if per_batch(array) else rows)] = (
                    value
                )
        except ValueError as error:  # of a damaged chunk that has other images, too
            raise DamagedArrays(self.place) from error

    def _place(self, rows: np.ndarray) -> slice | np.ndarray:
        """Return where to write rows: in an object store as a slice, where they are neighbours.

        Zarr reads no chunk that a slice overwrites whole. A disk's is read, and damage of it told.
        """
        if isinstance(self._store, Remembered) and len(rows) and (np.diff(rows) == 1).all():
            return slice(int(rows[0]), int(rows[-1]) + 1)
        return rows

    def ids(self) -> list[str]:
        """Return the ids of all images, finished or not."""
        return self._array("image")[:].tolist()

    def sources(self) -> list[str]:
        """Return the sources of all images, finished or not, each once."""
        return list(dict.fromkeys(self.source_of(np.arange(self._count))))

    def counts(self) -> xr.DataArray:
        """Return how many finished images of each source a batch has, (batch, of_source)."""
        rows = np.flatnonzero(self.done())
        own, names = np.array(self.source_of(rows), object), self.sources()
        batches = range(int(self._batch(np.array([self._count - 1]))[0]) + 1)
        counted = [[((self._batch(rows) == b) & (own == n)).sum() for n in names] for b in batches]
        return xr.DataArray(counted, dims=("batch", "of_source"), coords={"of_source": names})

    def source_of(self, rows: np.ndarray) -> list[str]:
        """Return the sources of some images."""
        return self._array("source")[:][rows].tolist()

    def allocated(self) -> set[str]:
        """Return the names of the variables that have room; none before the first have."""
        return {*self.variables()} if self._is_allocated else set()

    def variables(self) -> list[str]:
        """Return the names of all variables."""
        names = sorted(self._manifest.names() - {DONE})
        return [name for name in names if is_variable(self._array(name))]

    def labels(self) -> list[str]:
        """Return the names of all labels of axes."""
        return sorted(self._manifest.names() - {DONE, *self.variables()})

    def count_files(self) -> int:
        """Return how many files there are, chunks and metadata."""
        return self._manifest.count_files()

    def rows(self, rows: np.ndarray, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Read some images' values of variables with a row per image, finished or not."""
        return {name: self._array(name).oindex[rows] for name in names}

    def read(self, names: Sequence[str]) -> xr.Dataset:
        """Read variables of all finished images.

        Parameters
        ----------
        names : sequence of str

        Returns
        -------
        Dataset
            With all coordinates, in memory.

        Raises
        ------
        DamagedArrays
            If any of it is missing or not as it was written.
        """
        watched = Watched(self._store)
        try:
            rows = np.flatnonzero(self.done())
            with xr.open_zarr(watched, consolidated=False, chunks=None, zarr_format=3) as dataset:
                dataset = dataset[list(names)].isel(image=rows, missing_dims="ignore")
                dataset = dataset.load().drop_attrs()
        except (ValueError, KeyError) as error:  # whatever a decoder makes of damaged bytes
            raise DamagedArrays(self.place) from error
        if watched.missing:
            raise DamagedArrays(self.place)
        as_text = {
            name: axis.astype(object)
            for name, axis in dataset.coords.items()
            if axis.dtype.kind not in "iu"
        }
        return dataset.assign_coords(as_text)

    def damage(self, names: Iterable[str] | None = None) -> list[Damage]:
        """Look for damage in metadata and, where these are sound, in chunks."""
        broken = self._manifest.damaged()
        sound = {n for n in self._manifest.names() if f"{n}/{manifest.KEY}" not in broken}
        checked = sound if names is None else sound & {*names}
        found = [Damage(key, NOBODY) for key in broken]
        if DONE in sound:
            always = list(damaged_chunks(self._store, DONE, lambda rows: True))
            done = self._done_beside(always)
            found += always
            for name in sorted(checked - {DONE}):
                needed = lambda rows: done[rows].any()  # noqa: E731
                found += damaged_chunks(self._store, name, needed, self._images_of)
        return found

    def mend(self, found: Iterable[Damage]) -> None:
        """Restore metadata and labels, and let images whose values are spoiled count as not done.

        Parameters
        ----------
        found : iterable of Damage
            As `damage` returns it.
        """
        for damage in found:
            name = damage.file.partition("/")[0]
            if damage.file == manifest.KEY:
                self._seal()
            elif damage.file.endswith(manifest.KEY):
                self._manifest.restore(damage.file)
            elif not len(damage.rows):
                self._array(name)[:] = _labels(self._known_labels(name))
            else:
                self._forget(name, damage)

    def _forget(self, name: str, damage: Damage) -> None:
        if name != DONE:  # first, so that no image counts as done whose values are gone
            self._array(DONE).oindex[damage.rows] = False
        sync(self._store.delete(damage.file))
        if name == DONE:
            self._array(DONE).oindex[damage.rows] = False

    def _done_beside(self, damaged: Sequence[Damage]) -> np.ndarray:
        array = self._array(DONE)
        rows = np.arange(array.shape[0])
        done = np.zeros(len(rows), bool)
        sound = np.setdiff1d(rows, np.concatenate([NOBODY, *(each.rows for each in damaged)]))
        done[sound] = array.oindex[sound]
        return done

    def _known_labels(self, name: str) -> Sequence:
        if name in self._coordinates:
            return self._coordinates[name][1]
        return self._manifest.read()["labels"][name]

    @property
    def _is_allocated(self) -> bool:
        there = self._manifest.read()
        if there is None:
            raise DamagedArrays(self.place)
        return f"{DONE}/{manifest.KEY}" in there["metadata"]

    @property
    def _count(self) -> int:
        return self._array("image").shape[0]

    @cached_property
    def _variables(self) -> dict[str, zarr.Array]:
        return {name: self._array(name) for name in self._manifest.names()}

    def _array(self, name: str) -> zarr.Array:
        return zarr.open_array(self._store, path=name, mode="r+", zarr_format=3)

    def _create(self) -> None:
        zarr.create_group(self._store, overwrite=True)
        for name, (axis, labels) in self._coordinates.items():
            self._make_labels(name, axis, labels)
        # Written last: without it, nothing is there, and a process that was killed starts again.
        self._seal()

    def _seal(self) -> None:
        there = self._manifest.read() or self._entries()
        # A disk lists names in an order of its own; the file is the same on every one.
        known = {name: self._array(name) for name in sorted(self._manifest.stored())}
        there["labels"] = {
            name: array[:].tolist()
            for name, array in known.items()
            if not is_variable(array) and array.metadata.dimension_names != ("image",)
        }
        self._manifest.write(there)

    def _entries(self) -> dict[str, object]:
        """Return what a group's metadata say beside those of its arrays."""
        # xarray finds labels that have another name than their axis by "coordinates".
        apart = [name for name, (axis, _) in self._coordinates.items() if name != axis]
        return {"identity": json.dumps(self._identity), "coordinates": " ".join(apart)}

    def _make_labels(self, name: str, axis: str, labels: Sequence) -> None:
        labels = _labels(labels)
        self._store_array(name, (axis,), data=labels, chunks=labels.shape)

    def _make(self, variable: Variable, chunk: int) -> zarr.Array:
        rows = self._count
        if variable.per == "batch":
            rows, chunk = -(-rows // chunk), 1
        return self._store_array(
            variable.name,
            (variable.per, *variable.axes),
            shape=(rows, *variable.lengths),
            chunks=(chunk, *variable.lengths),
            dtype=variable.dtype,
            fill_value=np.nan if np.dtype(variable.dtype).kind == "f" else 0,
        )

    def _store_array(self, name: str, axes: Sequence[str], **options: object) -> zarr.Array:
        return zarr.create_array(
            self._store,
            name=name,
            dimension_names=axes,
            compressors=CHECKED,
            attributes=manifest.mark(self._identity or self._manifest.identity()),
            overwrite=True,  # left by a process that was killed meanwhile
            **options,
        )


def differences(there: Mapping, here: Mapping) -> str:
    """Say in which entries two identities differ, such as ``seed 0 there, 1 here``."""
    names = [name for name in here if there.get(name) != here[name]]
    return "; ".join(f"{name} {there.get(name)!r} there, {here[name]!r} here" for name in names)


def _open(place: str) -> Store:
    url = urlsplit(place)
    if "://" not in place:
        return LocalStore(place)
    if url.scheme == "file":  # whose chunks LocalStore, unlike fsspec, writes whole or not at all
        return LocalStore(unquote(url.path))
    return open_remote(place, url.scheme)


def _labels(labels: Sequence) -> np.ndarray:
    labels = np.asarray(labels)
    return labels if labels.dtype.kind in "iu" else labels.astype(np.dtypes.StringDType())
