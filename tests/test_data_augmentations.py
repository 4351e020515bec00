import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import pairwise

import albumentations as A
import cv2
import numpy as np
import pytest

from helpers.checks import WorkbookError
from helpers.data import AUGMENTATIONS, MAX_SEVERITY, SIZE, VIEWS, changes, open_images, views
from helpers.data.transforms import TRANSFORMS, CommonRandom

GREY = np.full((SIZE, SIZE, 3), 128, np.uint8)
IDS = [f"image-{index}" for index in range(60)]


@pytest.fixture(scope="module")
def photo():
    return next(image.pixels for image in open_images("photos") if image.id == "chelsea")


def drawn(name, image_id, severity=1.0, pixels=GREY):
    """Draw a view as `views` does and hand back the transform, which holds what was drawn."""
    state = changes._key(0, image_id, name)
    transform = TRANSFORMS[name](severity)
    transform.set_random_state(np.random.default_rng(state), CommonRandom(state))
    result = transform(image=pixels)["image"]
    return transform.params, result


def digest(drawn_views):
    return sha256(b"".join(view.tobytes() for view in drawn_views.values())).hexdigest()


def change(pixels, image_id, severity):
    made = views(pixels, image_id, severity=severity)
    original = made["original"].astype(float)
    return {name: np.abs(made[name] - original).mean() for name in AUGMENTATIONS}


# What a view is


def test_views_are_the_original_and_nine_in_order():
    assert len(AUGMENTATIONS) == 9
    assert VIEWS[0] == "original"
    made = views(np.zeros((50, 80, 3), np.uint8), "a")
    assert tuple(made) == VIEWS == ("original", *AUGMENTATIONS)
    for view in made.values():
        assert view.shape == (224, 224, 3)
        assert view.dtype == np.uint8
        assert view.flags.c_contiguous


def test_the_original_is_what_albumentations_resize_gives(photo):
    expected = A.Resize(height=224, width=224)(image=photo)["image"]
    assert np.array_equal(views(photo, "a")["original"], expected)


def test_views_are_of_the_resized_image_and_share_no_memory(photo):
    made = views(photo, "a")
    assert np.array_equal(made["horizontal_flip"], made["original"][:, ::-1])
    for severity in (0, 1):
        made = list(views(photo, "a", severity=severity).values())
        assert not any(np.shares_memory(made[0], view) for view in made[1:])


def test_pixels_are_not_changed_in_place(photo):
    before = photo.copy()
    views(photo, "a")
    assert np.array_equal(photo, before)


# The study's parameters


def test_noise_has_the_studys_deviation():
    deviations = [drawn("noise", image_id)[0]["deviation"] for image_id in IDS]
    assert 0.44 <= min(deviations) < 0.5 and 0.8 < max(deviations) <= 0.88
    # A fifth of it, so that hardly a level is cut off at black or white.
    params, result = drawn("noise", "a", severity=0.2)
    assert result.std() == pytest.approx(255 * params["deviation"], rel=0.02)


def test_blur_kernels_have_the_studys_sizes():
    lengths = {len(drawn("blur", image_id)[0]["kernel"]) for image_id in IDS}
    assert lengths == {3, 5, 7}


def test_blur_kernels_have_a_sigma_of_half_to_three_pixels():
    for image_id in IDS:
        kernel = drawn("blur", image_id)[0]["kernel"]
        middle = len(kernel) // 2
        sigma = (2 * np.log(kernel[middle] / kernel[middle + 1])) ** -0.5
        assert 0.5 <= sigma <= 3


def test_color_jitter_stays_within_its_limits():
    params = [drawn("color_jitter", image_id)[0] for image_id in IDS]
    for name in ("brightness", "contrast", "saturation"):
        values = np.array([one[name] for one in params])
        assert 0.8 <= values.min() < 0.85
        assert 1.15 < values.max() <= 1.2
    assert 0.15 < max(abs(one["hue"]) for one in params) <= 0.2
    assert len({tuple(one["order"]) for one in params}) > 5


def test_shift_scale_rotate_stays_within_its_limits():
    params = [drawn("shift_scale_rotate", image_id)[0] for image_id in IDS]
    assert 13 < max(abs(one["rotate"]) for one in params) <= 15
    scales = np.array([[one["scale"]["x"], one["scale"]["y"]] for one in params])
    assert 0.9 <= scales.min() < 0.92
    assert 1.08 < scales.max() <= 1.1
    center = np.array([SIZE / 2 - 0.5, SIZE / 2 - 0.5, 1])
    shifts = np.array([one["matrix"] @ center - center for one in params])
    assert 10 < np.abs(shifts).max() <= 0.0625 * SIZE


def test_perspective_moves_corners_into_the_image():
    reach = []
    for image_id in IDS:
        matrix = drawn("perspective", image_id)[0]["matrix"]
        frame = np.array([[[0, 0], [SIZE, 0], [SIZE, SIZE], [0, SIZE]]], float)
        corners = cv2.perspectiveTransform(frame, np.linalg.inv(matrix))
        assert (corners > -1e-3).all()
        assert (corners < SIZE + 1e-3).all()
        reach.append(np.abs(corners - frame) / SIZE)
    # Half-normal with a scale of 0.05 to 0.1: its mean is the scale times 0.8.
    assert np.mean(reach) == pytest.approx(0.075 * np.sqrt(2 / np.pi), rel=0.15)


def test_brightness_and_contrast_stay_within_their_limits():
    params = [drawn("random_brightness_contrast", image_id)[0] for image_id in IDS]
    assert 0.15 < max(abs(one["alpha"] - 1) for one in params) <= 0.2
    assert 0.15 * 255 < max(abs(one["beta"]) for one in params) <= 0.2 * 255


def test_elastic_displaces_by_alpha_times_a_smooth_field():
    one, three = (drawn("elastic", "a", severity)[0] for severity in (1, 3))
    column, row = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    for name, place in (("map_x", column), ("map_y", row)):
        # The maps are float32 near 200, so that differences hold about 1e-5.
        assert np.allclose(three[name] - place, 3 * (one[name] - place), atol=1e-4)
        assert np.abs(np.diff(one[name] - place)).max() < 0.2


def test_dropout_cuts_six_to_eight_squares_of_sixteen_pixels():
    holes = [drawn("coarse_dropout", image_id)[0]["holes"] for image_id in IDS]
    assert {len(one) for one in holes} == {6, 7, 8}
    for one in holes:
        assert np.array_equal(one[:, 2:] - one[:, :2], np.full((len(one), 2), 16))
    params, result = drawn("coarse_dropout", "a")
    lost = np.zeros((SIZE, SIZE), bool)
    for left, top, right, bottom in params["holes"]:
        lost[top:bottom, left:right] = True
    assert (result[~lost] == 128).all()
    assert result[lost].std() == pytest.approx(256 / 12**0.5, rel=0.05)


@pytest.mark.parametrize("name", ["noise", "perspective", "shift_scale_rotate"])
def test_own_views_are_those_of_the_studys_transforms(name, photo):
    original = views(photo, "a")["original"]
    with pytest.warns(UserWarning, match="special case of Affine"):
        studys = {
            "noise": A.GaussNoise(std_range=(0.44, 0.88), p=1),
            "perspective": A.Perspective(scale=(0.05, 0.1), p=1),
            "shift_scale_rotate": A.ShiftScaleRotate(
                shift_limit=0.0625, scale_limit=0.1, rotate_limit=15, p=1
            ),
        }
    for image_id in IDS[:10]:
        state = changes._key(0, image_id, name)
        studys[name].set_random_state(np.random.default_rng(state), CommonRandom(state))
        expected = studys[name](image=original)["image"]
        assert np.array_equal(drawn(name, image_id, pixels=original)[1], expected)


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("severity", [0.3, 1, MAX_SEVERITY])
def test_views_are_what_calling_the_transform_gives(name, severity, photo):
    original = views(photo, "a")["original"]
    for image_id in IDS[:5]:
        expected = drawn(name, image_id, severity, original)[1]
        assert np.array_equal(changes.changed(original, name, image_id, 0, severity), expected)


def test_no_transform_warns(photo, recwarn):
    for severity in (0.1, 1, MAX_SEVERITY):
        views(photo, "a", severity=severity)
    assert not [str(warning.message) for warning in recwarn]


# One draw per view


def test_a_draw_depends_on_seed_and_id(photo):
    made = views(photo, "a", seed=1)
    assert digest(made) == digest(views(photo, "a", seed=1))
    for other in (views(photo, "b", seed=1), views(photo, "a", seed=2)):
        assert np.array_equal(made["original"], other["original"])
        for name in set(AUGMENTATIONS) - {"horizontal_flip"}:
            assert not np.array_equal(made[name], other[name]), name


def test_draws_are_the_same_in_any_order_and_thread(photo):
    expected = {image_id: digest(views(photo, image_id)) for image_id in IDS[:12]}
    shuffled = IDS[11::-1] * 2
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda image_id: digest(views(photo, image_id)), shuffled))
    assert made == [expected[image_id] for image_id in shuffled]


def test_draws_are_the_same_in_another_process():
    program = (
        "import numpy as np\n"
        "from hashlib import sha256\n"
        "from helpers.data import views\n"
        "pixels = np.arange(40 * 60 * 3, dtype=np.uint8).reshape(40, 60, 3)\n"
        "made = views(pixels, 'a/b.jpg', seed=7, severity=1.5)\n"
        "print(sha256(b''.join(view.tobytes() for view in made.values())).hexdigest())\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    pixels = np.arange(40 * 60 * 3, dtype=np.uint8).reshape(40, 60, 3)
    assert result.stdout.strip() == digest(views(pixels, "a/b.jpg", seed=7, severity=1.5))
    assert result.stderr == ""


def test_the_hash_of_a_draw_is_fixed():
    # From printf '0\0a\0noise' | b2sum -l 128; another value would change every result.
    assert changes._key(0, "a", "noise") == 0x56D714A4145235D4A9874EA631E4BEFC


# Severity


def test_severity_zero_changes_nothing(photo):
    made = views(photo, "a", severity=0)
    assert all(np.array_equal(view, made["original"]) for view in made.values())


def test_more_severity_changes_more_pixels(photo):
    grades = [change(photo, "a", severity) for severity in (0, 0.5, 1, 2, 3)]
    for name in set(AUGMENTATIONS) - {"horizontal_flip"}:
        values = [grade[name] for grade in grades]
        assert all(low < high for low, high in pairwise(values)), name
    assert len({grade["horizontal_flip"] for grade in grades[1:]}) == 1


@pytest.mark.parametrize("severity", [1e-3, 0.1, 0.5, 1, 2, 3, MAX_SEVERITY])
def test_every_severity_is_valid(severity, photo):
    for image_id in IDS[:5]:
        assert tuple(views(photo, image_id, severity=severity)) == VIEWS


def test_severities_share_one_draw():
    one, two = (drawn("shift_scale_rotate", "a", severity)[0] for severity in (1, 2))
    assert two["rotate"] == pytest.approx(2 * one["rotate"])
    assert two["scale"]["x"] - 1 == pytest.approx(2 * (one["scale"]["x"] - 1))
    one, two = (drawn("color_jitter", "a", severity)[0] for severity in (1, 2))
    assert two["hue"] == pytest.approx(2 * one["hue"])
    assert two["order"] == one["order"]
    one, two = (drawn("noise", "a", severity)[0] for severity in (0.5, 1))
    assert two == one | {"deviation": pytest.approx(2 * one["deviation"])}


def test_blur_kernels_grow_with_severity():
    for image_id in IDS[:20]:
        lengths = [len(drawn("blur", image_id, severity)[0]["kernel"]) for severity in (0.5, 1, 3)]
        assert lengths == sorted(lengths)


def test_perspective_stops_where_its_map_would_fold():
    for image_id in IDS:
        matrix = drawn("perspective", image_id, MAX_SEVERITY)[0]["matrix"]
        frame = np.array([[0, 0, 1], [SIZE, 0, 1], [SIZE, SIZE, 1], [0, SIZE, 1]], float)
        depth = (frame @ np.linalg.inv(matrix).T)[:, 2]
        assert (np.sign(depth) == np.sign(depth[0])).all()


def test_dropout_loses_area_in_proportion_to_severity():
    sides = [drawn("coarse_dropout", "a", severity)[0]["holes"] for severity in (0.25, 1, 4)]
    assert [int(holes[0, 2] - holes[0, 0]) for holes in sides] == [8, 16, 32]
    assert len({len(holes) for holes in sides}) == 1


# Bad input


@pytest.mark.parametrize("severity", [-0.1, 5.1, float("nan"), float("inf"), "1", None])
def test_invalid_severity(severity):
    with pytest.raises(WorkbookError, match=r"severity has no value .* from 0 .* to 5"):
        views(GREY, "a", severity=severity)


@pytest.mark.parametrize("seed", [0.5, "0", None])
def test_invalid_seed(seed):
    with pytest.raises(WorkbookError, match="seed has no value"):
        views(GREY, "a", seed=seed)


@pytest.mark.parametrize(
    "pixels",
    [GREY[..., 0], GREY.astype(float), GREY[..., :2], GREY[:0], GREY[None], None],
    ids=["grey", "float", "two channels", "empty", "batch", "none"],
)
def test_invalid_pixels(pixels):
    with pytest.raises(WorkbookError, match=r"'a' has pixels .* \(height, width, 3\)"):
        views(pixels, "a")


def test_a_failing_transform_is_an_error_that_names_view_and_image(monkeypatch):
    def fail(self, *args, **kwargs):
        raise cv2.error("out of luck")

    monkeypatch.setattr(A.ElasticTransform, "apply", fail)
    with pytest.raises(WorkbookError, match=r"'elastic' of image 'a' .* out of luck"):
        views(GREY, "a")


def test_names_of_views_need_neither_torch_nor_albumentations():
    script = (
        "import sys, helpers.runs, helpers.figures.scores;"
        "sys.exit(bool({'torch', 'albumentations'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
