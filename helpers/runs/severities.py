"""The runs of the same images at other severities."""

from collections.abc import Sequence

import pandas as pd
import xarray as xr

from helpers.analysis.scores import SCORES
from helpers.analysis.severity import MOST_IMAGES
from helpers.data import scale_of
from helpers.data.changes import members_of
from helpers.runs.parameters import Parameters
from helpers.runs.run import Run


def runs_by_severity(run: Run, severities: Sequence[float] | None = None) -> dict[float, Run]:
    """Open a run at several severities, each in a folder below the run's.

    Parameters
    ----------
    run : Run
    severities : sequence of float, optional
        By default those of the scale of the run's changes (`helpers.data.scale_of`).

    Returns
    -------
    dict of float to Run
        The run itself where it has that severity and its images are few enough; of a larger run
        `helpers.analysis.severity.MOST_IMAGES` images.
    """
    fewer = {"limit": MOST_IMAGES} if len(run.images) > MOST_IMAGES else {}
    severities = severities or scale_of(run.changes).severities
    wanted = (*SCORES, "embedding", "pixel_change")
    return {
        each: run.variant(f"severities/{each:g}", wanted, severity=each, **fewer)
        for each in severities
    }


def similarity_by_severity(run: Run, severities: Sequence[float] | None = None) -> xr.DataArray:
    """Return the embedding similarity at several severities.

    Parameters
    ----------
    run : Run
    severities : sequence of float, optional
        As for `runs_by_severity`.

    Returns
    -------
    DataArray, (severity, image, augmentation)
        Computed where it is missing.
    """
    runs = runs_by_severity(run, severities)
    found = [own.scores()["embedding_similarity"] for own in runs.values()]
    return xr.concat(found, pd.Index(list(runs), name="severity"))


def folders_by_severity(parameters: Parameters, images: int) -> dict[str, int]:
    """Name the folders, below a run's, of its runs at other severities."""
    few = images <= MOST_IMAGES
    return {
        f"severities/{each:g}": min(images, MOST_IMAGES)
        for each in scale_of(members_of(parameters.changes)).severities
        if each != parameters.severity or not few
    }
