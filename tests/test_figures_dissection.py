"""What the figures of a shift's account show."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.colors import to_hex

from helpers.analysis import clustering
from helpers.data import AUGMENTATIONS
from helpers.figures import dissection as figures
from helpers.figures import style

NAMES = list(AUGMENTATIONS)


@pytest.fixture(autouse=True)
def close_figures():
    with plt.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("error")
        style.apply()
        yield
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()
        plt.close("all")


def ticks(ax, axis="y"):
    return [label.get_text() for label in getattr(ax, f"get_{axis}ticklabels")()]


def panels_of(figure):
    return [ax for ax in figure.axes if ax.get_title(loc="left")]


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


def test_head_maps_share_a_scale_about_zero():
    values = np.random.default_rng(0).normal(0, 0.02, (9, 12, 12))
    values[3, 4, 5] = 0.3
    heads = xr.DataArray(
        values, dims=("augmentation", "layer", "head"), coords={"augmentation": NAMES}
    )
    figure = figures.head_maps(heads)
    shown = panels_of(figure)
    assert [ax.get_title(loc="left") for ax in shown] == [style.label(name) for name in NAMES]
    for ax, own in zip(shown, values, strict=True):
        (image,) = ax.images
        np.testing.assert_allclose(image.get_array(), own)
        assert image.get_clim() == pytest.approx((-0.3, 0.3))
        assert image.origin == "lower"


def dots(ax):
    return ax.collections[-1].get_offsets()


@pytest.fixture
def top():
    rows = [
        {"augmentation": name, "place": place + 1, "component": f"L{layer}.H{place}"}
        | {"mean": 0.1 - 0.02 * place, "low": 0.05 - 0.02 * place, "high": 0.15}
        for layer, name in enumerate(NAMES)
        for place in range(3)
    ]
    return pd.DataFrame(rows)


def test_top_heads_have_their_intervals_and_properties(top):
    figure = figures.top_heads(top, {"L0.H1": "colour"})
    first = panels_of(figure)[0]
    assert ticks(first) == ["L0.H0", "L0.H1 colour", "L0.H2"]
    np.testing.assert_allclose(dots(first), [[0.1, 0], [0.08, 1], [0.06, 2]])
    segments = np.array(first.collections[0].get_segments())
    np.testing.assert_allclose(segments[:, 0, 0], [0.05, 0.03, 0.01])
    np.testing.assert_allclose(segments[:, 1, 0], 0.15)
    assert first.get_ylim()[0] > first.get_ylim()[1]


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


def test_a_shift_of_nothing_is_drawn_as_nothing(parts, top):
    pixels = np.zeros((1, 10, 28, 28, 3), np.uint8)
    figure = figures.patch_overlays(
        pixels, patch_shares(np.zeros((1, 9, 7, 7), np.float32)), titles=["a"]
    )
    assert not figure.axes[3].images[1].get_alpha().any()
    figures.head_maps(
        xr.zeros_like(patch_shares(np.zeros((1, 9, 2, 2)))[0]).rename(row="layer", column="head")
    )
    (ax,) = figures.layer_bars({"scenes": 0 * parts}).axes
    assert all(bar.get_width() == 0 for bar in ax.patches)
    none = top.assign(mean=0.0, low=0.0, high=0.0)
    assert not dots(panels_of(figures.top_heads(none, {}))[0])[:, 0].any()
    zeros = clustering.cluster(np.zeros((9, 9)), NAMES)
    figures.profile_trees(zeros, zeros)


def test_trees_stand_side_by_side():
    rng = np.random.default_rng(0)
    trees = [
        clustering.cluster(squared + squared.T, NAMES)
        for squared in np.triu(rng.random((2, 9, 9)), 1)
    ]
    figure = figures.profile_trees(*trees)
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "By which heads move",
        "By where embeddings go",
    ]
    for ax, tree in zip(figure.axes, trees, strict=True):
        assert ax.get_xlim()[0] == pytest.approx(1.05 * tree.linkage[:, 2].max())


def test_texts_within_chance_are_hollow():
    rows = [
        {"augmentation": name, "text": text, "property": "colour", "mean": mean}
        | {"low": mean - 0.05, "high": mean + 0.05, "chance": 0.1, "beyond_chance": beyond}
        for name in NAMES
        for text, mean, beyond in [("red", 0.3, True), (" ".join(["long words"] * 8), -0.1, False)]
    ]
    table = pd.DataFrame(rows)
    shown = panels_of(figures.text_directions({"photos": table, "scenes": table}))
    assert [ax.get_title(loc="left") for ax in shown[::9]] == ["Noise (photos)", "Noise (scenes)"]
    first = shown[0]
    assert ticks(first)[0] == "colour: red"
    assert ticks(first)[1].replace("\n", " ") == "colour: " + " ".join(["long words"] * 8)
    assert max(map(len, ticks(first)[1].split("\n"))) <= figures.LONGEST_LINE
    np.testing.assert_allclose(dots(first), [[0.3, 0], [-0.1, 1]])
    faces = [to_hex(color) for color in first.collections[-1].get_facecolor()]
    assert faces == [style.color("noise").lower(), "#ffffff"]
    band = first.patches[0]
    assert (band.get_x(), band.get_width()) == pytest.approx((-0.1, 0.2))


def test_patching_curves_are_those_of_the_table():
    rows = [
        {"effect": effect, "choice": choice, "k": k, "augmentation": name, "mean": slope * k / 36}
        for effect, choice, slope in [
            ("direct", "top", 2.0),
            ("total", "top", 3.0),
            ("direct", "own", 5.0),
            ("total", "own", 4.0),
            ("direct", "random", 0.5),
            ("total", "random", 1.0),
        ]
        for k in (18, 4, 1)
        for name in NAMES
    ]
    table = pd.DataFrame(rows).assign(low=0.0, high=1.0)
    figure = figures.patching_curves(table, 36)
    first = panels_of(figure)[0]
    curves = {line.get_label(): line for line in first.lines if len(line.get_xdata()) == 3}
    assert len(curves) == 5
    np.testing.assert_allclose(
        curves["top heads, total effect"].get_xdata(), np.array([1, 4, 18]) / 36
    )
    for label, slope in [
        ("top heads, direct effect", 2),
        ("chosen on the same image, total effect", 4),
    ]:
        line = curves[label]
        np.testing.assert_allclose(line.get_ydata(), slope * line.get_xdata())
        assert line.get_color() == style.color("noise")
    assert curves["random heads, total effect"].get_color() == style.REFERENCE
    assert len(figure.legends[0].get_texts()) == 5


def test_depth_lines_are_ordered_by_where_they_end():
    depths = ["start", "0", "1"]
    rows = [
        {"depth": depth, "augmentation": name, "mean": 1 - 0.1 * place * at}
        for at, depth in enumerate(depths)
        for place, name in enumerate(NAMES)
    ]
    table = pd.DataFrame(rows)
    table = table.assign(low=table["mean"], high=table["mean"])
    figure = figures.depth_lines({"photos": table.assign(mean=0.5), "scenes": table})
    first, ax = figure.axes
    assert first.get_title(loc="left") == "photos" and first.get_legend() is None
    assert ticks(ax, "x") == ["start", "0", "1"]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == [style.label(name) for name in NAMES]
    np.testing.assert_allclose(ax.lines[3].get_ydata(), [1, 0.7, 0.4])
