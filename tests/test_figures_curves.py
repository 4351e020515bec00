"""Curves of the worst group: what is drawn is what was given."""

import matplotlib.pyplot as plt
import pandas as pd

from helpers.figures.curves import worst_groups


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
