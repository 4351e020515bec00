"""What cards of heads and sheets of them show."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from helpers.analysis.roles import standing_out
from helpers.figures import cards, style
from tests.test_analysis_roles import deck  # noqa: F401

TEXTS = [f"text {number}" for number in range(28)]
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def close_figures():
    with plt.rc_context():
        style.apply()
        yield
        plt.close("all")


def test_a_sheet_has_a_cell_per_head(deck):  # noqa: F811
    heads = [deck.sel(layer=5, head=head) for head in (0, 1)]
    figure = cards.contact_sheet(
        heads, texts=TEXTS, images=[IMAGES, IMAGES], facts=map(standing_out, heads)
    )
    cells = [cell for cell in figure.subfigs if cell.axes]
    assert [cell.get_suptitle() for cell in cells] == ["L5.H0: size or shape", "L5.H1: colour"]
    assert all(len(cell.axes) == 4 for cell in cells)
    told = cells[1].get_supxlabel()
    assert told.splitlines()[:2] == TEXTS[21:23]
    assert "varies with shape (60% of its variance)" in told
    assert "sways answers about colour most (50% of their spread)" in told
    assert "carries 70.0% of blur" in told
