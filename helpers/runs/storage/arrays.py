"""The arrays of a run: one Zarr dataset with named axes, filled chunk by chunk.

An image counts as done only when all of its values are written, and no chunk has two writers. A
process killed at any moment therefore loses at most the batch that it was working on. Every chunk
carries a checksum, and one that is missing is damaged, too.
"""

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import unquote, urlsplit

import numpy as np
import xarray as xr
import zarr
from zarr.abc.store import Store
from zarr.core.sync import sync
from zarr.storage import LocalStore, WrapperStore

from helpers.checks import WorkbookError
from helpers.runs.storage import manifest
from helpers.runs.storage.manifest import Manifest
from helpers.runs.storage.remote import Remembered, open_remote

DONE = "done"
# A chunk of nothing but fill values is written, too: one that isn't there was lost.
zarr.config.set({"array.write_empty_chunks": True})


class DamagedArrays(WorkbookError):
    """Values that were asked for are damaged."""

    def __init__(self, place: str):
        super().__init__(
            f"Arrays in {place} are damaged; see `workbook verify`. If they are so again after they"
            " were computed again, check the disk and the memory of this machine."
        )


class Arrays:
    """One run's Zarr dataset, on disk or in an object store, read and written by batches.

    `helpers.runs.storage.layout` makes it, and `helpers.runs.storage.integrity` repairs it.
    """

    def __init__(self, place: str):
        self.place = place
        self.store = _open(place)
        self.manifest = Manifest(self.store)
        self._writable: dict[str, zarr.Array] = {}

    @staticmethod
    def identity_of(place: str) -> dict | None:
        """Return the identity of the arrays at a place; None where there are none."""
        return Manifest(_open(place)).identity()

    @property
    def are_there(self) -> bool:
        """Whether anything is at the place, damaged or not."""
        return bool(self.manifest.names())

    def look_again(self) -> None:
        """Find what another process has written meanwhile, where that isn't read each time."""
        if isinstance(self.store, Remembered):
            sync(self.store.look_again())

    def array(self, name: str) -> zarr.Array:
        """Open a variable or labels."""
        return zarr.open_array(self.store, path=name, mode="r+", zarr_format=3)

    @property
    def count(self) -> int:
        """How many images there are, finished or not."""
        return self.array("image").shape[0]

    @property
    def batch_size(self) -> int:
        """How many images share a chunk."""
        return self.array(DONE).chunks[0]

    def ids(self) -> list[str]:
        """Return the ids of all images, finished or not."""
        return self.array("image")[:].tolist()

    def source_of(self, rows: np.ndarray) -> list[str]:
        """Return the sources of some images."""
        return self.array("source")[:][rows].tolist()

    def sources(self) -> list[str]:
        """Return the sources of all images, finished or not, each once."""
        return list(dict.fromkeys(self.source_of(np.arange(self.count))))

    def variables(self) -> list[str]:
        """Return the names of all variables: they have more axes than that of images or batches."""
        return sorted(name for name, axes in self.manifest.axes().items() if len(axes) > 1)

    def labels(self) -> list[str]:
        """Return the names of all labels of axes."""
        names = self.manifest.axes().items()
        return sorted(name for name, axes in names if len(axes) == 1 and name != DONE)

    def allocated(self) -> set[str]:
        """Return the names of the variables that have room; none before the first have."""
        return {*self.variables()} if self._is_allocated else set()

    def batches(self, rows: np.ndarray) -> list[np.ndarray]:
        """Group images by the chunk that holds them, which is what one worker may write."""
        cuts = np.flatnonzero(np.diff(rows // self.batch_size)) + 1 if len(rows) else []
        return np.split(rows, cuts) if len(rows) else []

    def images_of(self, batch: int) -> np.ndarray:
        """Return the positions of the images of a batch."""
        size = self.batch_size
        return np.arange(batch * size, min((batch + 1) * size, self.count))

    def whole_batches(self, rows: np.ndarray) -> np.ndarray:
        """Add to images those that share a batch with them, if anything is kept of batches.

        What is kept of a batch can't be repaired for one of its images alone.
        """
        if "batch" not in {axes[0] for axes in self.manifest.axes().values()}:
            return rows
        return np.concatenate([self.images_of(n) for n in np.unique(rows // self.batch_size)])

    def done(self) -> np.ndarray:
        """Return which images are finished; raise `DamagedArrays` if that can't be known."""
        if self.manifest.damaged():
            raise DamagedArrays(self.place)
        if not self._is_allocated:
            return np.zeros(self.count, bool)
        return self.whole(DONE)

    def whole(self, name: str) -> np.ndarray:
        """Return all values of a variable or labels; raise `DamagedArrays` if one is lost."""
        watched = Watched(self.store)
        try:
            values = zarr.open_array(watched, path=name, mode="r", zarr_format=3)[:]
        except ValueError as error:
            raise DamagedArrays(self.place) from error
        if watched.missing:
            raise DamagedArrays(self.place)
        return values

    def counts(self) -> xr.DataArray:
        """Return how many finished images of each source a batch has, (batch, of_source)."""
        rows, size = np.flatnonzero(self.done()), self.batch_size
        sources, names = np.array(self.source_of(rows), object), self.sources()
        batches = range(-(-self.count // size))
        counted = [[((rows // size == b) & (sources == n)).sum() for n in names] for b in batches]
        return xr.DataArray(counted, dims=("batch", "of_source"), coords={"of_source": names})

    def write(self, rows: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
        """Write some images' rows of all variables, then mark these images as done.

        They are images of one chunk; of what is kept of a batch, there is one row. Where the rest
        of their chunk is damaged, `DamagedArrays` is raised.
        """
        batch = rows[:1] // self._opened(DONE).chunks[0]
        try:
            for name, value in (*values.items(), (DONE, np.ones(len(rows), bool))):
                array = self._opened(name)
                array.oindex[self._where(batch if is_per_batch(array) else rows)] = value
        except ValueError as error:  # of a damaged chunk that has other images, too
            raise DamagedArrays(self.place) from error

    def _opened(self, name: str) -> zarr.Array:
        if name not in self._writable:
            self._writable[name] = self.array(name)
        return self._writable[name]

    def _where(self, rows: np.ndarray) -> slice | np.ndarray:
        """Return where to write rows: in an object store as a slice, where they are neighbours.

        Zarr reads no chunk that a slice overwrites whole. A disk's is read: damage is noticed.
        """
        if isinstance(self.store, Remembered) and len(rows) and (np.diff(rows) == 1).all():
            return slice(int(rows[0]), int(rows[-1]) + 1)
        return rows

    def rows(self, rows: np.ndarray, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Read some images' values of variables with a row per image, finished or not."""
        return {name: self.array(name).oindex[rows] for name in names}

    def read(self, names: Sequence[str]) -> xr.Dataset:
        """Read variables of finished images, with coordinates; raise `DamagedArrays` at damage."""
        watched = Watched(self.store)
        try:
            rows = np.flatnonzero(self.done())
            how = {"consolidated": False, "chunks": None, "zarr_format": 3}
            with xr.open_zarr(watched, drop_variables=self._beside(names), **how) as dataset:
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

    def _beside(self, names: Sequence[str]) -> set[str]:
        """Return the names of all arrays but some, and the labels of their axes."""
        axes = self.manifest.axes()
        labels = {(axis,) for name in names for axis in axes[name]}
        return {name for name in axes.keys() - {*names} if axes[name] not in labels}

    @property
    def _is_allocated(self) -> bool:
        there = self.manifest.read()
        if there is None:
            raise DamagedArrays(self.place)
        return f"{DONE}/{manifest.KEY}" in there["metadata"]


class Watched(WrapperStore):
    """A store that remembers which chunks were asked for and are not there.

    Zarr takes them for chunks of nothing but fill values.
    """

    def __init__(self, store: Store, missing: set[str] | None = None):
        super().__init__(store)
        self.missing = set() if missing is None else missing

    def _with_store(self, store: Store) -> "Watched":
        return Watched(store, self.missing)

    async def get(self, key, prototype, byte_range=None):
        """Return the bytes of a key, or None and remember it."""
        data = await super().get(key, prototype, byte_range)
        if data is None and "/c/" in key:
            self.missing.add(key)
        return data


def is_per_batch(array: zarr.Array) -> bool:
    """Return whether it is a variable that has a row per batch of images."""
    return array.metadata.dimension_names[0] == "batch"


def _open(place: str) -> Store:
    url = urlsplit(place)
    if "://" not in place:
        return LocalStore(place)
    if url.scheme == "file":  # whose chunks LocalStore, unlike fsspec, writes whole or not at all
        return LocalStore(unquote(url.path))
    return open_remote(place, url.scheme)
