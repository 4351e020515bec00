"""Maps in place, aligned, and as regions."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis import maps, scores
from helpers.analysis.maps import coarse, foreground, intersection_over_union
from helpers.analysis.scores import attention_map, enlarge
from helpers.checks import WorkbookError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def full_range(maps):
    maps[..., 0, 0], maps[..., 0, 1] = 0, 1
    return maps


def test_where_all_is_known_the_scores_are_the_published_ones(rng):
    before, after = full_range(rng.random((2, 5, 16, 16)))
    expected = scores.attention_similarity(before, after)
    assert maps.attention_similarity(before, after) == pytest.approx(expected)
    before, after = rng.integers(0, 256, (2, 5, 16, 16, 3), dtype=np.uint8)
    expected = scores.patch_similarity(before, after)
    assert maps.patch_similarity(before, after) == pytest.approx(expected, rel=1e-6)


def test_what_is_beyond_the_image_takes_no_part(rng):
    before = full_range(rng.random((16, 16)))
    after = before.copy()
    before[10:], after[10:] = np.nan, 7
    assert maps.attention_similarity(before, after) == 1
    pixels = rng.uniform(0, 255, (16, 16, 3))
    other = pixels.copy()
    pixels[6:], other[6:] = np.nan, 0
    assert maps.patch_similarity(pixels, other) == 1


def test_a_patch_counts_by_its_known_pixels(rng):
    before, after = rng.uniform(0, 255, (2, 8, 8, 3))
    before[3, 3] = before[6:, 6:] = np.nan
    similar = []
    for row in range(0, 8, 2):
        for column in range(0, 8, 2):
            patch = (slice(row, row + 2), slice(column, column + 2))
            squares = (before[patch] - after[patch]) ** 2
            if not np.isnan(squares).all():
                similar.append(1 / (1 + np.nanmean(squares) / 255**2))
    assert len(similar) == 15
    assert maps.patch_similarity(before, after) == pytest.approx(np.mean(similar))


def test_the_shared_region_sets_the_scale():
    before = np.array([[np.nan, 0.2], [0.4, 0.6]])
    after = np.array([[1.0, 0.0], [0.1, 0.2]])
    assert maps.attention_similarity(before, after) == pytest.approx(1)


def test_nothing_in_common_has_no_score():
    nothing, constant = np.full((4, 4), np.nan), np.ones((4, 4))
    assert np.isnan(maps.attention_similarity(nothing, constant))
    assert np.isnan(maps.patch_similarity(np.full((4, 4, 3), np.nan), np.ones((4, 4, 3))))
    assert maps.attention_similarity(constant, constant) == 1


def test_what_does_not_fit_is_refused():
    with pytest.raises(WorkbookError, match="must be the same"):
        maps.attention_similarity(np.ones((4, 4)), np.ones((4, 5)))
    with pytest.raises(WorkbookError, match="multiples"):
        maps.patch_similarity(np.ones((5, 4, 3)), np.ones((5, 4, 3)))


def test_partners_are_other_images_of_the_same_source():
    sources = np.array(["a"] * 5 + ["b"] * 2 + ["c"])
    partner = maps.partners(sources)
    assert partner[-1] == -1
    paired = partner[:-1]
    assert (paired != np.arange(7)).all() and (sources[paired] == sources[:-1]).all()
    assert sorted(paired) == list(range(7))


def test_attention_in_place_is_the_published_score(rng, monkeypatch):
    monkeypatch.setattr(maps, "PAIRS_AT_ONCE", 2)
    grids = rng.random((5, 3, 4, 4))
    enlarged = scores.attention_map(grids, (40, 56))
    expected = scores.attention_similarity(enlarged[:, :1], enlarged[:, 1:])
    found = maps.attention_in_place(grids[:, :1], grids[:, 1:], (40, 56))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert (found != maps.attention_in_place(grids[:, :1], grids[:, 1:], 224)).all()


def grids_of(rng, sources):
    values = rng.random((len(sources), 2, 3, 3))
    coords = {
        "image": [str(number) for number in range(len(sources))],
        "view": ["original", "noise"],
        "source": ("image", sources),
    }
    return xr.DataArray(values, coords, ("image", "view", "row", "column"))


def test_the_floor_is_that_of_another_image_of_the_same_source(rng):
    grids = grids_of(rng, ["photos"] * 3 + ["scenes"])
    floor = maps.between_images(grids, seed=2, size=224)
    partner = maps.partners(grids["source"].values, 2)
    for image in range(3):
        pair = (scores.attention_map(grids.values[each, 0]) for each in (image, partner[image]))
        assert floor[image, 0].item() == pytest.approx(float(scores.attention_similarity(*pair)))
    assert np.isnan(floor[3, 0])


def test_a_single_image_has_no_floor(rng):
    assert maps.between_images(grids_of(rng, ["photos"]), size=224).isnull().all()


def test_the_brightest_patches_get_what_they_get(rng, monkeypatch):
    monkeypatch.setattr(maps, "BRIGHTEST", 0.2)  # 2 of 9 patches
    grids = grids_of(rng, ["photos"] * 2)
    share = maps.brightest_share(grids)
    flat = np.sort(grids.values.reshape(2, 2, 9))
    np.testing.assert_allclose(share, flat[..., -2:].sum(axis=-1) / flat.sum(axis=-1))
    even = xr.ones_like(grids)
    np.testing.assert_allclose(maps.brightest_share(even), 2 / 9)


def test_maps_are_enlarged_as_attention_maps_are():
    maps = np.random.default_rng(0).normal(size=(3, 7, 5))
    large = enlarge(maps, 56)
    low, high = (f(large, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    np.testing.assert_allclose((large - low) / (high - low), attention_map(maps, 56), atol=1e-12)


def test_enlarging_keeps_the_scale():
    np.testing.assert_allclose(enlarge(np.full((2, 2), -3.0), 9), -3)
    corners = enlarge([[0, 1], [2, 3]], 8)[::7, ::7]
    np.testing.assert_array_equal(corners, [[0, 1], [2, 3]])


def test_a_bright_square_is_the_foreground():
    square = np.zeros((20, 20), bool)
    square[5:12, 3:9] = True
    noise = np.random.default_rng(1).normal(0, 0.02, (20, 20))
    maps = np.stack([square + noise, 100 * (square + noise)])
    np.testing.assert_array_equal(foreground(maps), [square, square])


def test_what_speaks_against_a_text_does_not_move_the_threshold():
    # With -50 and -40 in the histogram, 0 and 1 would lie on the same side.
    values = np.array([[-50.0, 0, 0, 0], [-40, 0, 1, 1]])
    np.testing.assert_array_equal(foreground(values), values == 1)


@pytest.mark.parametrize("value", [-1.0, 0.0, 2.0])
def test_a_map_without_contrast_has_no_foreground(value):
    assert not foreground(np.full((4, 4), value)).any()


def test_intersection_over_union_equals_counting():
    rng = np.random.default_rng(2)
    predicted, true = rng.random((4, 6, 6)) < 0.5, rng.random((6, 6)) < 0.5
    for region, value in zip(predicted, intersection_over_union(predicted, true), strict=True):
        pairs = list(zip(region.flat, true.flat, strict=True))
        both, either = sum(a and b for a, b in pairs), sum(a or b for a, b in pairs)
        assert value == both / either


def test_two_empty_regions_have_no_score_and_one_has_zero():
    empty, full = np.zeros((3, 3), bool), np.ones((3, 3), bool)
    assert np.isnan(intersection_over_union(empty, empty))
    assert intersection_over_union(empty, full) == 0


def test_a_mask_is_averaged_over_patches():
    mask = np.zeros((6, 6), bool)
    mask[:3, :4] = True
    np.testing.assert_allclose(coarse(mask, (2, 3)), [[1, 1, 0], [0, 0, 0]])
    # A grid whose patches' borders run through pixels: each patch is 1.5 pixels wide.
    np.testing.assert_allclose(coarse(np.array([[1, 0, 0]]), (1, 2)), [[2 / 3, 0]])


def test_bad_shapes_are_told():
    with pytest.raises(WorkbookError, match=r"shape \(3,\) can't be resized"):
        enlarge(np.ones(3), 8)
    with pytest.raises(WorkbookError, match=r"\(2, 2\) and \(3, 3\) can't be compared"):
        intersection_over_union(np.ones((2, 2)), np.ones((3, 3)))
