"""Means with intervals, and orders beside their baselines."""

import numpy as np
import pandas as pd
import pytest

from helpers.analysis import order
from helpers.checks import WorkbookError
from helpers.figures import dots, heatmaps


@pytest.fixture
def table():
    means = pd.DataFrame(
        {"mean": [0.2, 0.8], "low": [0.1, np.nan], "high": [0.3, np.nan]}, index=["noise", "blur"]
    )
    return dots.stacked({"one": means, "other": means + 0.1})


def test_a_dot_lies_at_every_mean_in_its_own_row(table):
    figure = dots.interval_dots({"photos": table, "scenes": table}, xlabel="score")
    for ax in figure.axes:
        drawn = {round(x, 3) for line in ax.lines for x in line.get_xdata() if 0 < x < 1}
        assert drawn >= {0.2, 0.8, 0.3, 0.9}
        places = [round(y) for line in ax.lines[:2] for y in line.get_ydata()]
        assert places == [0, 1, 0, 1]
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["Noise", "Blur"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "other"]


def test_a_band_is_drawn_in_its_panel_and_named(table):
    figure = dots.interval_dots(
        {"photos": table, "scenes": table},
        xlabel="score",
        bands={"chance": {"photos": (0.4, 0.5)}, "floor": {"photos": (0, 0.1), "scenes": (0, 0.2)}},
    )
    assert [len(ax.patches) for ax in figure.axes] == [2, 1]
    assert [text.get_text() for text in figure.legends[0].get_texts()[-2:]] == ["chance", "floor"]


def test_one_series_needs_no_legend(table):
    figure = dots.interval_dots({"": table[table["series"] == "one"]}, xlabel="score")
    assert not figure.legends


def test_heatmaps_write_their_numbers_and_leave_unknown_cells_empty():
    table = pd.DataFrame({"a": [0.123, np.nan]}, index=["noise", "blur"])
    figure = heatmaps.heatmaps({"one": table, "two": 1 - table})
    texts = [[text.get_text() for text in ax.texts] for ax in figure.axes]
    assert texts == [["0.12", ""], ["0.88", ""]]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["Noise", "Blur"]


def test_a_value_that_rounds_to_nothing_has_no_sign():
    figure = heatmaps.heatmaps({"one": pd.DataFrame({"a": [-0.001]})}, limits=(-1, 1))
    assert figure.axes[0].texts[0].get_text() == "0.00"


def test_a_heatmap_with_empty_cells_alone_says_so():
    none = pd.DataFrame({"a": [np.nan], "b": [np.nan]})
    figure = heatmaps.heatmaps({"one": none, "two": none.fillna(1)}, empty="no pair is told apart")
    first, second = ([text.get_text() for text in ax.texts] for ax in figure.axes)
    assert [text for text in first if text] == ["no pair is told apart"]
    assert second == ["1.00", "1.00"]


def test_heatmaps_of_other_rows_are_refused():
    one, other = (pd.DataFrame({"a": [1.0]}, index=[name]) for name in ("noise", "blur"))
    with pytest.raises(WorkbookError, match="same rows"):
        heatmaps.heatmaps({"one": one, "other": other})


def test_a_dot_lies_at_each_count_and_a_ring_at_each_network():
    names = [order.MODEL, order.PIXELS, order.SAME_IMAGES]
    names += [f"untrained {n}" for n in (1, 2, 3)] + [order.CHANCE]
    table = pd.DataFrame({"agreeing": [11, 9, 12, 13, 13, 14, 8]}, index=names)
    table = table.assign(low=table["agreeing"] - 2, high=table["agreeing"] + 2, pairs=16)
    figure = dots.order_agreement({"photos": table, "scenes": table}, title="pairs")
    for ax in figure.axes:
        points = [tuple(point) for line in ax.lines for point in line.get_xydata()]
        assert points[:3] == [(11, 0), (9, 1), (12, 2)]
        assert sorted(x for x, _ in points[3:]) == [13, 13, 14]
        assert len(set(points)) == 6  # networks that agree equally lie side by side
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels[-1].startswith("3 untrained")
