"""A finished run, read from its folder alone: no image, no weights and no model are needed."""

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

import pandas as pd
import xarray as xr

from helpers.analysis.scores import SCORES
from helpers.analysis.sources import table_by_source, with_metadata
from helpers.analysis.statistics import summarise
from helpers.checks import WorkbookError
from helpers.clip import names
from helpers.clip.capabilities import Capabilities
from helpers.runs import paths
from helpers.runs.parameters import Parameters
from helpers.runs.paths import RECORD
from helpers.runs.record import read_undamaged
from helpers.runs.report.redact import shortener
from helpers.runs.storage.arrays import Arrays


class StoredRun:
    """The record, scores, tables, figures and notebooks of a run that has been computed."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).expanduser().absolute()
        record = read_undamaged(self.folder / RECORD)
        if record is None:
            raise WorkbookError(
                f"{self.folder} holds no run: its {RECORD} is missing, damaged or of an earlier"
                " version; give the folder that workbook run has written, or run it again."
            )
        self.record = record

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def parameters(self) -> dict:
        """The parameters as they were given."""
        return self.record["parameters"]

    @property
    def reopened(self) -> Parameters:
        """The parameters that open this very run, wherever its folder was when it was made."""
        given = Parameters.from_record(self.parameters)
        is_far = given.out is not None and paths.is_url(given.out)
        return given if is_far else given.replace(out=str(self.folder))

    @property
    def title(self) -> str:
        """How results name the model."""
        return names.title(self.parameters["model"], self.parameters["pretrained"])

    @property
    def capabilities(self) -> Capabilities:
        """What the model gave."""
        return Capabilities(self.parameters["model"], self.record.get("capabilities", {}))

    @cached_property
    def shorten(self) -> Callable[[object], object]:
        """Leaves the folders of this machine out of texts; see `helpers.runs.report.redact`."""
        names = ("parameters", "unreadable", "metadata", "made_in")
        entries = [self.record.get(name) for name in names]
        return shortener(entries, self.folder, self.scores["image"].values)

    @property
    def _arrays(self) -> Arrays:
        return Arrays(paths.store(self.parameters["out"], self.folder))

    @property
    def has_scores(self) -> bool:
        """Whether any image has been computed."""
        return self._arrays.are_there and bool(self._arrays.done().any())

    @cached_property
    def scores(self) -> xr.Dataset:
        """Every image's scores, (image, augmentation), as of `helpers.runs.run.Run.scores`."""
        arrays = self._arrays
        if not self.has_scores:
            raise WorkbookError(f"{self.folder} holds no scores yet; finish its run first.")
        rows = (row.split(" ") for row in self.record["identity"].get("own", {}))
        registered = [name for kind, name in rows if kind == "score"]
        stored = arrays.variables()
        scores = arrays.read([n for n in dict.fromkeys((*SCORES, *registered)) if n in stored])
        return with_metadata(scores, self.record.get("metadata", {}))

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Means of all scores: `source`, `score`, `augmentation`, `mean`, `low`, `high`, `n`.

        The same numbers as in notebook 03: 95 % bootstrap intervals over images.
        """
        table = table_by_source(self.scores, summarise).reset_index(level="source")
        return table.drop(columns="sd").reset_index(drop=True)


def find_runs(given: Iterable[str | Path]) -> list[StoredRun]:
    """Open runs, given by their own folders or by folders that hold several."""
    places = (Path(place).expanduser().absolute() for place in given)
    folders = [folder for place in places for folder in _some_in(place)]
    return [StoredRun(folder) for folder in dict.fromkeys(folders)]


def _some_in(folder: Path) -> list[Path]:
    folders = folders_of_runs(folder)
    if not folders:
        raise WorkbookError(
            f"{folder} holds no run, nor does a folder below it; give the folder of a run, or one"
            " with several."
        )
    return folders


def folders_of_runs(folder: Path) -> list[Path]:
    """Return a folder if a run is in it, else those below it: outermost ones, by name."""
    if (folder / RECORD).exists():
        return [folder]
    below = sorted(path.parent for path in folder.glob(f"**/{RECORD}"))
    return [each for each in below if not any(other in each.parents for other in below)]
