import numpy as np
import pandas as pd

from helpers.figures.summary import ANOTHER_IMAGE, NOTHING, summary

CHANGES = ["noise", "blur"]
SOURCES = ["photos", "scenes"]


def drawn(sources=SOURCES, seen=("a star", "nothing"), means=(1.4, 0.1)):
    before, after = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 200, np.uint8)
    rows = pd.DataFrame({"mean": means, "low": means, "high": means}, index=CHANGES)
    notes = {
        "seen instead": (20, {s: pd.Series(list(seen), CHANGES) for s in sources}),
        "of nothing": (20, {s: pd.Series(NOTHING, CHANGES) for s in sources}),
    }
    pictures = dict.fromkeys(CHANGES, (before, after))
    return summary(pictures, dict.fromkeys(sources, rows), notes)


def texts(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def test_a_row_per_change_has_both_pictures_and_a_dot_per_source():
    axes = np.reshape(drawn().axes, (3, 4))
    for row, mean in zip(axes[1:], (1.4, 0.1), strict=True):
        assert [int(ax.images[0].get_array().max()) for ax in row[:2]] == [0, 200]
        dots = [line.get_xdata()[0] for line in row[2].lines if line.get_marker() in "os"]
        assert dots == [mean, mean]
        reference = [line for line in row[2].lines if line.get_linestyle() == ":"]
        assert reference[0].get_xdata()[0] == ANOTHER_IMAGE
    assert [row[0].get_ylabel() for row in axes[1:]] == ["Noise", "Blur"]


def test_notes_stand_beside_their_source_and_silent_columns_are_left_out():
    found = texts(drawn())
    assert "● a star\n■ a star" in found
    assert "seen instead" in found and "of nothing" not in found
    assert any("● photos" in text for text in found)


def test_a_single_source_needs_no_marks():
    found = texts(drawn(sources=["photos"]))
    assert "a star" in found
    assert not any("●" in text for text in found)


def test_a_shift_that_is_not_known_has_no_dot():
    figure = drawn(means=(float("nan"), 0.1))
    assert np.isfinite(figure.axes[6].get_xlim()).all()
