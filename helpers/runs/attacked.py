"""The run of some of a run's images under attacks."""

from collections.abc import Sequence

from helpers.analysis.scores import SCORES
from helpers.data import SETS
from helpers.data.changes import members_of
from helpers.runs.parameters import Parameters
from helpers.runs.run import Run

MOST_IMAGES = 30
"""Attacked at most: an adversarial view takes as long as thirty others."""

SEVERITY = 3.0
FOLDER = "attacks"
WANTED = (*SCORES, "embedding", "shares", "pixel_change")


def attacked_run(run: Run) -> Run:
    """Open the run of some of a run's images under attacks, in a folder below it.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Run
        Of `MOST_IMAGES` images at most, drawn with the run's seed, at severity `SEVERITY`; the run
        itself where its own changes are all the attacks.
    """
    if _is_attacked(run.changes):
        return run
    fewer = {"limit": MOST_IMAGES} if len(run.images) > MOST_IMAGES else {}
    given = {"changes": "attacks", "severity": SEVERITY, "compare": [], "compare_fully": False}
    return run.variant(FOLDER, WANTED, cluster=None, **given, **fewer)


def folder_attacked(parameters: Parameters, images: int) -> dict[str, int]:
    """Name the folder of `attacked_run`, below a run's, with its number of images."""
    own = _is_attacked(members_of(parameters.changes))
    return {} if own else {FOLDER: min(images, MOST_IMAGES)}


def _is_attacked(changes: Sequence[str]) -> bool:
    return {*SETS["attacks"]} <= {*changes}
