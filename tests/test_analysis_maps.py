"""Maps become regions without the truth, and regions are compared with it."""

import numpy as np
import pytest

from helpers.analysis.maps import coarse, enlarge, foreground, intersection_over_union
from helpers.analysis.scores import attention_map
from helpers.checks import WorkbookError


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
