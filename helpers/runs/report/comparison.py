"""Several runs: how far the scores of each differ from the first's, or all scores in a table."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from helpers.analysis.sources import by_source
from helpers.analysis.statistics import (
    FALSE_DISCOVERY_RATE,
    differences_between,
    false_discovery_rates,
)
from helpers.checks import WorkbookError
from helpers.figures import style
from helpers.runs.parameters import NEUTRAL
from helpers.runs.report.pages import page
from helpers.runs.report.score_table import cells
from helpers.runs.storage.checksums import writing
from helpers.runs.stored import StoredRun, find_runs

ROW = ["source", "score", "augmentation"]
NAMES = {
    "mean": "difference",
    "low": "difference_low",
    "high": "difference_high",
    "n": "shared",
}


def compared(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Compare the mean scores of runs with those of the first.

    A row for each run, source of images, score and augmentation has `mean`, `low`, `high` and `n`.
    Other runs than the first have `difference` (less the first's), `difference_low`,
    `difference_high`, `paired` (compared image by image), `shared` (images that are compared), `p`,
    `q` and `differs`: a q of at most 5 %, the false discovery rate over all rows of a run.
    """
    first, *others = runs
    tables = [first.summary]
    for other in others:
        differences = _differences(first, other)
        tables.append(other.summary.merge(differences, how="left", on=ROW))
    named = dict(zip(labels(runs), tables, strict=True))
    return pd.concat(named, names=["run"]).reset_index("run").reset_index(drop=True)


def write_comparison(given: Sequence[str | Path], out: Path) -> tuple[Path, Path]:
    """Write a comparison of runs as a page, and as a CSV beside it."""
    runs = find_runs(given)
    if len(runs) < 2:
        raise WorkbookError(
            f"A comparison takes two runs or more, not {len(runs)}; give the folders of others."
        )
    table = compared(runs)
    path = out.with_suffix(".csv")
    with writing("comparison", out):
        table.to_csv(path, index=False)
        out.write_text(_rendered(runs, table), encoding="utf-8")
    return out, path


def _differences(first: StoredRun, other: StoredRun) -> pd.DataFrame:
    """Tables of differences by source and score, for what both runs have."""
    ours, theirs = by_source(first.scores), by_source(other.scores)
    same = _have_the_same_images(first, other)
    tables = {
        (source, score): differences_between(group[score], theirs[source][score], paired=same)
        for source, group in ours.items()
        if source in theirs
        for score in group
        if score in theirs[source]
        and set(group["augmentation"].values) & set(theirs[source]["augmentation"].values)
    }
    if not tables:
        return pd.DataFrame(columns=[*ROW, *NAMES.values(), "p", "paired", "q", "differs"])
    table = pd.concat(tables, names=["source", "score"]).rename(columns=NAMES).reset_index()
    q = false_discovery_rates(table["p"].to_numpy())
    return table.assign(q=q, differs=q <= FALSE_DISCOVERY_RATE)


def _have_the_same_images(first: StoredRun, other: StoredRun) -> bool:
    """Return whether an id means one image in both runs, of which each may have some only."""
    ours, theirs = (run.record.get("images", {}) for run in (first, other))
    if shared := ours.keys() & theirs.keys():
        return all(ours[image] == theirs[image] for image in shared)  # hashes of their pixels
    return first.record["identity"]["images"] == other.record["identity"]["images"]


def _rendered(runs: Sequence[StoredRun], table: pd.DataFrame) -> str:
    names = labels(runs)
    given = [run.shorten(run.parameters) for run in runs]
    facts = {
        name: [as_text(parameters.get(name)) for parameters in given] for name in differing(runs)
    }
    return page(
        "comparison.html.j2",
        title=f"CLIP shift workbook: {', '.join(names)}",
        names=names,
        models=[run.title for run in runs],
        counts=[run.scores.sizes["image"] for run in runs],
        facts=facts,
        sections=[_section(group, names) for _, group in table.groupby("score", sort=False)],
    )


def _section(table: pd.DataFrame, names: Sequence[str]) -> dict[str, object]:
    """Lay out one score of all runs for the template ``scores.html.j2``."""
    title = style.label(table["score"].iloc[0])
    differences = [f"{name} − {names[0]}" for name in names[1:]]
    return {
        "title": title,
        "caption": f"{title}: mean over images with its 95 % interval, and differences.",
        "columns": [*names, *differences],
        "groups": [
            {
                "title": source,
                "rows": [
                    {"title": style.label(name), "cells": _cells(rows.set_index("run"), names)}
                    for name, rows in group.groupby("augmentation", sort=False)
                ],
            }
            for source, group in table.groupby("source", sort=False)
        ],
    }


def _cells(rows: pd.DataFrame, names: Sequence[str]) -> list[dict[str, object]]:
    """Write a row: every run's mean, then the differences from the first."""
    columns = ["difference", "difference_low", "difference_high"]
    of = rows.reindex(names)
    other = of.iloc[1:]
    differences = other[columns].set_axis(["mean", "low", "high"], axis=1)
    settled = other["differs"].eq(True)
    return cells(of) + [
        cell | {"differs": differs}
        for cell, differs in zip(cells(differences, signed=True), settled, strict=True)
    ]


def gathered(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Put the mean scores of runs below one another."""
    names = differing(runs)
    tables = []
    for run, label in zip(runs, labels(runs), strict=True):
        given = run.shorten(run.parameters)
        columns = {"run": label} | {name: as_text(given.get(name)) for name in names}
        table = run.summary.copy()
        for place, (name, value) in enumerate(columns.items()):
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
    """Name runs by their folders, with as many of the folders above as distinguish them."""
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
