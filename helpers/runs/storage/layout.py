"""Making the arrays of a run: its identity and labels first, then room for variables."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.storage import MemoryStore

from helpers.checks import WorkbookError
from helpers.runs.storage import manifest
from helpers.runs.storage.arrays import DONE, Arrays, DamagedArrays

CHECKED = (ZstdCodec(), Crc32cCodec())


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


class Layout:
    """What a run's arrays are made with, and restored from: identity, and name → (axis, labels)."""

    def __init__(
        self,
        arrays: Arrays,
        identity: Mapping,
        coordinates: Mapping[str, tuple[str, Sequence[str]]],
    ):
        self.arrays = arrays
        self._identity, self._coordinates = identity, coordinates

    def create(self) -> None:
        """Write identity and labels, unless they are there; refuse arrays of another identity."""
        known = self.arrays.manifest
        there = known.identity()
        if there not in (None, self._identity):
            self._refuse(differences(there, self._identity))
        if known.read() is not None:
            return
        if known.folders() <= self._coordinates.keys():  # labels at most, as a killed process left
            self._begin()
            return
        owners = known.owners()
        if not owners:
            raise WorkbookError(
                f"{self.arrays.place} holds files that are no arrays of a run, or of which all"
                " zarr.json are damaged or missing; choose another folder with --out, or remove it."
            )
        if owners != {manifest.mark(self._identity)["of"]}:
            self._refuse("which ones can't be told any more, as its zarr.json is damaged")
        # What is lost of its own `helpers.runs.storage.integrity.repair` writes again.

    def restore(self) -> None:
        """Write the group's own file again; make all anew where more than that is lost."""
        known = self.arrays.manifest
        try:
            if known.folders() != known.names():
                raise DamagedArrays(self.arrays.place)
            self._write(_Draft(self.arrays, self._identity), _labels(self.arrays), known.sound())
        except DamagedArrays:
            self._begin()

    def _begin(self) -> None:
        self.arrays.manifest.clear()
        draft = _Draft(self.arrays, self._identity)
        for name, (axis, labels) in self._coordinates.items():
            draft.add_labels(name, axis, labels)
        self._write(draft, {}, {})

    def _write(self, draft: "_Draft", labels: Mapping, before: Mapping[str, str]) -> None:
        # xarray finds labels that have another name than their axis by "coordinates".
        apart = [name for name, (axis, _) in self._coordinates.items() if name != axis]
        entries = {"identity": json.dumps(self._identity), "coordinates": " ".join(apart)}
        draft.write({**entries, "labels": labels}, before)

    def restore_labels(self, name: str) -> None:
        """Write the labels of an axis again."""
        if name in self._coordinates:
            labels = self._coordinates[name][1]
        else:
            labels = self.arrays.manifest.read()["labels"][name]
        self.arrays.array(name)[:] = _as_array(labels)

    def _refuse(self, why: str) -> None:
        raise WorkbookError(
            f"{self.arrays.place.rpartition('/')[0]} holds the arrays of other parameters ({why});"
            " choose another folder with --out, or remove that one."
        )


def allocate(arrays: Arrays, variables: Sequence[Variable], rows: int) -> None:
    """Make room for variables, unless it is there already, in chunks of so many rows."""
    arrays.look_again()
    there = arrays.allocated()
    new = [variable for variable in variables if variable.name not in there]
    if not new:
        return
    entries = arrays.manifest.read()
    draft = _Draft(arrays, arrays.manifest.identity())
    count = arrays.count
    chunk = arrays.batch_size if there else min(rows, count)
    draft.add(Variable(DONE, {}, "bool"), count, chunk)[:] = False
    for variable in new:
        for name, axis in variable.axes.items():
            if not isinstance(axis, int):
                draft.add_labels(name, name, axis)
        draft.add(variable, count, chunk)
    draft.write(entries, entries["metadata"])


class _Draft:
    """New arrays, made in memory and then written: every file once, and the group's own last.

    That one says that all others are there. A process that was killed before it starts again.
    """

    def __init__(self, arrays: Arrays, identity: Mapping):
        self._arrays, self._mark = arrays, manifest.mark(identity)
        self._store, self._labels = MemoryStore(), {}

    def add_labels(self, name: str, axis: str, labels: Sequence) -> None:
        """Make the labels of an axis."""
        values = _as_array(labels)
        self._make(name, (axis,), data=values, chunks=values.shape)
        if axis != "image":
            self._labels[name] = values.tolist()

    def add(self, variable: Variable, images: int, chunk: int) -> zarr.Array:
        """Make room for a variable of so many images, in chunks of so many."""
        rows = images
        if variable.per == "batch":
            rows, chunk = -(-images // chunk), 1
        return self._make(
            variable.name,
            (variable.per, *variable.axes),
            shape=(rows, *variable.lengths),
            chunks=(chunk, *variable.lengths),
            dtype=variable.dtype,
            fill_value=np.nan if np.dtype(variable.dtype).kind == "f" else 0,
        )

    def write(self, entries: Mapping, before: Mapping[str, str]) -> None:
        """Write all files, and what the group says of them and of those that were there before."""
        metadata = self._arrays.manifest.add(self._store)
        labels = dict(sorted({**entries["labels"], **self._labels}.items()))
        self._arrays.manifest.write({**entries, "labels": labels}, {**before, **metadata})

    def _make(self, name: str, axes: Sequence[str], **options: object) -> zarr.Array:
        return zarr.create_array(
            self._store,
            name=name,
            dimension_names=axes,
            compressors=CHECKED,
            attributes=self._mark,
            **options,
        )


def _labels(arrays: Arrays) -> dict[str, list]:
    axes = arrays.manifest.axes()
    named = [name for name in arrays.labels() if axes[name] != ("image",)]
    return {name: arrays.whole(name).tolist() for name in named}


def differences(there: Mapping, here: Mapping) -> str:
    """Say in which entries two identities differ, such as ``seed 0 there, 1 here``."""
    names = [name for name in here if there.get(name) != here[name]]
    return "; ".join(f"{name} {there.get(name)!r} there, {here[name]!r} here" for name in names)


def _as_array(labels: Sequence) -> np.ndarray:
    labels = np.asarray(labels)
    return labels if labels.dtype.kind in "iu" else labels.astype(np.dtypes.StringDType())
