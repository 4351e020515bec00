"""What the figures of a shift's account show."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers.analysis.dissection import component_labels, is_head
from helpers.data import AUGMENTATIONS
from helpers.figures import dissection as figures
from helpers.figures import style

NAMES = list(AUGMENTATIONS)


def ticks(ax, axis="y"):
    return [label.get_text() for label in getattr(ax, f"get_{axis}ticklabels")()]


@pytest.fixture(autouse=True)
def drawn_without_a_warning(styled):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()


@pytest.fixture
def parts():
    labels = ["L0 heads", "L0 MLP", "L1 heads", "L1 MLP", "rest"]
    values = np.random.default_rng(0).dirichlet(np.ones(5), 9)
    values[0] = [0.7, 0.5, -0.2, 0.1, -0.1]
    coords = {"augmentation": NAMES, "part": labels}
    return xr.DataArray(values, dims=("augmentation", "part"), coords=coords)


def test_bars_of_layers_add_up_to_the_shift(parts):
    figure = figures.layer_bars({"photos": 0 * parts, "scenes": parts})
    first, ax = figure.axes
    assert [own.get_title(loc="left") for own in figure.axes] == ["photos", "scenes"]
    assert not any(bar.get_width() for bar in first.patches)
    assert ticks(first) == [style.label(name) for name in NAMES]
    bars = {container.get_label(): container.patches for container in ax.containers}
    assert list(bars) == ["L0 heads", "L1 heads", "L0 MLP", "L1 MLP", "rest"]
    for place, name in enumerate(NAMES):
        widths = [bars[part][place].get_width() for part in parts["part"].values]
        np.testing.assert_allclose(widths, parts.sel(augmentation=name))
    ends = [bars[part][0].get_x() for part in ("L0 heads", "L0 MLP", "L1 MLP")]
    np.testing.assert_allclose(ends, [0, 0.7, 1.2])
    assert bars["rest"][0].get_x() == pytest.approx(-0.2)
    assert ax.yaxis_inverted()


def test_bars_show_a_pool_only_where_there_is_one(parts):
    def legend(parts):
        return [text.get_text() for text in figures.layer_bars({"photos": parts}).legends[0].texts]

    assert legend(parts)[2:] == ["rest"]
    assert legend(parts.assign_coords(part=[*parts["part"].values[:3], "pool", "rest"]))[2:] == [
        "pool",
        "rest",
    ]


def excess_of(names):
    labels = [label for label in component_labels(2, 3) if is_head(label) or "MLP" in label]
    values = np.random.default_rng(0).normal(size=(len(names), len(labels)))
    axes, coords = ("augmentation", "component"), {"augmentation": names, "component": labels}
    found = xr.DataArray(values, dims=axes, coords=coords)
    return xr.Dataset({"excess": found, "specific": found > 1})


def test_excess_maps_share_a_scale_and_mark_what_is_specific():
    excess = {"photos": 0 * excess_of(NAMES), "scenes": excess_of(NAMES)}
    figure = figures.excess_maps(excess)
    grid = np.array(figure.axes[:18]).reshape(2, 9)
    assert [ax.get_ylabel() for ax in grid[:, 0]] == ["photos: layer", "scenes: layer"]
    assert grid[1, 0].get_title(loc="center") == "Noise"
    assert len({(ax.images[0].norm.vmin, ax.images[0].norm.vmax) for ax in grid.flat}) == 1
    own = excess["scenes"].isel(augmentation=4)
    drawn = grid[1, 4].images[0].get_array()
    assert drawn[1, 2] == own["excess"].sel(component="L1.H2")
    assert drawn[0, 4] == own["excess"].sel(component="L0.MLP") and drawn.mask[:, 3].all()
    marked = {
        tuple(place) for place in grid[1, 4].collections[0].get_offsets().astype(int).tolist()
    }
    specific = own["component"].values[own["specific"].values]
    column = lambda name: 4 if "MLP" in name else int(name[-1])  # noqa: E731
    assert marked == {(column(name), int(name[1])) for name in specific}
    assert not len(grid[0, 4].collections[0].get_offsets())


def test_many_changes_go_into_blocks():
    names = [f"change_{n}" for n in range(13)]
    figure = figures.excess_maps({"scenes": excess_of(names)})
    assert len(figure.axes) == 13 + 1
    assert figure.axes[0].get_title(loc="center") == "Change 0"


def patch_shares(values):
    axes = ("image", "augmentation", "row", "column")
    return xr.DataArray(values, dims=axes, coords={"augmentation": NAMES})


def test_patches_lie_over_the_views_and_say_their_sum():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, 10, 28, 28, 3), dtype=np.uint8)
    shares = patch_shares(rng.normal(0.02, 0.01, (2, 9, 7, 7)))
    figure = figures.patch_overlays(pixels, shares, titles=["a", "b"])
    grid = np.array(figure.axes[:20]).reshape(2, 10)
    assert [ax.get_ylabel() for ax in grid[:, 0]] == ["a", "b"]
    assert [ax.get_title(loc="center") for ax in grid[0, :2]] == ["Original", "Noise"]
    np.testing.assert_array_equal(grid[1, 0].images[0].get_array(), pixels[1, 0])
    grey, overlay = grid[1, 4].images
    np.testing.assert_allclose(grey.get_array(), pixels[1, 4].mean(-1))
    np.testing.assert_allclose(overlay.get_array(), shares[1, 3])
    assert overlay.get_extent() == grey.get_extent()
    assert overlay.get_alpha().max() <= figures.OVERLAY_OPACITY
    assert grid[1, 4].get_xlabel() == f"{shares[1, 3].sum().item():.0%}"


def test_a_shift_of_nothing_is_drawn_as_nothing(parts):
    pixels = np.zeros((1, 10, 28, 28, 3), np.uint8)
    figure = figures.patch_overlays(
        pixels, patch_shares(np.zeros((1, 9, 7, 7), np.float32)), titles=["a"]
    )
    assert not figure.axes[3].images[1].get_alpha().any()
    figures.excess_maps({"scenes": 0 * excess_of(NAMES)})
    (ax,) = figures.layer_bars({"scenes": 0 * parts}).axes
    assert all(bar.get_width() == 0 for bar in ax.patches)


def undone(choices):
    rows = [(choice, layer, 0.1 * layer, 0, 1) for choice in choices for layer in range(3)]
    return pd.DataFrame(rows, columns=["choice", "layer", "mean", "low", "high"])


def test_what_is_undone_by_layer_stands_beside_its_baseline():
    table = undone(["heads", "heads of another image", "carrying"])
    columns = [{"read": "tokens read", "heads": "all heads"}, {"carrying": "patches"}]
    figure = figures.undone_by_layer(
        {"photos": table, "scenes": table}, columns=columns, baseline="of another image"
    )
    assert len(figure.axes) == 4
    parts, patches = figure.axes[:2]
    lines = [line for line in parts.lines if len(line.get_xdata()) == 3]
    assert [line.get_linestyle() for line in lines] == ["-", "--"]
    np.testing.assert_allclose(lines[0].get_ydata(), [0, 0.1, 0.2])
    texts = [[text.get_text() for text in ax.get_legend().get_texts()] for ax in (parts, patches)]
    assert texts == [["all heads", "of another image"], ["patches"]]
