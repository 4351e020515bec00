"""The runs of the same images at other severities."""

from collections.abc import Sequence

from helpers.analysis.severity import MOST_IMAGES
from helpers.data import scale_of
from helpers.study.run import Run


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
    return {
        each: run.variant(f"severities/{each:g}", severity=each, **fewer) for each in severities
    }
