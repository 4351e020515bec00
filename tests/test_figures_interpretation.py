"""What the figures of the five analyses and their scores show."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers.checks import WorkbookError
from helpers.figures import interpretation


@pytest.fixture
def found():
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    return {
        "inner product": {
            "images": images,
            "names": list("abcdef"),
            "similarities": [6, 5, 4.25, 3, 2, -1],
        },
        "cosine": {
            "images": images[::-1],
            "names": list("fedcba"),
            "similarities": [0.9, 0.8, 0.7, 0.6, 0.5, 0.4],
        },
    }


def shown(figure):
    return [ax for ax in figure.axes if ax.images]


def test_the_query_comes_first_then_a_row_of_neighbours_for_each_similarity(found):
    query = np.zeros((8, 8, 3), np.uint8)
    figure = interpretation.image_neighbours(query, "mine", nearest=found, heads="L5.H3")
    first, *rest = shown(figure)
    assert first.get_title(loc="left") == "searched: mine"
    for row, (name, neighbours) in enumerate(found.items()):
        axes = rest[6 * row : 6 * row + 6]
        assert axes[0].get_ylabel() == f"by {name}"
        for ax, image in zip(axes, neighbours["images"], strict=True):
            np.testing.assert_array_equal(ax.images[0].get_array(), image)
    assert rest[2].get_title(loc="left") == "c\n4.25"
    assert rest[6].get_title(loc="left") == "f\n0.900"
    assert "L5.H3" in figure.get_suptitle()


def test_many_neighbours_get_smaller_and_stay_on_the_page(found):
    many = {"cosine": {name: list(values) * 4 for name, values in found["cosine"].items()}}
    figure = interpretation.text_neighbours("a", nearest=many, heads="L0.H0")
    assert figure.get_figwidth() <= interpretation.WIDEST + 0.01
    assert len(shown(figure)) == 24


def test_no_neighbour_at_all_leaves_the_query():
    nothing = {"images": [], "names": [], "similarities": []}
    figure = interpretation.image_neighbours(
        np.zeros((8, 8, 3), np.uint8), "alone", nearest={"cosine": nothing}, heads="L0.H0"
    )
    assert len(figure.axes) == 1


def test_a_text_is_written_over_its_neighbours(found):
    figure = interpretation.text_neighbours("a red circle", nearest=found, heads="L2.H1")
    assert len(shown(figure)) == 12
    assert figure.get_suptitle().replace("\n", " ") == "“a red circle”, nearest by L2.H1"


def test_images_without_names_are_told(found):
    found["cosine"]["names"] = ["a"]
    with pytest.raises(WorkbookError, match="6 images have 1 names and 6 similarities"):
        interpretation.text_neighbours("a", nearest=found, heads="L0.H0")


def test_hubs_are_lines_from_one_similarity_to_the_other():
    counts = pd.DataFrame(
        {"inner product": [0.9, 0.3], "cosine": [0.2, 0.1]}, index=["L0.H0", "L0.H1"]
    )
    ax = interpretation.hubs(counts, expected=0.05)
    by_product, by_cosine, equal = ax.lines
    assert by_product.get_xdata().tolist() == [0.3, 0.9]
    assert by_cosine.get_xdata().tolist() == [0.1, 0.2]
    assert set(equal.get_xdata()) == {0.05}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["L0.H1", "L0.H0"]


def test_maps_share_one_scale_about_zero():
    pixels = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    maps = np.random.default_rng(2).normal(size=(3, 8, 8))
    figure = interpretation.topic_maps(pixels, "mine", maps, titles=list("xyz"), heads="layer 2")
    image, *overlays, bar = figure.axes
    np.testing.assert_array_equal(image.images[0].get_array(), pixels)
    for ax, values in zip(overlays, maps, strict=True):
        grey, overlay = ax.images
        np.testing.assert_allclose(grey.get_array(), pixels.mean(axis=-1))
        np.testing.assert_array_equal(overlay.get_array(), values)
        assert overlay.get_clim() == (-np.abs(maps).max(), np.abs(maps).max())
    assert bar.get_ylabel() == "inner product\nlayer 2"


def test_maps_of_another_size_are_told():
    with pytest.raises(WorkbookError, match=r"\(1, 4, 4\) don't fit 1 titles"):
        interpretation.topic_maps(
            np.zeros((8, 8, 3), np.uint8), "", np.zeros((1, 4, 4)), titles=["x"], heads=""
        )


def test_bars_have_their_means_and_lines_their_levels():
    wordings, maps = ["colour", "shape"], ["one", "two"]
    rows = pd.MultiIndex.from_product([wordings, maps], names=["wording", "map"])
    table = pd.DataFrame({"mean": [0.4, 0.5, 0.1, 0.2]}, index=rows)
    table = table.assign(low=table["mean"] - 0.05, high=table["mean"] + 0.1)
    rows = pd.MultiIndex.from_product([wordings, list("abc")], names=["wording", "level"])
    levels = pd.DataFrame({"mean": np.linspace(0.05, 0.6, 6)}, index=rows)
    ax = interpretation.segmentation_scores(table, levels=levels, ax=plt.gca())
    heights = [bar.get_height() for bars in ax.containers for bar in getattr(bars, "patches", [])]
    assert heights == [0.4, 0.1, 0.5, 0.2]
    lines = [c for c in ax.collections if c.get_label() in list("abc")]
    drawn = [segment[0][1] for line in lines for segment in line.get_segments()]
    np.testing.assert_allclose(drawn, levels["mean"].unstack().T.values.ravel())


def test_the_map_of_heads_starts_at_chance():
    scores = xr.DataArray([[0.1, 0.4], [0.2, np.nan]], dims=("layer", "head"))
    scores = scores.assign_coords(layer=[4, 5], head=[0, 1])
    ax = interpretation.head_scores(scores, chance=0.05, ax=plt.gca())
    assert ax.images[0].get_clim() == (0.05, 0.4)
    assert [text.get_text() for text in ax.texts] == ["0.10", "0.40", "0.20", "nan"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["4", "5"]
