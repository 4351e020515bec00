"""What the summary's figure shows."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from helpers.figures import style, summary

NAMES = ["noise", "blur"]


@pytest.fixture(autouse=True)
def close_figures():
    with plt.rc_context():
        style.apply()
        yield
        plt.close("all")


@pytest.fixture
def shift():
    return pd.DataFrame({"mean": [0.5, 0.1], "low": [0.4, 0.05], "high": [0.6, 0.2]}, index=NAMES)


def drawn(shift, parts):
    notes = pd.DataFrame({"accuracy lost": ["66%", "9%"]}, index=NAMES)
    sides = [{"photos": half, "scenes": own} for half, own in ((shift / 2, shift), (parts, parts))]
    first, second = summary.answer(*sides, {"photos": notes, "scenes": notes}).axes
    assert [ax.get_title(loc="left") for ax in (first, second)] == ["photos", "scenes"]
    np.testing.assert_allclose(widths(first), widths(second) / 2)
    return second


def widths(ax):
    """Lengths of the bars' pieces, (parts, augmentations), from the bottom."""
    bars = [
        bar for container in ax.containers if hasattr(container, "patches") for bar in container
    ]
    return np.array([bar.get_width() for bar in bars]).reshape(len(summary.COLORS), -1)


def test_bars_are_as_long_as_the_shift_and_divided_by_the_shares(shift):
    shares = np.array([[0.1, 0.4, 0.1, 0.2, 0.1, 0.1], [0.2, 0.2, 0.2, 0.2, 0.1, 0.1]])
    ax = drawn(shift, pd.DataFrame(shares, index=NAMES, columns=list(summary.COLORS)))
    pieces = widths(ax)
    np.testing.assert_allclose(pieces.sum(axis=0), [0.1, 0.5])
    np.testing.assert_allclose(pieces[:, 1], 0.5 * shares[0])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["Blur", "Noise"]
    assert {"accuracy lost", "66%", "9%"} == {text.get_text() for text in ax.texts}


def test_a_negative_share_has_no_length(shift):
    shares = np.array([[-0.1, 0.6, 0.2, 0.1, 0.1, 0.1], [0.2, 0.2, 0.2, 0.2, 0.1, 0.1]])
    pieces = widths(drawn(shift, pd.DataFrame(shares, index=NAMES, columns=list(summary.COLORS))))
    assert pieces[0, 1] == 0
    assert pieces[:, 1].sum() == pytest.approx(0.5)


def test_without_a_shift_there_are_no_bars():
    none = pd.DataFrame({"mean": [0.0, 0.0], "low": np.nan, "high": np.nan}, index=NAMES)
    pieces = widths(drawn(none, pd.DataFrame(0.0, index=NAMES, columns=list(summary.COLORS))))
    assert not pieces.any()


def test_without_an_account_bars_are_whole(shift):
    notes = pd.DataFrame({"below 0.9 at": ["0.2", "1.4"]}, index=NAMES)
    figure = summary.answer({"photos": shift}, None, {"photos": notes})
    (ax,) = figure.axes
    lengths = [bar.get_width() for bar in ax.patches]
    assert lengths == [0.1, 0.5]
    assert not figure.legends


def test_a_column_that_says_nothing_of_any_source_is_left_out(shift):
    notes = pd.DataFrame({"accuracy lost": ["–", "–"], "below 0.9 at": ["–", "1.4"]}, index=NAMES)
    ax = summary.answer({"photos": shift}, None, {"photos": notes}).axes[0]
    assert [text.get_text() for text in ax.texts] == ["below 0.9 at", "1.4", "–"]
