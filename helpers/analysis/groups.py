"""Scores by class, or by any other column that is known of the images."""

import pandas as pd
import xarray as xr

from helpers.analysis.sources import by_group, by_source
from helpers.analysis.statistics import mean_with_interval

SHOWN = 8
"""Groups in a figure; tables have all."""


def largest_groups(values: xr.DataArray, name: str) -> dict[str, xr.DataArray]:
    """Return the groups with most images, each called by its name and number of images."""
    known = values.dropna("image", how="all")
    parts = {source: by_group(own, name) for source, own in by_source(known).items()}
    parts = {source: own for source, own in parts.items() if own}
    found = {
        f"{f'{source}: ' if len(parts) > 1 else ''}{group} ({own.sizes['image']})": own
        for source, groups in parts.items()
        for group, own in groups.items()
    }
    ordered = sorted(found.items(), key=lambda one: -one[1].sizes["image"])
    return dict(ordered[:SHOWN])


def panels_by_group(values: xr.DataArray, name: str) -> dict[str, pd.DataFrame]:
    """Hold groups against one another, change by change.

    Parameters
    ----------
    values : DataArray, (image, augmentation)
        As for `largest_groups`.
    name : str
        As for `largest_groups`.

    Returns
    -------
    dict of str to DataFrame
        Change → columns `row` (the group), `series`, `mean`, `low`, `high`, as figures take them;
        none where no image has a group.
    """
    groups = largest_groups(values, name)
    if not groups:
        return {}
    tables = {group: mean_with_interval(own) for group, own in groups.items()}
    rows = pd.concat(tables, names=["row", "augmentation"]).reset_index().assign(series="")
    return dict(list(rows.groupby("augmentation", sort=False)))
