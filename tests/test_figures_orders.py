"""What the figure of the published order shows."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from helpers.analysis import order
from helpers.figures import orders


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_a_dot_lies_at_each_count_and_a_ring_at_each_network():
    names = [order.MODEL, order.PIXELS, order.SAME_IMAGES]
    names += [f"untrained {n}" for n in (1, 2, 3)] + [order.CHANCE]
    table = pd.DataFrame({"agreeing": [11, 9, 12, 13, 13, 14, 8]}, index=names)
    table = table.assign(low=table["agreeing"] - 2, high=table["agreeing"] + 2, pairs=16)
    figure = orders.agreement({"photos": table, "scenes": table}, title="pairs")
    for ax in figure.axes:
        points = [tuple(point) for line in ax.lines for point in line.get_xydata()]
        assert points[:3] == [(11, 0), (9, 1), (12, 2)]
        assert sorted(x for x, _ in points[3:]) == [13, 13, 14]
        assert len(set(points)) == 6  # networks that agree equally lie side by side
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels[-1].startswith("3 untrained")
