"""Doing a run again from its ``run.json``, and saying what is not as it was."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from helpers.checks import WorkbookError
from helpers.clip import weights
from helpers.runs import paths
from helpers.runs.parameters import Parameters
from helpers.runs.record import Record, circumstances
from helpers.runs.run import Run
from helpers.runs.storage.arrays import Arrays

SHOWN_IMAGES = 5


def recorded(folder: Path) -> dict:
    """Return what the ``run.json`` of a run says."""
    record = Record(folder / paths.RECORD).read()
    if "parameters" not in record or not record.get("computed_with"):
        raise WorkbookError(
            f"{folder} has no run.json that says how to repeat a run; give the folder of a finished"
            " one."
        )
    return record


def again(record: Mapping, folder: Path, out: Path) -> Run:
    """Open the run of the same parameters, as a record has them, in another folder."""
    if out == folder:
        raise WorkbookError(f"{out} is the run itself; choose another folder with --out.")
    return Run(
        Parameters.from_record(record["parameters"]).replace(out=str(out.expanduser().absolute()))
    )


def changed_circumstances(record: Mapping) -> Iterator[str]:
    """Say in which versions, code, machine and weights today differs from a run."""
    now = circumstances()
    for kind, before in record["computed_with"][-1].items():
        yield from _changes(kind, before, now[kind])
    parameters = Parameters.from_record(record["parameters"])
    fingerprint = weights.fingerprint(parameters.model, parameters.pretrained)
    before = {parameters.model: record["identity"]["weights"]}
    yield from _changes("weights", before, {parameters.model: fingerprint})


def changed_results(record: Mapping, folder: Path, run: Run) -> Iterator[str]:
    """Say which images and values are not as they were."""
    before, now = record.get("images", {}), run.record["images"]
    kinds = {
        "have other pixels": [
            image for image in before if now.get(image, before[image]) != before[image]
        ],
        "are new": [image for image in now if image not in before],
        "are gone or unreadable": [image for image in before if image not in now],
    }
    for kind, names in kinds.items():
        if names:
            shown = ", ".join(names[:SHOWN_IMAGES]) + (", …" if names[SHOWN_IMAGES:] else "")
            yield f"images: {len(names)} {kind}: {shown}"
    stores = (
        paths.store(record["parameters"]["out"], folder),
        paths.store(run.parameters.out, run.folder),
    )
    yield from _changed_arrays(*map(Arrays, stores))


def _changed_arrays(before: Arrays, now: Arrays) -> Iterator[str]:
    for name in before.variables():
        there, here = xr.align(before.read([name])[name], now.read([name])[name], join="inner")
        if not there.equals(here):
            largest = float(np.abs(there.astype(float) - here).max())
            yield f"arrays: {name} differs by {largest:.2g} at most"


def _changes(kind: str, before: Mapping, now: Mapping) -> Iterator[str]:
    for name in before | now:
        if before.get(name) != now.get(name):
            yield f"{kind}: {name} was {before.get(name)}, is {now.get(name)}"
