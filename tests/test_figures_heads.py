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
        {"variance": [-0.2, 0.5, 1], "cosine": [0.4, 0.8, 1], "answers": [0.1, 0.6, 1]},
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


def test_scores_stand_beside_their_chance():
    columns = ["value", "low", "high", "chance", "chance_low", "chance_high"]
    rows = {
        "association": [0.6, 0.5, 0.7, 0.3, 0.2, 0.4],
        "overlap": [0.1, 0.05, 0.2, 0.02, 0, 0.1],
    }
    figure = heads.score_intervals(pd.DataFrame.from_dict(rows, orient="index", columns=columns))
    for ax, row in zip(figure.axes, rows.values(), strict=True):
        bars = {c.get_segments()[0][0, 1]: c.get_segments()[0][:, 0] for c in ax.collections}
        np.testing.assert_allclose(bars[1], row[1:3])
        np.testing.assert_allclose(bars[0], row[4:])
        dots = {line.get_ydata()[0]: line.get_xdata()[0] for line in ax.lines}
        assert (dots[1], dots[0]) == (row[0], row[3])
        assert ax.get_xlim()[1] > max(row)


def test_scores_that_one_image_leaves_undefined_are_left_out():
    columns = ["value", "low", "high", "chance", "chance_low", "chance_high"]
    table = pd.DataFrame(np.nan, index=list(heads.SCORES), columns=columns)
    for ax in heads.score_intervals(table).axes:
        assert ax.get_xlim() == pytest.approx((0, 0.0115))


def test_heads_are_counted_by_association_and_so_is_chance():
    association = xr.DataArray([[0.2, 0.6, 0.6], [1, 0.4, np.nan]], COORDS, AXES)
    shuffled = np.array([[[0.2, 0.2, 0.4], [0.2, 0.2, 0.2]], [[0.4, 0.4, 0.4], [0.2, 0.2, 0.2]]])
    chance = xr.DataArray(shuffled, COORDS, ("draw", *AXES))
    ax = heads.association_histogram(association, chance, top=5)
    assert [bar.get_height() for bar in ax.patches] == [1, 1, 2, 0, 1]
    (steps,) = ax.collections
    assert [segment[0, 1] for segment in steps.get_segments()] == [4, 2, 0, 0, 0]


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


def test_counts_are_written_where_there_are_any():
    counts = pd.DataFrame([[3, 0], [1, 2]], index=["colour", "shape"], columns=["one", "two"])
    ax = heads.count_heatmap(counts, title="Heads")
    assert [text.get_text() for text in ax.texts] == ["3", "", "1", "2"]
    assert (ticks(ax), ticks(ax, "x")) == (["colour", "shape"], ["one", "two"])


def test_plots_go_where_they_are_told(names):
    own = plt.figure().add_subplot()
    association = xr.DataArray(np.ones((2, 3)), COORDS, AXES)
    assert heads.head_map(names, association, ax=own) is own
