import numpy as np
import pytest

from helpers.checks import WorkbookError
from helpers.data import SIZE, geometry, views

NAMES = [f"image {number}" for number in range(4)]


@pytest.fixture
def original():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return coarse.repeat(28, axis=0).repeat(28, axis=1)


@pytest.mark.parametrize("name", geometry.GEOMETRIC)
@pytest.mark.parametrize("severity", [0.1, 1, 3])
def test_the_original_moved_as_the_view_is_the_view(original, name, severity):
    for image_id in NAMES:
        view = views(original, image_id, severity=severity)[name]
        origin = geometry.origins(name, image_id, severity=severity)
        inside = ~np.isnan(origin[..., 0])
        difference = np.abs(geometry.moved_as(original, origin) - view)[inside]
        assert inside.mean() > 0.3
        assert difference.mean() < 0.2 and np.quantile(difference, 0.999) <= 8


def test_a_flip_takes_each_pixel_from_the_other_side():
    origin = geometry.origins("horizontal_flip", "any")
    assert np.allclose(origin[..., 0], np.arange(SIZE)[::-1], atol=1e-3)
    assert np.allclose(origin[..., 1], np.arange(SIZE)[:, None], atol=1e-3)


def test_severity_0_moves_nothing(original):
    origin = geometry.origins("shift_scale_rotate", "any", severity=0)
    assert np.allclose(geometry.moved_as(original, origin), original, atol=0.05)


def test_only_bordered_views_show_what_lies_beyond_the_image():
    for name in geometry.GEOMETRIC:
        beyond = [np.isnan(geometry.origins(name, each)).any() for each in NAMES]
        assert any(beyond) == (name in geometry.BORDERED)


@pytest.mark.parametrize("name", geometry.BORDERED)
def test_borders_share_the_draw_and_differ_beyond_the_image_alone(original, name):
    black, reflected = (
        geometry.with_border(original, name, border, NAMES[0])[1] for border in ("black", "reflect")
    )
    assert np.array_equal(black, views(original, NAMES[0])[name])
    beyond = np.isnan(geometry.origins(name, NAMES[0])[..., 0])
    assert beyond.any() and (black != reflected)[beyond].any()
    # A pixel that interpolates may round to the next level.
    inside = np.abs(black.astype(int) - reflected)[~beyond]
    assert (inside > 1).mean() < 1e-3


@pytest.mark.parametrize("name", geometry.BORDERED)
def test_a_crop_shows_no_border_and_cuts_both_sides_alike(name):
    white = np.full((SIZE, SIZE, 3), 255, np.uint8)
    for image_id in NAMES:
        reference, view = geometry.with_border(white, name, "crop", image_id)
        assert (reference == 255).all() and (view == 255).all()
        assert reference.shape == view.shape == white.shape


def test_a_view_without_a_centre_has_no_crop():
    assert geometry._half_without_border(np.ones((SIZE, SIZE), bool)) == 0
    assert geometry._half_without_border(np.zeros((SIZE, SIZE), bool)) == SIZE // 2
    corner = np.zeros((SIZE, SIZE), bool)
    corner[10, 200] = True
    half = geometry._half_without_border(corner)
    window = slice(SIZE // 2 - half, SIZE // 2 + half)
    assert not corner[window, window].any()
    wider = slice(SIZE // 2 - half - 1, SIZE // 2 + half + 1)
    assert corner[wider, wider].any()


def test_unknown_names_are_told(original):
    with pytest.raises(WorkbookError, match="border"):
        geometry.with_border(original, "elastic", "white", "any")
    with pytest.raises(WorkbookError, match="augmentation with a border"):
        geometry.with_border(original, "perspective", "reflect", "any")
    with pytest.raises(WorkbookError, match="geometric augmentation"):
        geometry.origins("noise", "any")
