"""Results of passes that a notebook makes beside the run's own, kept with the run.

Activation patching, a logit lens or an ordinary difference need forward passes that no array has.
Each is kept as one file, so that a notebook that is opened again, on any machine, reads it.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile, ZipFile, ZipInfo

import xarray as xr
from zarr.storage import MemoryStore, ZipStore

from helpers.runs.storage.files import replaced
from helpers.runs.storage.locks import ToldLock

if TYPE_CHECKING:
    from helpers.runs.run import Run

FOLDER = "derived"


def derived(
    run: "Run", name: str, compute: Callable[[], xr.Dataset], **depends_on: object
) -> xr.Dataset:
    """Read a result that is kept with a run, or else compute and keep it."""
    key = json.dumps([run.identity, depends_on], sort_keys=True)
    digest = hashlib.sha256(key.encode()).hexdigest()[:8]
    path = run.folder / FOLDER / f"{name}-{digest}.zarr.zip"
    path.parent.mkdir(exist_ok=True)
    with ToldLock(path.with_suffix(".lock")):
        if path.exists():
            try:
                return read(path)
            except BadZipFile:
                run.tell(f"{path} is damaged or unfinished; it is computed again.")
        write(path, compute())
        return read(path)


def read(path: Path) -> xr.Dataset:
    """Read a dataset of one file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Dataset
        In memory; labels are texts of Python.

    Raises
    ------
    zipfile.BadZipFile
        If any byte has changed, or is missing.
    """
    with ZipFile(path) as packed:
        if packed.testzip() is not None:
            raise BadZipFile(f"{path} is damaged")
    with ZipStore(path, mode="r") as store:
        dataset = xr.open_zarr(store, consolidated=False, chunks=None).load()
    # A store lists its arrays in an order that differs from process to process.
    return _with_texts(dataset[sorted(dataset.data_vars)])


def write(path: Path, dataset: xr.Dataset) -> None:
    """Write a dataset as one file: the same bytes for the same values, whole or not at all."""
    files: dict = {}
    _with_texts(dataset).to_zarr(MemoryStore(files), consolidated=False)
    with replaced(path) as partial, ZipFile(partial, "w") as packed:
        for name in sorted(files):
            packed.writestr(ZipInfo(name), files[name].to_bytes())


def _with_texts(dataset: xr.Dataset) -> xr.Dataset:
    # Zarr's own specification has no text of a fixed length.
    fixed = {name: axis for name, axis in dataset.coords.items() if axis.dtype.kind in "TU"}
    return dataset.assign_coords({name: axis.astype(object) for name, axis in fixed.items()})
