"""Views, attention over them, and one change to one image."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers.checks import WorkbookError
from helpers.data import AUGMENTATIONS, VIEWS
from helpers.figures import images, style
from helpers.figures.layout import describe

pytestmark = pytest.mark.usefixtures("styled")

BLACK, GREY = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 51, np.uint8)
HEADS = pd.Series({"L3.H1": 0.5, "L0.H2": 0.25})
PREDICTIONS = pd.DataFrame(
    {"original": ["red", "round"], "changed": ["blue", "round"], "margin": [0.1, 0.3]},
    index=["colour", "shape"],
)


@pytest.fixture
def pixels():
    return np.random.default_rng(3).integers(0, 256, (2, 10, 8, 8, 3), dtype=np.uint8)


def cells(figure, rows, columns):
    return np.array(figure.axes[: rows * columns]).reshape(rows, columns)


def titles_of(axes):
    return [ax.get_title().replace("-\n", "-").replace("\n", " ") for ax in axes]


def test_view_grids_show_every_view(pixels):
    figure = images.view_grid(pixels, views=VIEWS, titles=["one", "two"])
    axes = cells(figure, 2, 10)
    for place, ax in np.ndenumerate(axes):
        np.testing.assert_array_equal(ax.images[0].get_array(), pixels[place])
    assert titles_of(axes[0]) == [style.label(name) for name in VIEWS]
    assert titles_of(axes[1]) == [""] * 10
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["one", "two"]


@pytest.fixture
def change():
    values = xr.DataArray(
        np.random.default_rng(5).uniform(0, 80, (300, 9)),
        dims=("image", "augmentation"),
        coords={"augmentation": list(AUGMENTATIONS)},
    )
    means = pd.DataFrame({"mean": values.mean("image").values, "n": 300}, index=list(AUGMENTATIONS))
    return means.assign(low=means["mean"] - 3, high=means["mean"] + 5), values


def test_bars_keep_the_order_and_are_coloured_and_have_intervals(change):
    means, values = change
    ax = images.change_bars(means, values, ax=plt.gca())
    expected = means[::-1]
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], expected["mean"])
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == [style.label(name) for name in expected.index]
    for bar, name in zip(ax.patches, expected.index, strict=True):
        assert bar.get_facecolor()[:3] == pytest.approx(
            plt.matplotlib.colors.to_rgb(style.color(name))
        )
    (whiskers,) = ax.collections
    for segment, (_, row) in zip(whiskers.get_segments(), expected.iterrows(), strict=True):
        assert segment[:, 0].tolist() == pytest.approx([row["low"], row["high"]])
    assert "n = 300 images" in ax.get_title(loc="left")


def test_dots_are_the_first_200_images(change):
    means, values = change
    ax = images.change_bars(means, values, ax=plt.gca())
    dots = [line for line in ax.lines if line.get_marker() == "."]
    for line, name in zip(dots, means.index[::-1], strict=True):
        np.testing.assert_array_equal(line.get_xdata(), values.sel(augmentation=name)[:200])


@pytest.fixture
def grid():
    rng = np.random.default_rng(8)
    pixels = rng.integers(0, 256, (2, 10, 8, 8, 3), dtype=np.uint8)
    return {"pixels": pixels, "maps": rng.random((2, 10, 8, 8)), "titles": ["one", "two"]}


def overlaid(figure, rows):
    return np.array([ax for ax in figure.axes if len(ax.images)][: rows * 10]).reshape(rows, 10)


def test_rows_alternate_for_every_image(grid):
    figure = images.attention_grid(**grid, views=VIEWS)
    axes = overlaid(figure, 4)
    np.testing.assert_array_equal(axes[2, 3].images[0].get_array(), grid["pixels"][1, 3])
    np.testing.assert_array_equal(axes[3, 3].images[1].get_array(), grid["maps"][1, 3])
    labels = [ax.get_ylabel().splitlines() for ax in axes[:, 0]]
    assert labels == [["one", "image"], ["one", "overlay"], ["two", "image"], ["two", "overlay"]]
    titles = [ax.get_title().replace("-\n", "-").replace("\n", " ") for ax in axes[0]]
    assert titles == [style.label(name) for name in VIEWS]


def test_overlays_have_the_scale_of_the_maps(grid):
    figure = images.attention_grid(**grid, views=VIEWS)
    assert overlaid(figure, 4)[1, 0].images[1].get_clim() == (0, 1)


def test_bad_grids_are_refused(grid):
    with pytest.raises(WorkbookError, match="9 views"):
        images.attention_grid(**grid, views=VIEWS[1:])
    many = {"pixels": grid["pixels"], "maps": grid["maps"], "titles": ["one"] * 8}
    with pytest.raises(WorkbookError, match="8 images"):
        images.attention_grid(**many, views=VIEWS)


def test_pixels_before_and_after_and_how_much_they_differ():
    figure = images.changed_pixels(BLACK, GREY, title="Grey", similarity=0.75)
    before, after, difference, similarity = figure.axes
    assert (before.images[0].get_array() == BLACK).all()
    assert (after.images[0].get_array() == GREY).all()
    assert (difference.images[0].get_array() == 51).all()
    assert "51.0 of 255" in difference.get_title(loc="left")
    assert similarity.patches[0].get_height() == 0.75
    assert "embedding similarity 0.750" in describe(figure)


def test_heads_and_answers_with_those_that_flipped_marked():
    figure = images.shifted(
        BLACK, GREY, title="Grey", similarity=0.5, heads=HEADS, predictions=PREDICTIONS
    )
    *_, heads, answers = figure.axes
    assert [bar.get_width() for bar in heads.patches] == [0.5, 0.25]
    labels = [label.get_text() for label in answers.get_yticklabels()]
    assert labels == ["colour: red → blue", "shape: round"]
    assert [bar.get_facecolor() for bar in answers.patches] == [
        plt.matplotlib.colors.to_rgba(color) for color in (images.AFTER, images.BEFORE)
    ]
    told = describe(figure)
    assert "1 flipped" in told
    assert told.index("L3.H1 50%") < told.index("L0.H2 25%")


def test_a_model_without_texts_has_no_answers():
    figure = images.shifted(
        BLACK, GREY, title="Grey", similarity=0.5, heads=HEADS, predictions=None
    )
    assert len(figure.axes) == 4


def test_everything_lies_within_the_picture():
    long = PREDICTIONS.assign(changed="as long as a description of a photograph can ever become")
    figure = images.shifted(
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
