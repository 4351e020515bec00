"""What the figures of heads show: cells, lines, dots and squares."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.patches import Rectangle

from helpers.figures import heads, style

COORDS = {"layer": [4, 5], "head": [0, 1, 2]}
AXES = ("layer", "head")


@pytest.fixture(autouse=True)
def close_figures():
    with plt.rc_context():
        style.apply()
        yield
        plt.close("all")


@pytest.fixture
def names():
    values = [["colour", "shape", "photograph"], ["size", "colour", ""]]
    return xr.DataArray(np.array(values, dtype=object), COORDS, AXES)


def ticks(ax, axis="y"):
    return [label.get_text() for label in getattr(ax, f"get_{axis}ticklabels")()]


def test_the_map_has_the_last_layer_on_top_and_a_label_in_every_cell(names):
    association = xr.DataArray(np.linspace(0.2, 1, 6).reshape(2, 3), COORDS, AXES)
    ax = heads.head_map(names, association)
    np.testing.assert_allclose(ax.images[0].get_array(), association.values[::-1])
    assert ax.images[0].get_clim() == (0, 1)
    assert [text.get_text() for text in ax.texts] == ["size", "colour", "", *names.values[0]]
    assert (ticks(ax), ticks(ax, "x")) == (["L5", "L4"], ["H0", "H1", "H2"])


@pytest.mark.parametrize("count", [6, 12, 16])
def test_labels_stay_within_their_cells(count):
    coords = {"layer": range(4), "head": range(count)}
    labels = np.full((4, count), "photography style", dtype=object)
    values = np.full((4, count), 0.5)
    ax = heads.head_map(*(xr.DataArray(each, coords, AXES) for each in (labels, values)))
    ax.figure.canvas.draw()
    cell = ax.get_window_extent().width / count
    assert max(text.get_window_extent().width for text in ax.texts) < cell
    assert ax.texts[0].get_fontsize() >= 7


def test_explained_variance_adds_up_along_a_line():
    explained = np.random.default_rng(0).dirichlet(np.ones(5), (2, 3))[..., :4]
    coords = COORDS | {"choice": [1, 2, 3, 4]}
    ax = heads.explained_curves(xr.DataArray(explained, coords, (*AXES, "choice")))
    drawn = np.array([line.get_ydata() for line in ax.lines])
    np.testing.assert_allclose(drawn, explained.cumsum(axis=-1).reshape(6, 4))
    assert (
        len(
            {
                line.get_color() if isinstance(line.get_color(), str) else tuple(line.get_color())
                for line in ax.lines
            }
        )
        == 2
    )
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["L4", "L5"]


def test_every_measure_of_an_ablation_has_a_panel_and_every_curve_a_line():
    frame = pd.DataFrame(
        {"variance": [-0.2, 0.5, 1], "cosine": [0.4, 0.8, 1], "predictions": [0.1, 0.6, 1]},
        index=[0, 1, "all"],
    )
    figure = heads.ablation_curves({"one": frame, "other": frame / 2}, xlabel="layers")
    assert len(figure.axes) == 3
    for ax, measure in zip(figure.axes, frame, strict=True):
        one, other = (line.get_ydata() for line in ax.lines[:2])
        np.testing.assert_allclose(one, frame[measure])
        np.testing.assert_allclose(other, frame[measure] / 2)
        assert ticks(ax, "x") == ["0", "1", "all"]
        assert ax.get_ylim()[0] <= min(0, frame[measure].min())


COLUMNS = ["value", "low", "high", "chance", "chance_low", "chance_high"]


def scores(**models):
    frames = {
        name: pd.DataFrame(values, index=pd.Index(heads.SCORES, name="score"), columns=COLUMNS)
        for name, values in models.items()
    }
    return pd.concat(frames, names=["model"])


def test_scores_of_each_model_stand_over_their_own_chance():
    rng = np.random.default_rng(0)
    table = scores(trained=rng.random((4, 6)), untrained=rng.random((4, 6)))
    figure = heads.score_intervals(table)
    assert len(figure.axes) == 4
    for ax, name in zip(figure.axes, heads.SCORES, strict=True):
        own = table.xs(name, level="score")
        chance, intervals = (
            np.array([line[:, 0] for line in lines.get_segments()]) for lines in ax.collections
        )
        np.testing.assert_allclose(chance, own[["chance_low", "chance_high"]])
        np.testing.assert_allclose(intervals, own[["low", "high"]])
        marks, dots = (line.get_xdata() for line in ax.lines)
        np.testing.assert_allclose(marks, own["chance"])
        np.testing.assert_allclose(dots, own["value"])
        assert ax.get_xlim()[1] > own[["value", "high", "chance_high"]].max(axis=None)
    assert ticks(figure.axes[0]) == ["trained", "untrained"]
    assert figure.axes[0].yaxis_inverted()


def test_scores_that_one_image_leaves_undefined_are_left_out():
    for ax in heads.score_intervals(scores(one=np.full((4, 6), np.nan))).axes:
        assert ax.get_xlim() == pytest.approx((0, 0.0115))


def test_heads_are_counted_by_association_and_so_is_chance():
    association = xr.DataArray([[0.2, 0.6, 0.6], [1, 0.4, np.nan]], COORDS, AXES)
    untrained = xr.DataArray([[0.2, 0.2, 0.2], [0.2, 0.4, 0.4]], COORDS, AXES)
    shuffled = np.array([[[0.2, 0.2, 0.4], [0.2, 0.2, 0.2]], [[0.4, 0.4, 0.4], [0.2, 0.2, 0.2]]])
    chance = xr.DataArray(shuffled, COORDS, ("draw", *AXES))
    ax = heads.association_histogram({"own": association, "other": untrained}, chance, top=5)
    own, other = ([bar.get_height() for bar in bars] for bars in ax.containers)
    assert own == [1, 1, 2, 0, 1]
    assert other == [4, 2, 0, 0, 0]
    steps = [c for c in ax.collections if c.get_label() == "chance"]
    assert [segment[0, 1] for segment in steps[0].get_segments()] == [4, 2, 0, 0, 0]


def test_squares_mark_labels_and_dots_the_largest_value(names):
    attributes = ["shape", "colour", "size"]
    rng = np.random.default_rng(1)
    variance, skill = (
        xr.DataArray(
            rng.random((2, 3, 3)), COORDS | {"attribute": attributes}, (*AXES, "attribute")
        )
        for _ in range(2)
    )
    figure = heads.labels_and_probes(variance, skill, names)
    left, right = figure.axes[:2]
    assert ticks(left) == [
        "shape  L4.H1",
        "colour  L4.H0",
        "colour  L5.H1",
        "size  L5.H0",
        "photograph  L4.H2",
        "  L5.H2",
    ]
    places = [(0, 1), (0, 0), (1, 1), (1, 0), (0, 2), (1, 2)]
    for ax, values in ((left, variance.values), (right, skill.values)):
        expected = np.array([values[place] for place in places])
        np.testing.assert_allclose(ax.images[0].get_array(), expected)
        np.testing.assert_array_equal(ax.lines[0].get_xdata(), expected.argmax(axis=1))
        corners = [p.get_xy() for p in ax.patches if isinstance(p, Rectangle)]
        assert corners == [(-0.5, -0.5), (0.5, 0.5), (0.5, 1.5), (1.5, 2.5)]


def test_shares_are_written_where_there_are_any():
    shares = pd.DataFrame(
        [[0.75, 0], [0.25, 1]], index=["colour", "shape"], columns=["one first_model", "two"]
    )
    ax = heads.share_heatmap(shares, title="Heads")
    assert [text.get_text() for text in ax.texts] == ["75%", "", "25%", "100%"]
    assert (ticks(ax), ticks(ax, "x")) == (["colour", "shape"], ["one\nfirst\nmodel", "two"])


def test_marks_have_a_panel_each_and_models_a_line():
    rows = pd.MultiIndex.from_product([["this", "that"], ["a", "b"]], names=["mark", "model"])
    shares = pd.DataFrame({"share": [0.2, 0.3, 0.4, 0.5]}, index=rows)
    shares = shares.assign(low=shares["share"] - 0.1, high=shares["share"] + 0.2)
    figure = heads.model_shares(shares)
    for ax, mark in zip(figure.axes, ["this", "that"], strict=True):
        assert ax.get_title(loc="left") == mark
        np.testing.assert_allclose(ax.lines[0].get_xdata(), shares.loc[mark, "share"])
        drawn = [segment[:, 0] for segment in ax.collections[0].get_segments()]
        np.testing.assert_allclose(drawn, shares.loc[mark, ["low", "high"]])
    assert ticks(figure.axes[0]) == ["a", "b"]


def test_plots_go_where_they_are_told(names):
    own = plt.figure().add_subplot()
    association = xr.DataArray(np.ones((2, 3)), COORDS, AXES)
    assert heads.head_map(names, association, ax=own) is own
