"""What the figures of answers show."""

import pandas as pd
import pytest

from helpers.figures import answers, style


@pytest.fixture
def gained():
    return pd.DataFrame(
        {
            "augmentation": ["noise", "noise", "blur"],
            "answer": ["star", "dotted", "solid"],
            "before": [28, 29, 43],
            "after": [98, 98, 57],
            "n": 100,
        }
    )


def test_a_bar_leads_from_before_to_after_in_the_colour_of_its_change(gained):
    words = pd.Series({"noise": "", "blur": "", "elastic": "nothing"})
    figure = answers.gained_answers(
        {"photos": gained.iloc[:1], "scenes": gained},
        otherwise={"photos": words, "scenes": words},
        changes=list(words.index),
    )
    photos, scenes = figure.axes
    bars = [line for line in scenes.lines if line.get_linewidth() == 3]
    assert [list(bar.get_xdata()) for bar in bars] == [[0.28, 0.98], [0.29, 0.98], [0.43, 0.57]]
    assert [bar.get_color() for bar in bars] == [style.color(n) for n in gained["augmentation"]]
    assert [text.get_text() for text in scenes.texts] == [
        "star  28 → 98",
        "dotted  29 → 98",
        "solid  43 → 57",
        "nothing",
    ]
    assert [text.get_text() for text in photos.texts] == ["star  28 → 98", "", "nothing"]
    labels = [label.get_text() for label in photos.get_yticklabels()]
    assert labels == ["Noise", "Blur", "Elastic"]


def test_a_line_for_every_answer_by_depth():
    table = pd.DataFrame(
        {"augmentation": "noise", "answer": "star", "depth": ["start", "0"], "gain": [0, 0.7]}
    )
    figure = answers.answers_by_depth({"photos": table.iloc[:0], "scenes": table})
    photos, scenes = figure.axes
    (line,) = [line for line in scenes.lines if line.get_label() == "Noise: star"]
    assert list(line.get_ydata()) == [0, 0.7]
    assert [text.get_text() for text in photos.texts] == ["no answer gains"]
