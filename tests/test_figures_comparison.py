"""What the figure of several models shows."""

import matplotlib.pyplot as plt
import pandas as pd

from helpers.figures import comparison


def test_layers_have_a_line_of_shifts_and_one_of_ordinary_differences():
    own = pd.DataFrame({"shift": [0.1, 0.7], "ordinary": [-0.1, 0.6]}, index=[0, 1])
    figure = comparison.layer_profiles({"model: photos": own, "model: scenes": own.loc[:0]})
    first, second = figure.axes
    assert [list(line.get_ydata()) for line in first.lines] == [[0.1, 0.7], [-0.1, 0.6]]
    assert (first.get_title() or first.get_title(loc="left")) == "model: photos"
    assert first.get_ylim()[0] == -0.1
    assert list(second.get_xticks()) == [0]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["shifts, mean over changes", "two different images"]
    plt.close("all")
