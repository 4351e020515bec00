"""The arrays behind the committed notebooks: every machine tests notebooks over the same bits.

`python -m tests.reference make` computes them anew, by a run of the default profile, says what
changed, and packs what notebooks read. `python -m tests.reference execute` executes the committed
notebooks over them, in place.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import nbformat
import numpy as np
import xarray as xr
from nbclient import NotebookClient

from helpers.runs import jupyter_kernels
from helpers.runs.derived import cache as derived
from helpers.runs.parameters import DEFAULT_PROFILE, NOTEBOOKS, ROOT
from helpers.runs.paths import ARRAYS, RECORD
from helpers.runs.record import read_undamaged
from helpers.runs.storage.arrays import Arrays
from helpers.runs.storage.checksums import BLANK, sealed
from helpers.runs.storage.drawn import FOLDER

PACKED = ROOT / "tests" / "reference.zip"
OF_THIS_RUN = ("made_in", "timings", "progress", "code")
"""Entries of ``run.json`` that are another's on every machine."""
ATTACKED = ("brick", "rocket", "scene-20260-2", "scene-20260-97")
"""Images whose adversarial views 15 shows; of the others it reads arrays alone."""
LARGEST = 1e-6
"""Part of a variable's largest value below which a change isn't worth a line."""


def unpack(outputs):
    """Write the reference run below a folder of outputs, and return its own folder."""
    with ZipFile(PACKED) as packed:
        packed.extractall(outputs)
    return Path(outputs) / DEFAULT_PROFILE


def pack(run):
    """Pack what notebooks read of a finished run: the same bytes for the same run."""
    arrays = (path for path in run.rglob("*") if ".zarr" in str(path.relative_to(run)))
    views = (path for image in ATTACKED for path in run.glob(f"attacks/{FOLDER}/*-{image}-*.npz"))
    files = sorted({*arrays, *views, *run.rglob(RECORD)})
    kept = [path for path in files if path.is_file() and path.suffix not in (".lock", ".holder")]
    with ZipFile(PACKED, "w", ZIP_DEFLATED, compresslevel=9) as packed:
        for path in kept:
            data = _record(path) if path.name == RECORD else path.read_bytes()
            place = ZipInfo(path.relative_to(run.parent).as_posix())
            packed.writestr(place, data, ZIP_DEFLATED)


def _record(path):
    entries = {k: v for k, v in read_undamaged(path).items() if k not in OF_THIS_RUN}
    text = json.dumps({"checksum": BLANK} | entries, indent=2, ensure_ascii=False)
    return sealed(text + "\n")


def datasets(run):
    """Yield every dataset of a run: name and values."""
    for place in sorted(run.rglob(ARRAYS)):
        arrays = Arrays(str(place))
        yield place.relative_to(run).as_posix(), arrays.read(arrays.variables())
    for path in sorted(run.glob(f"**/{derived.FOLDER}/*.zip")):
        yield path.relative_to(run).as_posix(), derived.read(path)


def changes(before, after):
    """Say how two runs differ, variable by variable."""
    old, new = dict(datasets(before)), dict(datasets(after))
    for name in sorted(old.keys() ^ new.keys()):
        yield f"{name}: {'new' if name in new else 'gone'}"
    for name in sorted(old.keys() & new.keys()):
        for variable in sorted({*old[name], *new[name]}):
            if line := _change(old[name].get(variable), new[name].get(variable)):
                yield f"{name}: {variable} {line}"


def _change(old, new):
    if old is None or new is None:
        return "is new" if old is None else "is gone"
    if old.shape != new.shape:
        return f"had the shape {old.shape} and has {new.shape}"
    if old.dtype.kind not in "fiu":
        return "" if xr.Variable.equals(old.variable, new.variable) else "has other labels"
    largest = float(np.nanmax(np.abs(old.values.astype(float)), initial=0))
    moved = float(np.nanmax(np.abs(new.values.astype(float) - old.values), initial=0))
    return f"moved by {moved:.2g} of {largest:.2g}" if moved > LARGEST * largest else ""


def make():
    """Compute the reference anew, say what changed, and pack it."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = {"WORKBOOK_OUTPUTS": folder}
        command = [sys.executable, "-m", "helpers.runs.cli", "run"]
        subprocess.run(command, env=os.environ | outputs, check=True)
        run = Path(folder) / DEFAULT_PROFILE
        if PACKED.exists():
            before = unpack(Path(folder) / "before")
            print("\n".join(changes(before, run)) or "Nothing changed.")
        pack(run)
    print(f"{PACKED}: {PACKED.stat().st_size / 2**20:.1f} MB; now execute the notebooks over it")


def execute(*names):
    """Execute notebooks over the reference, in place; by default all."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder)
        for path in sorted(NOTEBOOKS.glob("*.ipynb")):
            if not names or path.name[:2] in names:
                print(path.name, flush=True)
                _execute(path)


def _execute(path):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        record_timing=False,
        store_widget_state=False,  # which is of this machine
        timeout=None,
    ).execute()
    nbformat.write(notebook, path)


def prepare(outputs):
    """Let kernels that are started from here read the reference, and make no forward pass."""
    unpack(outputs)
    os.environ["WORKBOOK_OUTPUTS"] = str(outputs)
    jupyter_kernels.IMPORTED = (*jupyter_kernels.IMPORTED, "tests.no_model")
    jupyter_kernels.allow_forks()


if __name__ == "__main__":
    {"make": make, "execute": execute}[sys.argv[1]](*sys.argv[2:])
