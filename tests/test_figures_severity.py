"""What the severity figures show."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from helpers.figures import severity, style

SEVERITIES = [0.5, 1.0, 2.0]


@pytest.fixture(autouse=True)
def close_figures():
    with plt.rc_context():
        style.apply()
        yield
        plt.close("all")


@pytest.fixture
def curve():
    rows = [
        {"severity": at, "augmentation": name, "mean": 1 - slope * at}
        for name, slope in (("noise", 0.3), ("horizontal_flip", 0.0))
        for at in SEVERITIES
    ]
    table = pd.DataFrame(rows)
    return table.assign(low=table["mean"] - 0.05, high=table["mean"] + 0.05)


def test_every_measure_has_a_panel_and_every_augmentation_a_line(curve):
    figure = severity.dose_response(
        {"Similarity": curve, "Change": curve},
        reference={"Similarity": 0.9},
        unordered=["horizontal_flip"],
    )
    similarity, change = figure.axes
    noise, flip, reference = similarity.lines
    np.testing.assert_allclose(noise.get_ydata(), [0.85, 0.7, 0.4])
    assert to_hex(noise.get_color()) == style.color("noise").lower()
    assert flip.get_linestyle() == "--"
    assert reference.get_ydata()[0] == 0.9
    assert len(change.lines) == 2
    band = similarity.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((0.35, 0.9))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["Noise", "Horizontal flip"]


def test_flip_rates_by_severity_and_property(curve):
    by_property = pd.DataFrame(
        [[0.1, 0.6], [0.2, 0.3]], index=["noise", "blur"], columns=["colour", "shape"]
    )
    figure = severity.flip_rates(curve, by_property, severity=1.0)
    left, right = figure.axes
    assert len(left.lines) == 2
    np.testing.assert_allclose(right.images[0].get_array(), by_property)
    assert [text.get_text() for text in right.texts] == ["0.10", "0.60", "0.20", "0.30"]
    assert [tick.get_text() for tick in right.get_xticklabels()] == ["colour", "shape"]


def test_equal_change_shows_bands_lines_and_a_star_without_a_dose(curve):
    points = curve.assign(change=[0.1, 0.2, 0.3, 0.2, 0.2, 0.2])
    band = curve.assign(change=points["change"])
    ax = severity.equal_change(band, points, levels=[0.15])
    level, noise, flip = ax.lines
    assert level.get_xdata()[0] == 0.15
    np.testing.assert_allclose(noise.get_data(), [[0.1, 0.2, 0.3], [0.85, 0.7, 0.4]])
    assert (noise.get_marker(), flip.get_marker()) == ("o", "*")


def test_crossings_beyond_the_range_are_arrows_and_none_is_words_alone():
    table = pd.DataFrame(
        {
            "severity": [0.8, np.inf, -np.inf, np.nan],
            "low": [0.7, 1.5, -np.inf, np.nan],
            "high": [0.9, np.inf, -np.inf, np.nan],
            "answer": ["0.80 [0.70, 0.90]", "> 2 [1.50, > 2]", "< 0.5", "no dose"],
        },
        index=["noise", "elastic", "blur", "horizontal_flip"],
    )
    ax = severity.crossings(table, severities=SEVERITIES)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [
        "Horizontal flip",
        "Elastic",
        "Noise",
        "Blur",
    ]
    assert [text.get_text() for text in ax.texts][::-1] == list(table["answer"].iloc[[2, 0, 1, 3]])
    markers = [line for line in ax.lines if line.get_marker() != "None"]
    assert [line.get_marker() for line in markers] == ["o", ">", "o", "<"]
    arrow = markers[1].get_xdata()[0]
    assert 2 < arrow < ax.get_xlim()[1]
    assert np.isnan(markers[0].get_xdata()[0])
