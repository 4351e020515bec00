"""What the figures of one change to one image show."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from helpers.figures import changes, style
from helpers.figures.descriptions import describe

BLACK, GREY = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 51, np.uint8)
HEADS = pd.Series({"L3.H1": 0.5, "L0.H2": 0.25})
PREDICTIONS = pd.DataFrame(
    {"original": ["red", "round"], "changed": ["blue", "round"], "margin": [0.1, 0.3]},
    index=["colour", "shape"],
)


@pytest.fixture(autouse=True)
def styled():
    with plt.rc_context():
        style.apply()
        yield
        plt.close("all")


def test_pixels_before_and_after_and_how_much_they_differ():
    figure = changes.changed_pixels(BLACK, GREY, title="Grey", similarity=0.75)
    before, after, difference, similarity = figure.axes
    assert (before.images[0].get_array() == BLACK).all()
    assert (after.images[0].get_array() == GREY).all()
    assert (difference.images[0].get_array() == 51).all()
    assert "51.0 of 255" in difference.get_title(loc="left")
    assert similarity.patches[0].get_height() == 0.75
    assert "embedding similarity 0.750" in describe(figure)


def test_heads_and_answers_with_those_that_flipped_marked():
    figure = changes.shifted(
        BLACK, GREY, title="Grey", similarity=0.5, heads=HEADS, predictions=PREDICTIONS
    )
    *_, heads, answers = figure.axes
    assert [bar.get_width() for bar in heads.patches] == [0.5, 0.25]
    labels = [label.get_text() for label in answers.get_yticklabels()]
    assert labels == ["colour: red → blue", "shape: round"]
    assert [bar.get_facecolor() for bar in answers.patches] == [
        plt.matplotlib.colors.to_rgba(color) for color in (changes.AFTER, changes.BEFORE)
    ]
    told = describe(figure)
    assert "1 flipped" in told
    assert told.index("L3.H1 50%") < told.index("L0.H2 25%")


def test_a_model_without_texts_has_no_answers():
    figure = changes.shifted(
        BLACK, GREY, title="Grey", similarity=0.5, heads=HEADS, predictions=None
    )
    assert len(figure.axes) == 4


def test_everything_lies_within_the_picture():
    long = PREDICTIONS.assign(changed="as long as a description of a photograph can ever become")
    figure = changes.shifted(
        BLACK,
        GREY,
        title="Elastic transform\nseverity 0.00",
        similarity=-0.1,
        heads=HEADS * -1,
        predictions=long,
    )
    figure.canvas.draw()
    frame = figure.get_tightbbox().padded(-0.02)
    width, height = figure.get_size_inches()
    assert frame.x0 >= 0 and frame.y0 >= 0
    assert frame.x1 <= width and frame.y1 <= height
    boxes = [ax.get_tightbbox() for ax in figure.axes]
    assert all(one.x1 <= other.x0 for one, other in pairwise(boxes))
