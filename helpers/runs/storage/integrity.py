"""Damage of arrays: found chunk by chunk, reported, and repaired by computing what it spoiled."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import zarr
from zarr.abc.store import Store
from zarr.core.sync import sync

from helpers.runs.storage.arrays import (
    DONE,
    Arrays,
    DamagedArrays,
    Watched,
    is_per_batch,
)
from helpers.runs.storage.layout import Layout
from helpers.runs.storage.manifest import KEY

NOBODY = np.array([], int)
ROUNDS = 3
"""Metadata are repaired before labels and chunks can be looked at, and then looked at again."""


@dataclass(frozen=True)
class Damage:
    """A stored file of arrays that is missing or not as it was written."""

    file: str  # its place below that of the arrays
    # positions of the images whose values it spoils; none for labels and metadata, which are known
    # from elsewhere
    rows: np.ndarray

    def sentence(self, place: str, ids: Sequence[str]) -> str:
        """Say what is damaged, and what is done about it."""
        what = f"{place}/{self.file} is damaged or missing"
        if not len(self.rows):
            return f"{what}; it is written again."
        first, last = self.rows[[0, -1]]
        images = f"images {first} to {last}, {ids[first]!r} to {ids[last]!r}"
        return f"{what} ({images}); these images are computed again."


def find_damage(arrays: Arrays, names: Iterable[str] | None = None) -> list[Damage]:
    """Look for damage in metadata and, where these are sound, in chunks of arrays: all or some."""
    broken = arrays.manifest.damaged()
    sound = {name for name in arrays.manifest.names() if f"{name}/{KEY}" not in broken}
    checked = sound if names is None else sound & {*names}
    damages = [Damage(key, NOBODY) for key in broken]
    if DONE in sound:
        always = list(_damaged_chunks(arrays, DONE, lambda rows: True))
        done = _done_beside(arrays, always)
        damages += always
        for name in sorted(checked - {DONE}):
            damages += _damaged_chunks(arrays, name, lambda rows: done[rows].any())
    return damages


def repair(
    layout: Layout, report: Callable[[Damage], None], names: Sequence[str] | None = None
) -> None:
    """Report damage, restore metadata and labels, and let spoiled images count as not done.

    All metadata are looked at, and the arrays of some names, or all. `DamagedArrays` is raised if
    they are damaged again at once.
    """
    for _ in range(ROUNDS):
        damages = find_damage(layout.arrays, names)
        for damage in damages:
            report(damage)
        if not damages:
            return
        for damage in damages:
            _repair(layout, damage)
    raise DamagedArrays(layout.arrays.place)


def _repair(layout: Layout, damage: Damage) -> None:
    name = damage.file.partition("/")[0]
    if damage.file == KEY:
        layout.restore()
    elif damage.file.endswith(KEY):
        layout.arrays.manifest.restore(damage.file)
    elif not len(damage.rows):
        layout.restore_labels(name)
    else:
        _forget(layout.arrays, name, damage)


def _forget(arrays: Arrays, name: str, damage: Damage) -> None:
    if name != DONE:  # first, so that no image counts as done whose values are gone
        arrays.array(DONE).oindex[damage.rows] = False
    sync(arrays.store.delete(damage.file))
    if name == DONE:
        arrays.array(DONE).oindex[damage.rows] = False


def _done_beside(arrays: Arrays, damaged: Sequence[Damage]) -> np.ndarray:
    array = arrays.array(DONE)
    rows = np.arange(array.shape[0])
    done = np.zeros(len(rows), bool)
    sound = np.setdiff1d(rows, np.concatenate([NOBODY, *(each.rows for each in damaged)]))
    done[sound] = array.oindex[sound]
    return done


def _damaged_chunks(arrays: Arrays, name: str, are_needed: Callable) -> Iterator[Damage]:
    """Read every chunk of an array, and name those that can't be."""
    array = zarr.open_array(arrays.store, path=name, mode="r", zarr_format=3)
    counted, of_batches = name == DONE or array.ndim > 1, is_per_batch(array)
    for number in range(array.cdata_shape[0]):
        start = number * array.chunks[0]
        rows = np.arange(start, min(start + array.chunks[0], array.shape[0]))
        images = arrays.images_of(number) if of_batches else rows
        if not _is_intact(arrays.store, name, rows, counted and not are_needed(images)):
            key = array.metadata.encode_chunk_key((number, *(0 for _ in array.shape[1:])))
            yield Damage(f"{name}/{key}", images if counted else NOBODY)


def _is_intact(store: Store, name: str, rows: np.ndarray, may_be_missing: bool) -> bool:
    watched = Watched(store)
    try:
        zarr.open_array(watched, path=name, mode="r", zarr_format=3)[rows[0] : rows[-1] + 1]
    except ValueError:  # whatever a decoder makes of damaged bytes
        return False
    return may_be_missing or not watched.missing
