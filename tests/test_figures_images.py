"""What the figures of views and pixel changes show."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers.data import AUGMENTATIONS, VIEWS
from helpers.figures import images, style


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def pixels():
    return np.random.default_rng(3).integers(0, 256, (2, 10, 8, 8, 3), dtype=np.uint8)


def cells(figure, rows, columns):
    return np.array(figure.axes[: rows * columns]).reshape(rows, columns)


def titles_of(axes):
    return [ax.get_title().replace("-\n", "-").replace("\n", " ") for ax in axes]


def test_view_grids_show_every_view(pixels):
    figure = images.view_grid(pixels, views=VIEWS, titles=["one", "two"])
    axes = cells(figure, 2, 10)
    for place, ax in np.ndenumerate(axes):
        np.testing.assert_array_equal(ax.images[0].get_array(), pixels[place])
    assert titles_of(axes[0]) == [style.label(name) for name in VIEWS]
    assert titles_of(axes[1]) == [""] * 10
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["one", "two"]


def test_no_change_is_black():
    drawn = images.change_map(np.zeros((3, 3)))
    assert max(drawn.cmap(drawn.norm(0.0))[:3]) < 0.05


@pytest.fixture
def change():
    values = xr.DataArray(
        np.random.default_rng(5).uniform(0, 80, (300, 9)),
        dims=("image", "augmentation"),
        coords={"augmentation": list(AUGMENTATIONS)},
    )
    means = pd.DataFrame({"mean": values.mean("image").values, "n": 300}, index=list(AUGMENTATIONS))
    return means.assign(low=means["mean"] - 3, high=means["mean"] + 5), values


def test_bars_keep_the_order_and_are_coloured_and_have_intervals(change):
    means, values = change
    ax = images.change_bars(means, values)
    expected = means[::-1]
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], expected["mean"])
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == [style.label(name) for name in expected.index]
    for bar, name in zip(ax.patches, expected.index, strict=True):
        assert bar.get_facecolor()[:3] == pytest.approx(
            plt.matplotlib.colors.to_rgb(style.color(name))
        )
    (whiskers,) = ax.collections
    for segment, (_, row) in zip(whiskers.get_segments(), expected.iterrows(), strict=True):
        assert segment[:, 0].tolist() == pytest.approx([row["low"], row["high"]])
    assert "n = 300 images" in ax.get_title()


def test_dots_are_the_first_200_images(change):
    means, values = change
    ax = images.change_bars(means, values)
    dots = [line for line in ax.lines if line.get_marker() == "."]
    for line, name in zip(dots, means.index[::-1], strict=True):
        np.testing.assert_array_equal(line.get_xdata(), values.sel(augmentation=name)[:200])


def test_bars_are_drawn_where_asked(change):
    ax = plt.subplots()[1]
    assert images.change_bars(*change, ax=ax) is ax
