"""Curves over severity, over ablated heads and over layers."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from helpers.figures import curves, style
from helpers.figures.curves import layer_profiles, worst_groups

pytestmark = pytest.mark.usefixtures("styled")
SEVERITIES = [0.5, 1.0, 2.0]


@pytest.fixture
def curve():
    rows = [
        {"severity": at, "augmentation": name, "mean": 1 - slope * at}
        for name, slope in (("noise", 0.3), ("horizontal_flip", 0.0))
        for at in SEVERITIES
    ]
    table = pd.DataFrame(rows)
    return table.assign(low=table["mean"] - 0.05, high=table["mean"] + 0.05)


def test_every_group_has_a_panel_and_every_series_a_line_with_its_band(curve):
    table = curve.rename(columns={"augmentation": "series"})
    figure = curves.dose_response(
        {"noise": table, "b": table},
        reference=0.9,
        ylabel="similarity",
        xlabel="severity, in stops",
    )
    assert figure.get_supxlabel() == "severity, in stops"
    first, second = figure.axes
    one, other, reference = first.lines
    np.testing.assert_allclose(one.get_ydata(), [0.85, 0.7, 0.4])
    np.testing.assert_allclose(other.get_ydata(), [1, 1, 1])
    assert reference.get_ydata()[0] == 0.9
    assert [ax.get_title(loc="left") for ax in (first, second)] == ["Noise", "b"]
    band = first.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((0.35, 0.9))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["noise", "horizontal_flip"]


def test_lines_have_the_colour_of_their_change_and_differ_by_line(curve):
    table = curve.rename(columns={"augmentation": "series"})
    figure = curves.dose_response({"noise": table, "blur": table, "a, b": table}, ylabel="y")
    colors = [[to_hex(line.get_color()) for line in ax.lines] for ax in figure.axes]
    expected = [style.color("noise").lower(), style.color("blur").lower(), style.INK.lower()]
    assert colors == [[color] * 2 for color in expected]
    assert [line.get_linestyle() for line in figure.axes[0].lines] == ["-", "--"]


def test_more_lines_than_looks_are_all_drawn(curve):
    many = [f"source {number}" for number in range(9)]
    table = pd.concat([curve[:3].assign(series=name) for name in many])
    figure = curves.dose_response({"noise": table}, ylabel="similarity")
    assert len(figure.axes[0].lines) == 9


def test_equal_change_names_its_lines_and_stars_what_has_no_dose(curve):
    points = curve.assign(change=[0.1, 0.2, 0.3, 0.2, 0.2, 0.2])
    ax = curves.equal_change(points, levels=[0.15], ax=plt.gca())
    level, noise, flip = ax.lines
    assert level.get_xdata()[0] == 0.15
    np.testing.assert_allclose(noise.get_data(), [[0.1, 0.2, 0.3], [0.85, 0.7, 0.4]])
    assert (noise.get_marker(), flip.get_marker()) == ("o", "*")
    assert to_hex(noise.get_color()) == style.color("noise").lower()
    names = {text.get_text(): text.xy for text in ax.texts}
    assert names["Noise"] == pytest.approx((0.3, 0.4))
    assert set(names) == {"Noise", "Horizontal flip"}


def test_names_are_moved_apart_and_keep_their_order_and_middle():
    heights = curves._apart([0.0, 0.01, 0.02, 0.9], 0.1)
    assert (np.diff(heights) >= 0.1 - 1e-12).all()
    assert np.mean(heights) == pytest.approx(np.mean([0.0, 0.01, 0.02, 0.9]))
    np.testing.assert_allclose(curves._apart([0.0, 0.5, 1.0], 0.1), [0.0, 0.5, 1.0])


def test_a_curve_for_every_order_and_a_line_for_what_could_be_reached():
    own = pd.DataFrame({"mean": [0.3, 0.4], "low": [0.2, 0.3], "high": [0.4, 0.5]}, index=[0, 2])
    figure = worst_groups({"contribution": own, "random": own + 0.1}, even=0.8)
    (ax,) = figure.axes
    assert ax.lines[0].get_ydata().tolist() == [0.3, 0.4]
    assert ax.lines[0].get_xdata().tolist() == [0, 2]
    assert list(ax.lines[2].get_ydata()) == [0.8, 0.8]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["heads by contribution", "random heads", "a probe that was not misled"]
    plt.close(figure)


def test_a_panel_per_model_has_both_lines():
    own = pd.DataFrame({"shift": [0.1, 0.6], "ordinary": [0.2, 0.5]}, index=[0, 1])
    figure = layer_profiles({"one": own, "other": own})
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["one", "other"]
    for ax in figure.axes:
        assert [line.get_ydata().tolist() for line in ax.lines] == [[0.1, 0.6], [0.2, 0.5]]
