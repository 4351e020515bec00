"""Photographs and scenes are looked at apart, and so are classes."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis.sources import (
    by_group,
    by_source,
    few_of_each,
    groupings,
    largest_groups,
    means_by_group,
    panels_by_group,
    table_by_source,
    with_metadata,
)
from helpers.checks import WorkbookError


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


@pytest.fixture
def labelled():
    coords = {"image": list("abcd"), "source": ("image", list("xxyx")), "view": ["noise", "blur"]}
    values = xr.DataArray(
        [[0.0, 10.0], [2.0, np.nan], [4.0, 14.0], [6.0, 16.0]],
        dims=("image", "view"),
        coords=coords,
    )
    metadata = {"label": {"a": "cat", "b": "cat", "c": "cat"}, "only": dict.fromkeys("abcd", "z")}
    return with_metadata(values.to_dataset(name="l2"), metadata)["l2"]


def test_metadata_become_coordinates_that_are_no_axis(labelled):
    assert labelled["image_label"].values.tolist() == ["cat", "cat", "cat", ""]
    assert groupings(labelled) == []
    dog = labelled.assign_coords(image_label=("image", ["cat", "cat", "cat", "dog"]))
    assert groupings(dog) == ["label"]
    earlier = labelled.drop_vars("image_label").assign_coords(image_by=("image", list("yzyz")))
    assert groupings(earlier.assign_coords(image_label=dog["image_label"])) == ["label", "by"]
    assert {name: own["image"].values.tolist() for name, own in by_group(dog, "label").items()} == {
        "cat": ["a", "b", "c"],
        "dog": ["d"],
    }
    with pytest.raises(WorkbookError, match="grouping has no value 'class'; choose one of label"):
        by_group(dog, "class")


def test_means_by_group_count_the_images_that_have_a_value(labelled):
    table = means_by_group(labelled, "label")
    assert table.columns.tolist() == ["source", "group", "view", "mean", "n"]
    assert table.values.tolist() == [
        ["x", "cat", "noise", 1.0, 2],
        ["x", "cat", "blur", 10.0, 1],
        ["y", "cat", "noise", 4.0, 1],
        ["y", "cat", "blur", 14.0, 1],
    ]
    whole = means_by_group(labelled.isel(view=0, drop=True), "only")
    assert whole.values.tolist() == [["x", "z", 8 / 3, 3], ["y", "z", 4.0, 1]]


def grouped(sources):
    coords = {
        "image": list("abcdef"),
        "source": ("image", list(sources)),
        "augmentation": ["noise", "blur"],
    }
    values = xr.DataArray(
        np.array([[1.0, 2], [3, 2], [5, 2], [9, np.nan], [np.nan, np.nan], [7, 7]]),
        dims=("image", "augmentation"),
        coords=coords,
    )
    labels = dict(zip("abcde", ["dog", "cat", "cat", "cat", "cat"], strict=True))
    return with_metadata(values.to_dataset(name="moved"), {"label": labels})["moved"]


@pytest.mark.parametrize(
    ("sources", "names"),
    {
        "xxxxxx": ["cat (3)", "dog (1)"],
        "xxyyyy": ["y: cat (2)", "x: dog (1)", "x: cat (1)"],
        "xxxxxy": ["cat (3)", "dog (1)"],
    }.items(),
)
def test_groups_are_counted_by_source_and_the_largest_come_first(sources, names, monkeypatch):
    assert list(largest_groups(grouped(sources), "label")) == names
    monkeypatch.setattr("helpers.analysis.sources.SHOWN", 1)
    assert list(largest_groups(grouped(sources), "label")) == names[:1]


def test_every_change_has_a_panel_of_groups():
    panels = panels_by_group(grouped("xxxxxx"), "label")
    assert list(panels) == ["noise", "blur"]
    rows = panels["noise"].set_index("row")
    assert rows["mean"].to_dict() == {"cat (3)": 17 / 3, "dog (1)": 1.0}
    assert rows.loc["cat (3)", "low"] < 17 / 3 < rows.loc["cat (3)", "high"]
    assert np.isnan(rows.loc["dog (1)", "low"])
    assert panels_by_group(grouped("xxxxxx").isel(image=[5]), "label") == {}
