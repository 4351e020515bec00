"""Results of passes that a notebook makes beside the run's own, kept with the run.

Activation patching, a logit lens or an ordinary difference need forward passes that no array has.
Each is kept as one file, so that a notebook that is opened again, on any machine, reads it.
"""

import hashlib
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile, ZipInfo

import xarray as xr
from zarr.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from helpers.runs.paths import RECORD
from helpers.runs.record import Record
from helpers.runs.storage.checksums import ROOM, read_sealed, write_sealed
from helpers.runs.storage.locks import ProcessLock

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
    record = Record(run.folder / RECORD)
    with ProcessLock(path.with_suffix(".lock")):
        if (result := read(path)) is None:
            if path.exists() or path.name in record.read().get("derived", []):
                run.report_damage(f"{path} is damaged or missing; it is computed again.")
            write(path, compute())
            result = read(path)
        record.add_derived(path.name)
    return result


def read(path: Path) -> xr.Dataset | None:
    """Read a dataset of one file; None where it is missing, or any byte has changed."""
    data = read_sealed(path)
    if data is None:
        return None
    stored = default_buffer_prototype().buffer.from_bytes
    with ZipFile(BytesIO(data)) as packed:
        files = {name: stored(packed.read(name)) for name in packed.namelist()}
    dataset = xr.open_zarr(MemoryStore(files), consolidated=False, chunks=None).load()
    # A store lists its arrays in an order that differs from process to process.
    return _with_texts(dataset[sorted(dataset.data_vars)])


def write(path: Path, dataset: xr.Dataset) -> None:
    """Write a dataset as one file: the same bytes for the same values, whole or not at all."""
    files: dict = {}
    _with_texts(dataset).to_zarr(MemoryStore(files), consolidated=False)
    data = BytesIO()
    with ZipFile(data, "w") as packed:
        packed.comment = ROOM.encode()
        for name in sorted(files):
            packed.writestr(ZipInfo(name), files[name].to_bytes())
    write_sealed(path, data.getvalue())


def _with_texts(dataset: xr.Dataset) -> xr.Dataset:
    # Zarr's own specification has no text of a fixed length.
    fixed = {name: axis for name, axis in dataset.coords.items() if axis.dtype.kind in "TU"}
    return dataset.assign_coords({name: axis.astype(object) for name, axis in fixed.items()})
