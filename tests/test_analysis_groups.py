"""Classes are held against one another, with the number of images in each."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis import groups
from helpers.analysis.groups import largest_groups, panels_by_group
from helpers.analysis.sources import with_metadata


def labelled(sources):
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
    assert list(largest_groups(labelled(sources), "label")) == names
    monkeypatch.setattr(groups, "SHOWN", 1)
    assert list(largest_groups(labelled(sources), "label")) == names[:1]


def test_every_change_has_a_panel_of_groups():
    panels = panels_by_group(labelled("xxxxxx"), "label")
    assert list(panels) == ["noise", "blur"]
    rows = panels["noise"].set_index("row")
    assert rows["mean"].to_dict() == {"cat (3)": 17 / 3, "dog (1)": 1.0}
    assert rows.loc["cat (3)", "low"] < 17 / 3 < rows.loc["cat (3)", "high"]
    assert np.isnan(rows.loc["dog (1)", "low"])
    assert panels_by_group(labelled("xxxxxx").isel(image=[5]), "label") == {}
