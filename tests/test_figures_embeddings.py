"""What the maps of moving views show."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import LineCollection

from helpers.analysis.shifts import PARTS
from helpers.data import VIEWS
from helpers.figures import embeddings, style


@pytest.fixture
def coordinates():
    values = np.random.default_rng(2).normal(size=(6, 10, 2)) * [4, 1]
    return xr.DataArray(
        values,
        dims=("image", "view", "component"),
        coords={"view": list(VIEWS), "explained": ("component", [0.5, 0.25])},
    )


def test_lines_lead_from_the_original_to_a_dot_at_the_view(coordinates):
    ax = embeddings.shift_map({"scenes": coordinates}, changes=["blur"]).axes[0]
    (lines,) = [each for each in ax.collections if isinstance(each, LineCollection)]
    dots = [each.get_offsets() for each in ax.collections if each is not lines]
    start, end = coordinates.sel(view="original").values, coordinates.sel(view="blur").values
    np.testing.assert_allclose(np.array(lines.get_segments()), np.stack([start, end], axis=1))
    np.testing.assert_allclose(dots[0], start)
    np.testing.assert_allclose(dots[1], end)


def test_no_end_leaves_the_axes(coordinates):
    coordinates.loc[{"view": "noise"}] += 50
    ax = embeddings.shift_map({"scenes": coordinates}, changes=["noise"]).axes[0]
    assert ax.get_xlim()[1] > coordinates.sel(view="noise")[:, 0].max()
    assert ax.get_ylim()[1] > coordinates.sel(view="noise")[:, 1].max()


def test_the_map_has_a_row_per_source_and_a_column_per_change(coordinates):
    planes = {"photos": coordinates, "scenes": coordinates * 2}
    figure = embeddings.shift_map(planes, changes=["noise", "blur"])
    assert len(figure.axes) == 4
    titles = [ax.get_title() + ax.get_title(loc="left") for ax in figure.axes[:2]]
    assert titles == ["Noise", "Blur"]
    assert [ax.get_ylabel() for ax in figure.axes[::2]] == [
        "photos\n75% of the variance",
        "scenes\n75% of the variance",
    ]


def test_parts_are_stacked_to_one_and_the_variance_stands_beside():
    shares = dict.fromkeys(PARTS, 1 / 3) | {"variance_left": 0.2, "cosine": 0.9}
    rows = {("noise", name): [value, value - 0.1, value + 0.1] for name, value in shares.items()}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "low", "high"])
    table.index = pd.MultiIndex.from_tuples(table.index, names=["augmentation", "measure"])
    figure = embeddings.energy_parts({"photos": table}, changes=["noise"])
    bars, dots = figure.axes
    assert sum(patch.get_width() for patch in bars.patches) == pytest.approx(1)
    (dot,) = [line for line in dots.lines if line.get_marker() == "o"]
    assert dot.get_xdata()[0] == 0.2 and dot.get_color() == style.color("noise")
