"""The scores of several runs as one tidy table."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from helpers.checks import WorkbookError
from helpers.runs.parameters import NEUTRAL
from helpers.runs.storage.files import writing
from helpers.runs.stored import StoredRun, find_runs


def gathered(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Put the mean scores of runs below one another."""
    names = differing(runs)
    tables = []
    for run, label in zip(runs, labels(runs), strict=True):
        given = run.shorten(run.parameters)
        told = {"run": label} | {name: as_text(given.get(name)) for name in names}
        table = run.summary.copy()
        for place, (name, value) in enumerate(told.items()):
            table.insert(place, name, value)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def differing(runs: Sequence[StoredRun]) -> list[str]:
    """Return the parameters in which runs differ, but for those that results don't depend on."""
    names = dict.fromkeys(name for run in runs for name in run.parameters if name not in NEUTRAL)
    return [name for name in names if len({as_text(run.parameters.get(name)) for run in runs}) > 1]


def as_text(value: object) -> object:
    """Write a list as its items; leave other values of parameters as they are."""
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def labels(runs: Sequence[StoredRun]) -> list[str]:
    """Name runs by their folders, with as many of the folders above as tell them apart."""
    parts = [run.folder.parts for run in runs]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-depth:]) for each in parts]
        if len(set(names)) == len(set(parts)):
            break
    return names


def write_gathered(given: Iterable[str | Path], out: Path) -> Path:
    """Write the scores of runs as one CSV."""
    runs = find_runs(given)
    begun = [run for run in runs if run.has_scores]
    for run in (run for run in runs if run not in begun):
        print(f"Left out: {run.folder} holds no scores yet.")
    if not begun:
        raise WorkbookError("None of these runs holds scores yet; finish one first.")
    table = gathered(begun)
    with writing("table", out):
        table.to_csv(out, index=False)
    return out
