"""What the maps of moving views show."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.quiver import Quiver

from helpers.data import VIEWS
from helpers.figures import embeddings, style


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def coordinates():
    values = np.random.default_rng(2).normal(size=(6, 10, 2)) * [4, 1]
    return xr.DataArray(
        values,
        dims=("image", "view", "component"),
        coords={"view": list(VIEWS), "explained": ("component", [0.5, 0.25])},
    )


def arrows(ax):
    return [artist for artist in ax.collections if isinstance(artist, Quiver)]


def test_arrows_lead_from_the_original_to_the_view(coordinates):
    ax = embeddings.shift_arrows(coordinates, augmentation="blur")
    each, mean = arrows(ax)
    start, end = coordinates.sel(view="original").values, coordinates.sel(view="blur").values
    np.testing.assert_allclose(each.XY, start)
    np.testing.assert_allclose(np.column_stack([each.U, each.V]), end - start)
    np.testing.assert_allclose([mean.U[0], mean.V[0]], (end - start).mean(axis=0))
    assert ax.get_title() + ax.get_title(loc="left") == "Blur"


def test_no_arrow_leaves_the_axes(coordinates):
    coordinates.loc[{"view": "noise"}] += 50
    ax = embeddings.shift_arrows(coordinates, augmentation="noise")
    assert ax.get_xlim()[1] > coordinates.sel(view="noise")[:, 0].max()
    assert ax.get_ylim()[1] > coordinates.sel(view="noise")[:, 1].max()


def test_the_map_has_a_panel_per_augmentation_with_common_limits(coordinates):
    figure = embeddings.shift_map(coordinates)
    titles = [ax.get_title() + ax.get_title(loc="left") for ax in figure.axes]
    assert titles == [style.label(name) for name in VIEWS[1:]]
    assert len({ax.get_xlim() for ax in figure.axes}) == 1
    assert "50%" in figure.get_supxlabel() and "25%" in figure.get_supylabel()
