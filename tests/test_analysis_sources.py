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


def test_few_images_of_each_source_are_spread_evenly():
    coords = {"image": np.arange(9), "source": ("image", ["photos"] * 2 + ["scenes"] * 7)}
    values = xr.DataArray(np.zeros(9), dims="image", coords=coords)
    assert few_of_each(values, 3)["image"].values.tolist() == [0, 1, 2, 5, 8]
    assert few_of_each(values, 1)["image"].values.tolist() == [0, 2]
