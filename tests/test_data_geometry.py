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


@pytest.mark.parametrize("name", geometry.FILLED)
@pytest.mark.parametrize("filling", ["black", "mean"])
def test_fillings_share_the_draw_and_differ_in_what_is_filled_alone(original, name, filling):
    drawn = {"image_id": NAMES[1]}
    view = views(original, **drawn)[name]
    filled = geometry.refilled(original, name, filling, **drawn)
    white = geometry.refilled(np.full_like(original, 255), name, "black", **drawn)
    untouched = (white == 255).all(axis=-1)
    # A pixel that interpolates may round to the next level.
    assert (np.abs(view.astype(int) - filled)[untouched] > 1).mean() < 1e-3
    colour = {"black": 0, "mean": original.mean(axis=(0, 1)).round()}[filling]
    empty = (white == 0).all(axis=-1)
    assert empty.any() and (filled[empty] == colour).all()


def test_black_is_the_published_border_and_dropout_s_squares_are_not():
    pixels = np.full((SIZE, SIZE, 3), 90, np.uint8)
    published = views(pixels, NAMES[0])
    for name in geometry.FILLED:
        same = np.array_equal(geometry.refilled(pixels, name, "black", NAMES[0]), published[name])
        assert same == (name in geometry.BORDERED)


def test_a_mirrored_border_shows_no_colour_but_the_image_s():
    white = np.full((SIZE, SIZE, 3), 255, np.uint8)
    for name in geometry.BORDERED:
        assert (geometry.refilled(white, name, "reflect", NAMES[0]) == 255).all()


def test_unknown_names_are_told(original):
    with pytest.raises(WorkbookError, match="filling"):
        geometry.refilled(original, "elastic", "white", "any")
    with pytest.raises(WorkbookError, match="augmentation that fills"):
        geometry.refilled(original, "perspective", "reflect", "any")
    with pytest.raises(WorkbookError, match="geometric augmentation"):
        geometry.origins("noise", "any")
