"""One colour and one label for every name."""

import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from helpers.analysis.scores import SCORES
from helpers.checks import WorkbookError
from helpers.data import SETS, STUDY, VIEWS
from helpers.figures import layout, style


@pytest.fixture
def shown():
    """Give changes colours as a notebook does, and the study's back afterwards."""
    yield style.apply
    style.apply()


TWENTY = (*SETS["corruptions"], *STUDY[:5])


@pytest.mark.parametrize("changes", [STUDY[:1], *SETS.values(), TWENTY], ids=len)
def test_up_to_twenty_changes_have_a_colour_of_their_own(shown, changes):
    shown(changes)
    colors = np.array([to_rgb(style.color(name)) for name in ("original", *changes)])
    gaps = [np.abs(a - b).max() for a, b in itertools.combinations(colors, 2)]
    assert min(gaps) > 0.1
    assert np.abs(colors - to_rgb(style.REFERENCE)).max(axis=1).min() > 0.1


def test_the_studys_colours_are_the_same_in_every_set(shown):
    before = {name: style.color(name) for name in STUDY}
    shown(TWENTY)
    assert {name: style.color(name) for name in STUDY} == before


def test_lines_of_many_changes_differ_in_style_too(shown):
    shown(TWENTY)
    looks = [tuple(style.line(name).values()) for name in TWENTY]
    assert len(set(looks[:10])) == 1
    assert len(set(looks[10:])) == 1
    assert looks[0] != looks[-1]


def test_every_view_and_score_has_a_label():
    labels = [style.label(name) for name in (*VIEWS, *SCORES)]
    assert len(set(labels)) == len(labels) == 16


def test_a_label_within_a_sentence_keeps_its_names():
    names = ("color_jitter", "jpeg", "resize_lanczos", "l2_distance")
    assert [style.in_words(name) for name in names] == [
        "colour jitter",
        "JPEG quality",
        "resize: Lanczos",
        "L2 distance",
    ]


def test_unknown_names_are_refused():
    with pytest.raises(WorkbookError, match="Did you mean 'noise'"):
        style.color("nois")
    assert style.label("of_a_stored_run") == "Of a stored run"


def test_apply_sets_the_defaults():
    mpl.rcdefaults()
    style.apply()
    for name, value in style.SETTINGS.items():
        assert mpl.rcParams[name] == value


def test_fonts_for_other_scripts_are_those_that_are_installed(monkeypatch):
    installed = ["Noto Sans CJK JP", "Comic Sans MS", "DejaVu Sans"]
    monkeypatch.setattr(style.font_manager, "get_font_names", lambda: installed)
    style.apply()
    assert mpl.rcParams["font.family"] == ["DejaVu Sans", "Noto Sans CJK JP"]


def test_cells_are_written_dark_on_light_and_light_on_dark():
    image = plt.subplots()[1].imshow([[0.0, 1.0]], cmap="gray")
    layout.annotate_cells(image, [["a", "b"]])
    found = {text.get_text(): text.get_color() for text in image.axes.texts}
    assert found == {"a": "white", "b": style.INK}
    assert [text.get_position() for text in image.axes.texts] == [(0, 0), (1, 0)]


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 1)), (4, (2, 3)), (9, (3, 3))])
def test_panels_leave_no_empty_axes(count, shape):
    figure, axes = layout.panels(count, size=(6, 1))
    assert len(axes) == len(figure.axes) == count
    np.testing.assert_allclose(figure.get_size_inches(), (6 * shape[1], shape[0]))


def test_a_single_small_panel_has_room_for_the_names_of_its_axes():
    sizes = [layout.panels(count, size=(3, 2))[0].get_size_inches() for count in (1, 2, 4)]
    np.testing.assert_allclose(sizes, [layout.LEAST, (6, 2), (9, 4)])


def test_a_row_takes_the_same_height_whatever_their_number():
    heights = [layout.tall((8, 5), changes)[1] for changes in (9, 1, 2, 20)]
    assert heights[0] == 5
    assert heights[2] - heights[1] == pytest.approx((heights[3] - heights[2]) / 18)


def test_the_lowest_panel_of_every_column_has_its_ticks_labelled():
    _, axes = layout.panels(5, sharex=True)
    labelled = [ax.xaxis.get_tick_params()["labelbottom"] for ax in axes]
    assert labelled == [False, False, True, True, True]


def test_sample_note_tells_the_range_of_n():
    assert layout.sample_note(np.array([5, 5])) == "n = 5 images"
    assert layout.sample_note(np.array([1, 1])) == "n = 1 image"
    assert layout.sample_note(np.array([5, 3])) == "n = 3 to 5 images"
