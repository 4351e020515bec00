"""Figures in words."""

import matplotlib.pyplot as plt
import pytest

from helpers.figures.layout import MOST, describe


@pytest.fixture
def figure():
    figure, axes = plt.subplots(1, 2)
    yield figure, axes
    plt.close(figure)


def test_a_figure_tells_its_titles_axes_rows_and_series(figure):
    drawn, (left, right) = figure
    left.set_title("photos", loc="left")
    left.plot([0, 1], label="heads")
    left.plot([1, 0], label="MLPs")
    left.legend()
    left.set(xlabel="depth", ylabel="share")
    right.set_title("scenes")
    right.set_yticks([0, 1], ["Blur", "Noise,\nstrong"])
    assert describe(drawn) == (
        "Panels: photos; scenes. Horizontal axis: depth. Vertical axis: share."
        " Rows: Noise, strong; Blur. Series: heads; MLPs."
    )


def test_what_repeats_is_told_once_and_much_is_counted(figure):
    drawn, axes = figure
    for ax in axes:
        ax.set_xlabel("severity")
        ax.set_yticks(range(MOST + 3), [f"row {number}" for number in range(MOST + 3)])
    told = describe(drawn)
    assert told.count("severity") == 1
    assert told.endswith("and 3 more.")


def test_a_figure_without_words_has_no_description(figure):
    drawn, _ = figure
    assert describe(drawn) == ""
