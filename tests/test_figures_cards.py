"""What cards of heads and sheets of them show."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from helpers.analysis.cards import strongest
from helpers.figures import cards, style
from tests.test_analysis_cards import deck  # noqa: F401

TEXTS = [f"text {number}" for number in range(28)]
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def close_figures():
    with plt.rc_context():
        style.apply()
        yield
        plt.close("all")


@pytest.fixture
def card(deck):  # noqa: F811
    return deck.sel(layer=5, head=1)


def widths(ax):
    return [bar.get_width() for bar in ax.patches]


def test_a_card_shows_texts_images_and_bars(card):
    figure = cards.head_card(card, texts=TEXTS, images=IMAGES, why="most needed")
    said, shown, varies, reads, lost, carried = figure.axes[:6]
    assert figure.get_suptitle() == "L5.H1: colour (most needed)"
    assert [text.get_text() for text in said.texts[::2]] == TEXTS[21:26]
    assert widths(said) == pytest.approx([0.1] * 5)
    for inset, image in zip(shown.child_axes, IMAGES, strict=True):
        np.testing.assert_array_equal(inset.images[0].get_array(), image)
    assert widths(varies) == card["variance"].values.tolist()
    assert widths(reads) == card["skill"].values.tolist()
    np.testing.assert_allclose(widths(lost), 100 * card["without"].values)
    np.testing.assert_allclose(widths(carried), 100 * card["share"].values)
    assert [label.get_text() for label in carried.get_yticklabels()] == ["Noise", "Blur"]
    colors = [to_hex(bar.get_facecolor(), keep_alpha=False) for bar in carried.patches]
    assert colors == [style.color(name).lower() for name in ("noise", "blur")]


def test_long_texts_stay_left_of_their_numbers(card):
    long = ["a view of something that is described in very many words, and then some more"] * 28
    figure = cards.head_card(card, texts=long, images=IMAGES)
    figure.canvas.draw()
    said = figure.axes[0]
    for text, number in zip(said.texts[::2], said.texts[1::2], strict=True):
        assert text.get_window_extent().x1 < number.get_window_extent().x0


def test_a_sheet_has_a_cell_per_head(deck):  # noqa: F811
    heads = [deck.sel(layer=5, head=head) for head in (0, 1)]
    figure = cards.contact_sheet(
        heads, texts=TEXTS, images=[IMAGES, IMAGES], facts=map(strongest, heads)
    )
    cells = [cell for cell in figure.subfigs if cell.axes]
    assert [cell.get_suptitle() for cell in cells] == ["L5.H0: size or shape", "L5.H1: colour"]
    assert all(len(cell.axes) == 4 for cell in cells)
    told = cells[1].get_supxlabel()
    assert told.splitlines()[:2] == TEXTS[21:23]
    assert "varies with shape (0.60)" in told
    assert "without it shape -20.0 points; carries 70.0% of blur" in told
