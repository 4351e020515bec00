"""Damage of stored files: found chunk by chunk, told, and mended by computing what it spoiled."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import zarr
from zarr.abc.store import Store
from zarr.storage import WrapperStore

from helpers.checks import WorkbookError

if TYPE_CHECKING:
    from helpers.runs.storage.arrays import Arrays

NOBODY = np.array([], int)
ROUNDS = 3
"""Metadata are mended before labels and chunks can be looked at, and then looked at again."""


@dataclass(frozen=True)
class Damage:
    """A stored file of arrays that is missing or not as it was written."""

    file: str  # its place below that of the arrays
    # positions of the images whose values it spoils; none for labels and metadata, which are known
    # from elsewhere
    rows: np.ndarray

    def sentence(self, place: str, ids: Sequence[str]) -> str:
        """Say what is damaged, and what is done about it."""
        told = f"{place}/{self.file} is damaged or missing"
        if not len(self.rows):
            return f"{told}; it is written again."
        first, last = self.rows[[0, -1]]
        images = f"images {first} to {last}, {ids[first]!r} to {ids[last]!r}"
        return f"{told} ({images}); these images are computed again."


class DamagedArrays(WorkbookError):
    """Values that were asked for are damaged."""

    def __init__(self, place: str):
        super().__init__(
            f"Arrays in {place} are damaged; see `workbook verify`. If they are so again after they"
            " were computed again, check the disk and the memory of this machine."
        )


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
        found = await super().get(key, prototype, byte_range)
        if found is None and "/c/" in key:
            self.missing.add(key)
        return found


def damaged_chunks(
    store: Store, name: str, needed: Callable, images_of: Callable | None = None
) -> Iterator[Damage]:
    """Read every chunk of an array, and name those that can't be."""
    array = zarr.open_array(store, path=name, mode="r", zarr_format=3)
    counted, of_batches = is_variable(array), per_batch(array)
    for number in range(array.cdata_shape[0]):
        start = number * array.chunks[0]
        rows = np.arange(start, min(start + array.chunks[0], array.shape[0]))
        images = images_of(number) if of_batches else rows
        if not _is_intact(store, name, rows, counted and not needed(images)):
            key = array.metadata.encode_chunk_key((number, *(0 for _ in array.shape[1:])))
            yield Damage(f"{name}/{key}", images if counted else NOBODY)


def is_variable(array: zarr.Array) -> bool:
    """Tell a variable, with a row per image or batch, from labels."""
    of_images = array.metadata.dimension_names[0] == "image"
    return per_batch(array) or (array.dtype.kind in "fub" and of_images)


def per_batch(array: zarr.Array) -> bool:
    """Tell a variable that has a row per batch of images."""
    return array.metadata.dimension_names[0] == "batch"


def mend(arrays: "Arrays", tell: Callable[[Damage], None], names: Sequence[str] | None = None):
    """Tell damage of arrays, restore metadata and labels, and let spoiled images count as not done.

    Parameters
    ----------
    arrays : Arrays
    tell : callable
    names : sequence of str, optional
        The arrays to look at, beside all metadata; by default all.

    Raises
    ------
    DamagedArrays
        If they are damaged again at once.
    """
    for _ in range(ROUNDS):
        found = arrays.damage(names)
        for damage in found:
            tell(damage)
        if not found:
            return
        arrays.mend(found)
    raise DamagedArrays(arrays.place)


def _is_intact(store: Store, name: str, rows: np.ndarray, may_be_missing: bool) -> bool:
    watched = Watched(store)
    try:
        zarr.open_array(watched, path=name, mode="r", zarr_format=3)[rows[0] : rows[-1] + 1]
    except ValueError:  # whatever a decoder makes of damaged bytes
        return False
    return may_be_missing or not watched.missing
