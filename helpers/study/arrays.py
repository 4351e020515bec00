"""The arrays of a run: one Zarr dataset with named axes, filled chunk by chunk.

An image counts as done only when all of its values are written, and no chunk has two writers. A
process killed at any moment therefore loses at most the batch that it was working on.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote, urlsplit

import numpy as np
import xarray as xr
import zarr
from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore

from helpers.checks import WorkbookError

DONE = "done"


@dataclass(frozen=True)
class Variable:
    """A float array with one row per image.

    Attributes
    ----------
    name : str
    axes : dict of str to (int or sequence)
        Names of the axes after ``image``, with their lengths or, where they have any, labels.
    dtype : str
    """

    name: str
    axes: Mapping[str, int | Sequence]
    dtype: str = "float32"

    @property
    def lengths(self) -> tuple[int, ...]:
        """Lengths of the axes after ``image``."""
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
            If the place holds arrays of another identity.
        """
        there = self._identity()
        if there is None:
            _create(self._store, identity, coordinates)
        elif there != identity:
            raise WorkbookError(
                f"{self.place.rpartition('/')[0]} holds the arrays of other parameters"
                f" ({differences(there, identity)}); choose another folder with --out, or remove"
                " that one."
            )

    @staticmethod
    def identity_of(place: str) -> dict | None:
        """Return the identity of the arrays at a place; None where there are none."""
        return Arrays(place)._identity()

    def allocate(self, variables: Sequence[Variable], rows: int) -> None:
        """Make room for variables, unless it is there already.

        Parameters
        ----------
        variables : sequence of Variable
        rows : int
            Images per chunk.
        """
        if DONE in self._group:
            return
        chunk = min(rows, self._count)
        for variable in variables:
            _label_axes(self._group, variable)
            self._make(variable, chunk, float("nan"))
        # Made last: its presence says that all others are there.
        self._make(Variable(DONE, {}, "bool"), chunk, False)

    def batches(self, rows: np.ndarray) -> list[np.ndarray]:
        """Group images by the chunk that holds them, which is what one worker may write.

        Parameters
        ----------
        rows : ndarray of int
            Positions of images, ascending.

        Returns
        -------
        list of ndarray of int
        """
        chunks = rows // self._group[DONE].chunks[0]
        return np.split(rows, np.flatnonzero(np.diff(chunks)) + 1) if len(rows) else []

    def done(self) -> np.ndarray:
        """Return which images are finished, booleans of length images."""
        group = self._group
        return group[DONE][:] if DONE in group else np.zeros(self._count, bool)

    def write(self, rows: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
        """Write some images' rows of all variables, then mark these images as done.

        Parameters
        ----------
        rows : ndarray of int
            Positions of images of one chunk.
        values : dict of str to ndarray
            Variable → values, first axis as long as `rows`.
        """
        for name, value in (*values.items(), (DONE, np.ones(len(rows), bool))):
            self._variables[name].oindex[rows] = value

    def read(self, names: Sequence[str]) -> xr.Dataset:
        """Read variables of all finished images.

        Parameters
        ----------
        names : sequence of str

        Returns
        -------
        Dataset
            With all coordinates, in memory.
        """
        rows = np.flatnonzero(self.done())
        with xr.open_zarr(self._store, consolidated=False, chunks=None) as dataset:
            dataset = dataset[list(names)].isel(image=rows).load()
        as_text = {
            name: axis.astype(object)
            for name, axis in dataset.coords.items()
            if axis.dtype.kind not in "iu"
        }
        return dataset.assign_coords(as_text)

    def _identity(self) -> dict | None:
        try:
            text = zarr.open_group(self._store, mode="r").attrs.get("identity")
        except FileNotFoundError:
            return None
        return None if text is None else json.loads(text)

    @property
    def _group(self) -> zarr.Group:
        return zarr.open_group(self._store, mode="r+")

    @property
    def _count(self) -> int:
        return self._group["image"].shape[0]

    @cached_property
    def _variables(self) -> dict[str, zarr.Array]:
        return dict(self._group.arrays())

    def _make(self, variable: Variable, chunk: int, missing: object) -> None:
        self._group.create_array(
            variable.name,
            shape=(self._count, *variable.lengths),
            chunks=(chunk, *variable.lengths),
            dtype=variable.dtype,
            fill_value=missing,
            dimension_names=("image", *variable.axes),
            overwrite=True,  # left by a process that was killed while allocating
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
    try:
        return FsspecStore.from_url(place)
    except (ImportError, ValueError, OSError) as error:
        raise WorkbookError(f"The arrays can't be kept at {place}: {error}.") from error


def _label_axes(group: zarr.Group, variable: Variable) -> None:
    for name, axis in variable.axes.items():
        if not isinstance(axis, int):
            labels = _labels(axis)
            labels = labels if labels.dtype != object else labels.astype(np.dtypes.StringDType())
            group.create_array(name, data=labels, dimension_names=(name,), overwrite=True)


def _labels(labels: Sequence) -> np.ndarray:
    labels = np.asarray(labels)
    return labels if labels.dtype.kind in "iu" else labels.astype(object)


def _create(store: Store, identity: Mapping, coordinates: Mapping) -> None:
    coords = {name: (axis, _labels(labels)) for name, (axis, labels) in coordinates.items()}
    xr.Dataset(coords=coords).to_zarr(store, mode="w", consolidated=False)
    # Written last: without it, nothing is there, and a process that was killed starts again.
    zarr.open_group(store, mode="r+").attrs["identity"] = json.dumps(identity)
