"""Images by where they come from, and by what is known of them: their class, group or any column.

Photographs and drawn scenes are not alike; nor need two classes of a user's images be.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis.statistics import mean_with_interval
from helpers.checks import one_of
from helpers.data.images import LABEL

SOURCE, GROUP = "source", "group"
METADATA = "image_"
"""What the names of the coordinates begin with that metadata become, so that none is an axis."""
Arrays = xr.DataArray | xr.Dataset
SHOWN = 8
"""Groups in a figure; tables have all."""


def with_metadata(values: xr.Dataset, metadata: Mapping[str, Mapping[str, str]]) -> xr.Dataset:
    """Give arrays the metadata of their images as coordinates."""
    ids = values["image"].values.tolist()
    return values.assign_coords(
        {
            f"{METADATA}{name}": ("image", np.array([known.get(item, "") for item in ids], object))
            for name, known in metadata.items()
        }
    )


def groupings(values: Arrays) -> list[str]:
    """Return the names of the metadata that part images into two groups or more.

    Parameters
    ----------
    values : DataArray or Dataset, (…, image, …)
        As the arrays of a run are.

    Returns
    -------
    list of str
        For `by_group`; ``label``, the class, before all others.
    """
    names = [name for name in _columns(values) if len(by_group(values, name)) > 1]
    return sorted(names, key=lambda name: name != LABEL)


def _columns(values: Arrays) -> list[str]:
    names = map(str, values.coords)
    return [name.removeprefix(METADATA) for name in names if name.startswith(METADATA)]


def by_source(values: Arrays) -> dict[str, Arrays]:
    """Part arrays by the source of their images.

    Parameters
    ----------
    values : DataArray or Dataset, (…, image, …)
        With the coordinate ``source`` (image), as the arrays of a run have it.

    Returns
    -------
    dict of str to DataArray or Dataset
        Source → its images, in the order in which sources first appear.
    """
    return _parts(values, SOURCE)


def by_group(values: Arrays, name: str) -> dict[str, Arrays]:
    """Part arrays by a metadatum of their images, such as the class."""
    return _parts(values, METADATA + one_of("grouping", name, _columns(values)))


def _parts(values: Arrays, coordinate: str) -> dict[str, Arrays]:
    labels = values[coordinate].values
    return {
        name: values.isel(image=np.flatnonzero(labels == name))
        for name in dict.fromkeys(labels.tolist())
        if name != ""
    }


def means_by_group(values: xr.DataArray, name: str) -> pd.DataFrame:
    """Return the mean over the images of every group, with the number of images in each.

    Parameters
    ----------
    values : DataArray, (…, image, …)
        Scores, shifts, or answers of 1 and 0 with NaN where nothing is asked, as of
        `helpers.analysis.predictions.judged`; with the images' metadata.
    name : str
        One of `groupings`.

    Returns
    -------
    DataFrame
        Columns ``source``, ``group``, the other axes of the values, ``mean``, and ``n``, the number
        of images that have a value there. Images of different sources are never pooled.
    """
    tables = [
        _means(part).expand_dims({SOURCE: [source], GROUP: [group]}).to_dataframe()
        for source, of_source in by_source(values).items()
        for group, part in by_group(of_source, name).items()
    ]
    return pd.concat(tables).reset_index()


def _means(part: xr.DataArray) -> xr.Dataset:
    numbers = {"mean": part.mean("image"), "n": part.notnull().sum("image")}
    return xr.Dataset(numbers).reset_coords(drop=True)


def few_of_each(values: Arrays, most: int) -> Arrays:
    """Take some images of every source, evenly among its images."""
    taken = [
        each for part in by_source(values).values() for each in evenly(part["image"].values, most)
    ]
    return values.isel(image=np.isin(values["image"], taken))


def table_by_source(
    values: Arrays, table: Callable[[Arrays], pd.DataFrame | pd.Series]
) -> pd.DataFrame | pd.Series:
    """Make the same table of every source's images."""
    tables = {source: table(group) for source, group in by_source(values).items()}
    return pd.concat(tables, names=[SOURCE])


def evenly(ids: Sequence[str], most: int) -> list[str]:
    """Choose at most so many of a sequence, evenly among them and in their order."""
    places = np.linspace(0, len(ids) - 1, min(most, len(ids))).round().astype(int)
    return [ids[place] for place in places]


def largest_groups(values: xr.DataArray, name: str) -> dict[str, xr.DataArray]:
    """Return the groups with most images, each called by its name and number of images."""
    known = values.dropna("image", how="all")
    parts = {source: by_group(part, name) for source, part in by_source(known).items()}
    parts = {source: groups for source, groups in parts.items() if groups}
    titled = {
        f"{f'{source}: ' if len(parts) > 1 else ''}{group} ({part.sizes['image']})": part
        for source, groups in parts.items()
        for group, part in groups.items()
    }
    ordered = sorted(titled.items(), key=lambda item: -item[1].sizes["image"])
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
    tables = {group: mean_with_interval(part) for group, part in groups.items()}
    rows = pd.concat(tables, names=["row", "augmentation"]).reset_index().assign(series="")
    return dict(list(rows.groupby("augmentation", sort=False)))
