"""Photographs and scenes are looked at apart."""

import numpy as np
import xarray as xr

from helpers.analysis.sources import by_source, few_of_each, table_by_source


def test_every_image_is_in_its_source_once():
    coords = {
        "image": list("abcd"),
        "source": ("image", ["photos", "scenes", "photos", "scenes"]),
        "augmentation": ["noise", "blur"],
    }
    values = xr.DataArray(np.arange(8).reshape(2, 4), dims=("augmentation", "image"), coords=coords)
    parts = by_source(values)
    assert {name: list(own["image"].values) for name, own in parts.items()} == {
        "photos": ["a", "c"],
        "scenes": ["b", "d"],
    }
    means = table_by_source(values, lambda own: own.mean("image").to_series())
    assert means.loc["photos"].tolist() == [1, 5] and means.loc["scenes"].tolist() == [2, 6]
    assert means.index.names == ["source", "augmentation"]


def test_few_of_each_source_are_spread_over_it():
    sources = ["photos"] * 3 + ["scenes"] * 9
    values = xr.DataArray(np.arange(12), dims="image", coords={"source": ("image", sources)})
    assert few_of_each(values, 3).values.tolist() == [0, 1, 2, 3, 7, 11]
    assert few_of_each(values, 99).values.tolist() == list(range(12))
