"""Figures of heads, and sheets of their cards."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.patches import Rectangle

from helpers.analysis.roles import standing_out
from helpers.figures import heads
from tests.test_analysis_roles import deck  # noqa: F401

pytestmark = pytest.mark.usefixtures("styled")
COORDS = {"layer": [4, 5], "head": [0, 1, 2]}
AXES = ("layer", "head")
TEXTS = [f"text {number}" for number in range(28)]
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)


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


def test_explained_variance_adds_up_for_heads_their_mean_and_chance():
    explained = np.random.default_rng(0).dirichlet(np.ones(5), (2, 3))[..., :4]
    coords = COORDS | {"choice": [1, 2, 3, 4]}
    own = xr.DataArray(explained, coords, (*AXES, "choice"))
    by_chance = xr.concat([own / 2, own / 4], "draw").expand_dims(pool=["anything"])
    ax = heads.explained_curves(own, by_chance, ax=plt.gca())
    drawn = np.array([line.get_ydata() for line in ax.lines])
    np.testing.assert_allclose(drawn[:6], explained.cumsum(axis=-1).reshape(6, 4))
    mean = explained.mean(axis=(0, 1)).cumsum()
    np.testing.assert_allclose(drawn[6:], [mean, mean * 3 / 8])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["texts", "anything"]


def test_heads_are_counted_by_association_and_so_is_chance():
    association = xr.DataArray([[0.2, 0.6, 0.6], [1, 0.4, np.nan]], COORDS, AXES)
    untrained = xr.DataArray([[0.2, 0.2, 0.2], [0.2, 0.4, 0.4]], COORDS, AXES)
    shuffled = np.array([[[0.2, 0.2, 0.4], [0.2, 0.2, 0.2]], [[0.4, 0.4, 0.4], [0.2, 0.2, 0.2]]])
    chance = xr.DataArray(shuffled, COORDS, ("draw", *AXES))
    ax = heads.association_histogram(
        {"own": association, "other": untrained}, chance, top=5, ax=plt.gca()
    )
    own, other = ([bar.get_height() for bar in bars] for bars in ax.containers)
    assert own == [1, 1, 2, 0, 1]
    assert other == [4, 2, 0, 0, 0]
    steps = [c for c in ax.collections if c.get_label() == "chance"]
    assert [segment[0, 1] for segment in steps[0].get_segments()] == [4, 2, 0, 0, 0]


def test_squares_mark_labels_and_dots_the_largest_value(names):
    attributes = ["shape", "colour", "size"]
    rng = np.random.default_rng(1)
    variance, answers = (
        xr.DataArray(
            rng.random((2, 3, 3)), COORDS | {"attribute": attributes}, (*AXES, "attribute")
        )
        for _ in range(2)
    )
    figure = heads.labels_and_truth(variance, answers, names)
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
    for ax, values in ((left, variance.values), (right, answers.values)):
        expected = np.array([values[place] for place in places])
        np.testing.assert_allclose(ax.images[0].get_array(), expected)
        np.testing.assert_array_equal(ax.lines[0].get_xdata(), expected.argmax(axis=1))
        corners = [p.get_xy() for p in ax.patches if isinstance(p, Rectangle)]
        assert corners == [(-0.5, -0.5), (0.5, 0.5), (0.5, 1.5), (1.5, 2.5)]


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


def test_a_sheet_has_a_cell_per_head(deck):  # noqa: F811
    cards = [deck.sel(layer=5, head=head) for head in (0, 1)]
    figure = heads.contact_sheet(
        cards, texts=TEXTS, images=[IMAGES, IMAGES], facts=map(standing_out, cards)
    )
    cells = [cell for cell in figure.subfigs if cell.axes]
    assert [cell.get_suptitle() for cell in cells] == ["L5.H0: size or shape", "L5.H1: colour"]
    assert all(len(cell.axes) == 4 for cell in cells)
    told = cells[1].get_supxlabel()
    assert told.splitlines()[:2] == TEXTS[21:23]
    assert "varies with shape (60% of its variance)" in told
    assert "sways answers about colour most (50% of their spread)" in told
    assert "carries 70.0% of blur" in told
