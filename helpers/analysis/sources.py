"""Images by where they come from: photographs and drawn scenes are not alike."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import xarray as xr

SOURCE = "source"
Arrays = xr.DataArray | xr.Dataset


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
    sources = values[SOURCE].values
    return {
        name: values.isel(image=np.flatnonzero(sources == name))
        for name in dict.fromkeys(sources.tolist())
    }


def few_of_each(values: Arrays, most: int) -> Arrays:
    """Take some images of every source, evenly among its images.

    Parameters
    ----------
    values : DataArray or Dataset, (…, image, …)
        As for `by_source`.
    most : int
        Images of each source, at most.

    Returns
    -------
    DataArray or Dataset
        In the same order.
    """
    taken = [
        each for own in by_source(values).values() for each in evenly(own["image"].values, most)
    ]
    return values.isel(image=np.isin(values["image"], taken))


def table_by_source(
    values: Arrays, table: Callable[[Arrays], pd.DataFrame | pd.Series]
) -> pd.DataFrame | pd.Series:
    """Make the same table of every source's images.

    Parameters
    ----------
    values : DataArray or Dataset
        As for `by_source`.
    table : callable
        From the images of a source to a table or a series.

    Returns
    -------
    DataFrame or Series
        The tables below one another, with the level ``source`` before their own index.
    """
    tables = {name: table(own) for name, own in by_source(values).items()}
    return pd.concat(tables, names=[SOURCE])


def evenly(ids: Sequence[str], most: int) -> list[str]:
    """Choose at most so many of a sequence, evenly among them and in their order."""
    places = np.linspace(0, len(ids) - 1, min(most, len(ids))).round().astype(int)
    return [ids[place] for place in places]
