import matplotlib.pyplot as plt
import pandas as pd
import pytest

from helpers.figures.comparison import layer_profiles


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_a_panel_per_model_has_both_lines():
    own = pd.DataFrame({"shift": [0.1, 0.6], "ordinary": [0.2, 0.5]}, index=[0, 1])
    figure = layer_profiles({"one": own, "other": own})
    assert [ax.get_title() for ax in figure.axes] == ["one", "other"]
    for ax in figure.axes:
        assert [line.get_ydata().tolist() for line in ax.lines] == [[0.1, 0.6], [0.2, 0.5]]
