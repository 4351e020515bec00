"""Checking a finished run: all checksums, and a random share of its images computed anew.

Nothing is written, and nothing repaired: opening the run does that.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from helpers.checks import WorkbookError
from helpers.clip import weights
from helpers.data import CHANGES
from helpers.data.change import MODEL
from helpers.runs import paths
from helpers.runs.compute.engine import Batch, Engine
from helpers.runs.derived import cache
from helpers.runs.opening import open_sources
from helpers.runs.parameters import Parameters
from helpers.runs.paths import ALIGNED, ARRAYS, RECORD, REPORT
from helpers.runs.record import circumstances, read_undamaged
from helpers.runs.report import provenance
from helpers.runs.storage import drawn
from helpers.runs.storage.arrays import Arrays
from helpers.runs.storage.checksums import read_sealed
from helpers.runs.storage.integrity import find_damage

TOLERANCES = {"float16": 2e-3, "float32": 1e-4, "float64": 1e-5, "uint8": 0.0, "uint32": 2.0**32}
"""By type: the largest difference between machines, as a share of an image's largest value.

Whole numbers are choices, which near-ties turn on another machine.
"""
WHOLES: Mapping[str, Callable[[Mapping[str, np.ndarray]], float]] = {
    "shares": lambda stored: 1.0,
    "patch_shares": lambda stored: 1.0,
    "l2_distance": lambda stored: float(np.linalg.norm(stored["embedding"], axis=-1).max()),
}
"""What differences of nearly equal numbers are compared with, in place of their largest value.

Where a view hardly moves, or a network hardly moves anything, as an untrained one, the digits that
processors share are those of the shift or of the embeddings, and not of what is left of them.
"""


@dataclass(frozen=True)
class Check:
    """A line of the table that `verify` makes."""

    what: str
    count: int  # how many files or images were checked
    wrong: list[str]  # A sentence for each that does not agree
    note: str = ""  # how it was compared


def verify(folder: Path, share: float) -> Iterator[Check]:
    """Check a run, and those below it at other severities and of other models.

    Of each run's images a share in (0, 1] is computed again, at least one.
    """
    if not 0 < share <= 1:
        raise WorkbookError(f"share has no value {share}; give a number above 0, and at most 1.")
    runs = _runs_below(folder)
    if folder not in runs:
        raise WorkbookError(f"There is no run in {folder}; give the folder that has its {RECORD}.")
    for each in runs:
        name = "" if each == folder else f"{each.relative_to(folder)}: "
        yield from _verify_one(each, name, share)


def verify_files(folder: Path, name: str = "") -> Iterator[Check]:
    """Check all checksums of one run, without those below it."""
    record = read_undamaged(folder / RECORD)
    lost = [] if record else [f"{folder / RECORD} is damaged or missing"]
    yield Check(f"{name}{RECORD}", 1, lost)
    yield _check_arrays(f"{name}arrays", _places(folder, record))
    if record:
        yield _check_whole(f"{name}parts of the run", folder, record)
    further = _expected(folder / cache.FOLDER, "zip", (record or {}).get("derived", []))
    yield _check_sealed(f"{name}further results", further)
    if views := _expected(folder / drawn.FOLDER, "npz"):
        yield _check_sealed(f"{name}views", views)
    if executed := _executed(folder):
        yield _check_notebooks(f"{name}notebooks, tables, figures", folder)
        pages = [folder / REPORT, *(path.with_suffix(".html") for path in executed)]
        yield _check_sealed(f"{name}pages", pages)


def _check_whole(what: str, folder: Path, record: Mapping) -> Check:
    """Check that a run is finished, and that nothing of it was taken away since."""
    progress = record.get("progress", {})
    done, total = progress.get("images", (0, 0))
    took = progress.get("notebooks", {})
    # Of a run that was computed by itself, as those below another are, no notebook is executed.
    notebooks = took if {*took.values()} != {None} else {}
    executed = {path.stem for path in _executed(folder)}
    wrong = [f"{folder}: {done} of {total} images are computed"] if done < total else []
    wrong += [
        f"{folder / 'notebooks' / name}.ipynb is {'unfinished' if seconds is None else 'missing'}"
        for name, seconds in notebooks.items()
        if seconds is None or name not in executed
    ]
    below = progress.get("below", {}) if notebooks and None not in notebooks.values() else {}
    wrong += [f"{folder / name} is missing" for name in below if not (folder / name).exists()]
    return Check(what, 1 + len(notebooks) + len(below), wrong)


def _runs_below(folder: Path) -> list[Path]:
    # A run that has lost its record is one by its arrays, and the other way round.
    return sorted({path.parent for name in (RECORD, ARRAYS) for path in folder.rglob(name)})


def _verify_one(folder: Path, name: str, share: float) -> Iterator[Check]:
    checks = list(verify_files(folder, name))
    yield from checks
    if any(check.wrong for check in checks[:2]):
        why = f"{folder}: no image was computed again, as its record or arrays are damaged"
        yield Check(f"{name}images computed again", 0, [why])
        return
    yield _check_images(f"{name}images computed again", folder, share)


def _places(folder: Path, record: Mapping | None) -> list[str]:
    """List the places of a run's arrays; those in an object store only where the record says so."""
    local = {str(folder / name) for name in (ARRAYS, ALIGNED) if (folder / name).exists()}
    recorded = {paths.store(record["parameters"]["out"], folder)} if record else set()
    return sorted(local | recorded)


def _check_arrays(what: str, stores: Sequence[str]) -> Check:
    damaged = {place: find_damage(Arrays(place)) for place in stores}
    count = sum(Arrays(place).manifest.count_files() for place in stores)
    wrong = [
        f"{place}/{each.file} is damaged or missing{_range(each.rows)}"
        for place, damages in damaged.items()
        for each in damages
    ]
    return Check(what, count, wrong)


def _range(rows: np.ndarray) -> str:
    return f" (images {rows[0]} to {rows[-1]})" if len(rows) else ""


def _expected(folder: Path, ending: str, listed: Sequence[str] = ()) -> list[Path]:
    """List the files of a folder that are there, or ought to be."""
    return sorted({*folder.glob(f"[!.]*.{ending}"), *(folder / name for name in listed)})


def _check_sealed(what: str, paths: Sequence[Path]) -> Check:
    wrong = [f"{path} is damaged or missing" for path in paths if read_sealed(path) is None]
    return Check(what, len(paths), wrong)


def _executed(folder: Path) -> list[Path]:
    """List the executed notebooks of a run, with those of which only the page is left."""
    there = [
        path for ending in ("ipynb", "html") for path in (folder / "notebooks").glob(f"*.{ending}")
    ]
    return sorted({path.with_suffix(".ipynb") for path in there})


def _check_notebooks(what: str, folder: Path) -> Check:
    executed = _executed(folder)
    wrong = [
        f"{folder / name} is damaged, missing or unfinished"
        for path in executed
        for name in provenance.damage_of(path)
    ]
    return Check(what, sum(map(provenance.count_of, executed)), wrong)


def _check_images(what: str, folder: Path, share: float) -> Check:
    record = read_undamaged(folder / RECORD)
    try:
        parameters = Parameters.from_record(record["parameters"])
    except WorkbookError as error:
        by_cell = record["parameters"]["extend"] is None
        if by_cell:  # as notebook 12 does
            return Check(what, 0, [], "not possible: what draws them was registered in a notebook")
        return Check(what, 0, [f"{folder}: {error}"])
    try:
        images = open_sources(parameters)
        fingerprint = weights.fingerprint(parameters.model, parameters.pretrained)
    except WorkbookError as error:
        return Check(what, 0, [f"{folder}: {error}"])
    if fingerprint != record["identity"]["weights"]:
        return Check(what, 0, [f"{folder}: the weights of {parameters.model} have changed"])
    arrays = Arrays(paths.store(parameters.out, folder))
    if images.ids != arrays.ids():
        return Check(what, 0, [f"{folder}: the source holds other images than the run had"])
    views = drawn.DrawnViews(folder, record["identity"], lambda: engine.model)
    needing = [name for name in parameters.change_names if CHANGES[name].needs == MODEL]
    # A view that the model draws anew, on another processor, is another view.
    done = np.flatnonzero(arrays.done())
    known = [row for row in done if views.are_kept(needing, images.ids[row])]
    rows = _drawn(np.array(known, int), share)
    batches = [Batch(part, [images[row] for row in part.tolist()]) for part in arrays.batches(rows)]
    exact = _is_as_computed(record)
    engine = Engine(parameters, arrays, record["identity"], views)
    check = _compared(what, engine, arrays, batches, exact)
    left = len(done) - len(known)
    note = f"; {left} left out, as views that the model drew of them are not kept" if left else ""
    return replace(check, note=check.note + note)


def _is_as_computed(record: Mapping) -> bool:
    """Return whether a run was computed by this code, on a machine like this one alone."""
    now, before = _settings(circumstances()), record.get("computed_with", [])
    alone = before and record["parameters"]["cluster"] is None
    return bool(alone) and all(_settings(was) == now for was in before)


def _settings(circumstances: Mapping) -> list:
    """Where these are the same, so is every bit."""
    code = circumstances.get("code", {}).get("helpers")
    return [circumstances.get("machine"), circumstances.get("versions"), code]


def _drawn(rows: np.ndarray, share: float) -> np.ndarray:
    # Drawn by the system, so that nobody knows beforehand which images will be looked at.
    count = math.ceil(share * len(rows))
    return np.array(sorted(random.SystemRandom().sample(rows.tolist(), count)), int)


def _compared(
    what: str, engine: Engine, arrays: Arrays, batches: Sequence[Batch], exact: bool
) -> Check:
    ids = arrays.ids()
    again: list[int] = []
    wrong = []
    for rows, values in engine.compute(batches):
        stored = arrays.rows(rows, values)
        for place, row in enumerate(rows.tolist()):
            again.append(row)
            of_image = {name: of_all[place] for name, of_all in stored.items()}
            differing = [
                name
                for name, value in values.items()
                if not _agree(of_image[name], value[place], exact, _whole(name, of_image))
            ]
            if differing:
                wrong.append(f"{arrays.place}: {ids[row]!r} has another {', '.join(differing)} now")
    chosen = {row for batch in batches for row in batch.rows.tolist()}
    wrong += [f"{arrays.place}: {ids[row]!r} can't be read any more" for row in chosen - {*again}]
    return Check(
        what, len(chosen), sorted(wrong), "to the last bit" if exact else "within tolerance"
    )


def _whole(name: str, stored: Mapping[str, np.ndarray]) -> float:
    if name in WHOLES:
        return WHOLES[name](stored)
    return np.abs(np.nan_to_num(stored[name].astype(float))).max()


def _agree(stored: np.ndarray, again: np.ndarray, exact: bool, whole: float) -> bool:
    again = again.astype(stored.dtype)
    if exact:
        return stored.tobytes() == again.tobytes()
    bound = TOLERANCES[stored.dtype.name] * whole
    return np.allclose(stored.astype(float), again, rtol=0, atol=bound, equal_nan=True)
