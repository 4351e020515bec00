"""Making the arrays of a run: its identity and labels first, then room for variables."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from helpers.checks import WorkbookError
from helpers.runs.storage import manifest
from helpers.runs.storage.arrays import DONE, Arrays, is_variable

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
        if known.read() is None:
            owner = known.owner(DONE)
            if owner is None:
                self._make_all_labels()
            elif owner != manifest.mark(self._identity)["of"]:
                self._refuse("which ones can't be told any more, as its zarr.json is damaged")

    def seal(self) -> None:
        """Seal the metadata of all arrays that are there."""
        # xarray finds labels that have another name than their axis by "coordinates".
        apart = [name for name, (axis, _) in self._coordinates.items() if name != axis]
        entries = {"identity": json.dumps(self._identity), "coordinates": " ".join(apart)}
        _seal(self.arrays, self.arrays.manifest.read() or entries)

    def restore_labels(self, name: str) -> None:
        """Write the labels of an axis again."""
        if name in self._coordinates:
            labels = self._coordinates[name][1]
        else:
            labels = self.arrays.manifest.read()["labels"][name]
        self.arrays.array(name)[:] = _as_array(labels)

    def _make_all_labels(self) -> None:
        zarr.create_group(self.arrays.store, overwrite=True)
        for name, (axis, labels) in self._coordinates.items():
            _make_labels(self.arrays, self._identity, name, axis, labels)
        # Written last: without it, nothing is there, and a process that was killed starts again.
        self.seal()

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
    identity = arrays.manifest.identity()
    chunk = arrays.batch_size if there else min(rows, arrays.count)
    _make(arrays, identity, Variable(DONE, {}, "bool"), chunk)[:] = False
    for variable in new:
        for name, axis in variable.axes.items():
            if not isinstance(axis, int):
                _make_labels(arrays, identity, name, name, axis)
        _make(arrays, identity, variable, chunk)
    # Written last: it says that all others are there.
    _seal(arrays, arrays.manifest.read())


def _seal(arrays: Arrays, entries: dict[str, object]) -> None:
    # A disk lists names in an order of its own; the file is the same on every one.
    known = {name: arrays.array(name) for name in sorted(arrays.manifest.stored())}
    labels = {
        name: array[:].tolist()
        for name, array in known.items()
        if not is_variable(array) and array.metadata.dimension_names != ("image",)
    }
    arrays.manifest.write({**entries, "labels": labels})


def _make_labels(
    arrays: Arrays, identity: Mapping, name: str, axis: str, labels: Sequence
) -> zarr.Array:
    labels = _as_array(labels)
    return _store(arrays, identity, name, (axis,), data=labels, chunks=labels.shape)


def _make(arrays: Arrays, identity: Mapping, variable: Variable, chunk: int) -> zarr.Array:
    rows = arrays.count
    if variable.per == "batch":
        rows, chunk = -(-rows // chunk), 1
    return _store(
        arrays,
        identity,
        variable.name,
        (variable.per, *variable.axes),
        shape=(rows, *variable.lengths),
        chunks=(chunk, *variable.lengths),
        dtype=variable.dtype,
        fill_value=np.nan if np.dtype(variable.dtype).kind == "f" else 0,
    )


def _store(
    arrays: Arrays, identity: Mapping, name: str, axes: Sequence[str], **options: object
) -> zarr.Array:
    return zarr.create_array(
        arrays.store,
        name=name,
        dimension_names=axes,
        compressors=CHECKED,
        attributes=manifest.mark(identity),
        overwrite=True,  # left by a process that was killed meanwhile
        **options,
    )


def differences(there: Mapping, here: Mapping) -> str:
    """Say in which entries two identities differ, such as ``seed 0 there, 1 here``."""
    names = [name for name in here if there.get(name) != here[name]]
    return "; ".join(f"{name} {there.get(name)!r} there, {here[name]!r} here" for name in names)


def _as_array(labels: Sequence) -> np.ndarray:
    labels = np.asarray(labels)
    return labels if labels.dtype.kind in "iu" else labels.astype(np.dtypes.StringDType())
