"""The arrays of a run: one Zarr dataset with named axes, filled batch by batch.

Zarr writes each chunk to a temporary file and renames it, and a batch counts as done only when all
of its chunks are written. A process killed at any moment therefore loses at most the batch that it
was working on.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from helpers.checks import WorkbookError


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
    """One run's Zarr dataset on disk.

    Parameters
    ----------
    path : Path
        The ``.zarr`` folder; created with its coordinates when it is missing.
    identity : dict
        Everything that the arrays' values depend on. Arrays of another identity are refused.
    coordinates : dict of str to (str, sequence of str)
        Name → (axis, labels); the axis ``image`` must be among them.

    Raises
    ------
    WorkbookError
        If the folder holds arrays of another identity, or can't be written.
    """

    def __init__(
        self, path: Path, identity: Mapping, coordinates: Mapping[str, tuple[str, Sequence[str]]]
    ):
        self.path = path
        self._count = len(coordinates["image"][1])
        if not path.exists():
            _create(path, identity, coordinates)
        elif self.identity_of(path) != identity:
            raise WorkbookError(
                f"{path.parent} holds the arrays of other parameters"
                f" ({differences(self.identity_of(path), identity)}); choose another folder with"
                " --out, or remove that one."
            )

    @staticmethod
    def identity_of(path: Path) -> dict | None:
        """Return the identity of the arrays in a ``.zarr`` folder; None where there are none."""
        if not path.exists():
            return None
        return json.loads(zarr.open_group(path, mode="r").attrs["identity"])

    def allocate(self, step: str, variables: Sequence[Variable], batch_size: int) -> None:
        """Make room for a step's variables, unless it is there already.

        Parameters
        ----------
        step : str
            The computation that fills the variables.
        variables : sequence of Variable
        batch_size : int
            Images per chunk on disk.
        """
        group = zarr.open_group(self.path, mode="r+")
        if _done(step) in group:
            return
        rows = min(batch_size, self._count)
        for variable in variables:
            _label_axes(group, variable)
            group.create_array(
                variable.name,
                shape=(self._count, *variable.lengths),
                chunks=(rows, *variable.lengths),
                dtype=variable.dtype,
                fill_value=float("nan"),
                dimension_names=("image", *variable.axes),
                overwrite=True,  # left by a process that was killed while allocating
            )
        group.create_array(
            _done(step),
            shape=(self._count,),
            chunks=(rows,),
            dtype=bool,
            fill_value=False,
            dimension_names=("image",),
        )

    def done(self, step: str) -> np.ndarray:
        """Return which images a step has finished, booleans of length images."""
        group = zarr.open_group(self.path, mode="r")
        name = _done(step)
        return group[name][:] if name in group else np.zeros(self._count, bool)

    def write(self, step: str, rows: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
        """Write some images' rows of a step's variables, then mark these images as done.

        Parameters
        ----------
        step : str
        rows : ndarray of int
            Positions of the images.
        values : dict of str to ndarray
            Variable → values, first axis as long as `rows`.
        """
        group = zarr.open_group(self.path, mode="r+")
        for name, value in values.items():
            group[name].oindex[rows] = value
        group[_done(step)].oindex[rows] = np.ones(len(rows), bool)

    def read(self, step: str, names: Sequence[str], rows: np.ndarray | None = None) -> xr.Dataset:
        """Read a step's variables.

        Parameters
        ----------
        step : str
        names : sequence of str
            Variables of the step.
        rows : ndarray of int, optional
            Positions of the images; by default all that the step has finished.

        Returns
        -------
        Dataset
            With all coordinates, in memory.
        """
        rows = np.flatnonzero(self.done(step)) if rows is None else rows
        with xr.open_zarr(self.path, consolidated=False, chunks=None) as dataset:
            dataset = dataset[list(names)].isel(image=rows).load()
        as_text = {
            name: axis.astype(object)
            for name, axis in dataset.coords.items()
            if axis.dtype.kind not in "iu"
        }
        return dataset.assign_coords(as_text)


def differences(there: Mapping, here: Mapping) -> str:
    """Say in which entries two identities differ, such as ``seed 0 there, 1 here``."""
    names = [name for name in here if there.get(name) != here[name]]
    return "; ".join(f"{name} {there.get(name)!r} there, {here[name]!r} here" for name in names)


def _done(step: str) -> str:
    return f"{step}_done"


def _label_axes(group: zarr.Group, variable: Variable) -> None:
    for name, axis in variable.axes.items():
        if not isinstance(axis, int):
            labels = _labels(axis)
            labels = labels if labels.dtype != object else labels.astype(np.dtypes.StringDType())
            group.create_array(name, data=labels, dimension_names=(name,), overwrite=True)


def _labels(labels: Sequence) -> np.ndarray:
    labels = np.asarray(labels)
    return labels if labels.dtype.kind in "iu" else labels.astype(object)


def _create(path: Path, identity: Mapping, coordinates: Mapping) -> None:
    coords = {name: (axis, _labels(labels)) for name, (axis, labels) in coordinates.items()}
    dataset = xr.Dataset(coords=coords, attrs={"identity": json.dumps(identity)})
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    dataset.to_zarr(partial, mode="w", consolidated=False)
    partial.replace(path)
