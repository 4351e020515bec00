"""What the attention grids show."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from helpers.checks import WorkbookError
from helpers.data import VIEWS
from helpers.figures import attention, style


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def grid():
    rng = np.random.default_rng(8)
    pixels = rng.integers(0, 256, (2, 10, 8, 8, 3), dtype=np.uint8)
    return {"pixels": pixels, "maps": rng.random((2, 10, 8, 8)), "titles": ["one", "two"]}


def cells(figure, rows):
    return np.array([ax for ax in figure.axes if len(ax.images)][: rows * 10]).reshape(rows, 10)


def test_rows_alternate_for_every_image(grid):
    figure = attention.attention_grid(**grid, views=VIEWS)
    axes = cells(figure, 4)
    np.testing.assert_array_equal(axes[2, 3].images[0].get_array(), grid["pixels"][1, 3])
    np.testing.assert_array_equal(axes[3, 3].images[1].get_array(), grid["maps"][1, 3])
    labels = [ax.get_ylabel().splitlines() for ax in axes[:, 0]]
    assert labels == [["one", "image"], ["one", "overlay"], ["two", "image"], ["two", "overlay"]]
    titles = [ax.get_title().replace("-\n", "-").replace("\n", " ") for ax in axes[0]]
    assert titles == [style.label(name) for name in VIEWS]


def test_overlays_have_the_scale_of_the_maps(grid):
    figure = attention.attention_grid(**grid, views=VIEWS)
    assert cells(figure, 4)[1, 0].images[1].get_clim() == (0, 1)


def test_bad_grids_are_refused(grid):
    with pytest.raises(WorkbookError, match="9 views"):
        attention.attention_grid(**grid, views=VIEWS[1:])
    many = {"pixels": grid["pixels"], "maps": grid["maps"], "titles": ["one"] * 8}
    with pytest.raises(WorkbookError, match="8 images"):
        attention.attention_grid(**many, views=VIEWS)
