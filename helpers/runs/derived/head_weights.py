"""Directions that the weights of a run's heads write, kept with the run."""

import xarray as xr

from helpers.analysis.probes import DIRECTIONS, leading_directions
from helpers.runs.derived.kept import derived
from helpers.runs.run import Run


def head_directions(run: Run) -> xr.Dataset:
    """Return the directions that heads of the last layers write most strongly.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Dataset
        As of `helpers.analysis.probes.leading_directions`, of the layers of
        ``run.contributions("heads")``, by their numbers.

    Raises
    ------
    WorkbookError
        If the model gives no exact account.
    """
    run.require("account")
    layers = run.contributions("heads")["layer"].values

    def compute() -> xr.Dataset:
        return leading_directions(run.model.head_weights(len(layers)))

    found = derived(run, "head_directions", compute, directions=DIRECTIONS)
    return found.assign_coords(layer=layers)
