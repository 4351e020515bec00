"""Sets of changes: the fifteen corruptions, what photography does, and what holds for all."""

import io
from hashlib import sha256
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from helpers.checks import WorkbookError
from helpers.data import (
    CHANGES,
    MAX_SEVERITY,
    SETS,
    SIZE,
    STUDY,
    Change,
    names_of,
    open_images,
    scale_of,
    views,
)
from helpers.data.changes import SCALES, changed
from helpers.data.corruptions import plasma, poisson

GREY = np.full((SIZE, SIZE, 3), 128, np.uint8)
OTHERS = (*SETS["corruptions"], *SETS["photography"])
GROWING = sorted(set(OTHERS) - {"elastic_transform", "frost", "glass_blur"})


@pytest.fixture(scope="module")
def photo():
    pixels = next(image.pixels for image in open_images("photos") if image.id == "chelsea")
    return views(pixels, "chelsea", changes=())["original"]


def test_the_sets_have_what_they_say():
    assert {name: len(of) for name, of in SETS.items()} == {
        "study": 9,
        "corruptions": 15,
        "photography": 9,
        "attacks": 4,
    }
    assert set(CHANGES) >= {name for of in SETS.values() for name in of}
    labels = [row.label for row in CHANGES.values()]
    assert len(set(labels)) == len(labels)


def test_changes_are_named_by_set_by_name_or_both():
    assert names_of("study") == STUDY
    assert names_of("fog") == ("fog",)
    assert names_of(["jpeg", "study", "noise"]) == ("jpeg", *STUDY)
    with pytest.raises(WorkbookError, match=r"changes has no value 'fogg'.*Did you mean 'fog'"):
        names_of("fogg")
    with pytest.raises(WorkbookError, match="changes names none; give a set"):
        names_of([])


@pytest.mark.parametrize("name", SETS)
def test_every_set_has_a_scale_with_severity_1_in_it(name):
    severities = SCALES[name].severities
    assert 1.0 in severities
    assert list(severities) == sorted(severities)
    assert 0 < severities[0] < severities[-1] <= MAX_SEVERITY
    assert scale_of(SETS[name]) is scale_of(SETS[name][:1]) is SCALES[name]


def test_changes_of_several_sets_are_measured_at_all_their_severities():
    both = scale_of(("noise", "fog"))
    of = {name: set(scale.severities) for name, scale in SCALES.items()}
    assert set(both.severities) == of["study"] | of["corruptions"]
    assert both.axis == "severity"
    assert scale_of(("noise", "own")).severities == SCALES["study"].severities
    assert scale_of(("own",)).severities == SCALES["photography"].severities


@pytest.mark.parametrize("name", OTHERS)
def test_a_change_is_one_draw_that_severity_carries_further(photo, name):
    before = photo.copy()
    made = [changed(photo, name, "chelsea", 0, severity) for severity in (0, 0.5, 1, 2.5, 5)]
    np.testing.assert_array_equal(photo, before)
    np.testing.assert_array_equal(made[0], photo)
    np.testing.assert_array_equal(made[3], changed(photo, name, "chelsea", 0, 2.5))
    sizes = [np.abs(view.astype(int) - photo).mean() for view in made]
    assert all(size > 0 for size in sizes[2:])
    if name in GROWING:
        assert all(a < b for a, b in pairwise(sizes[1:]))


@pytest.mark.parametrize(("severity", "scale"), [(1, 0.08), (3, 0.18), (2.5, 0.15)])
def test_gaussian_noise_has_the_published_deviation(severity, scale):
    noise = (changed(GREY, "gaussian_noise", "a", 0, severity) / 255 - 128 / 255).std()
    assert noise == pytest.approx(scale, rel=0.03)


@pytest.mark.parametrize(("severity", "photons"), [(0.01, 6000), (0.1, 600), (1, 60), (3, 12)])
def test_shot_noise_counts_the_published_photons(severity, photons):
    values = changed(np.full_like(GREY, 100), "shot_noise", "a", 0, severity) / 255
    rounded = 1 / 12 / 255**2  # what whole levels add
    assert values.mean() == pytest.approx(100 / 255, rel=0.02)
    assert values.var() - rounded == pytest.approx(100 / 255 / photons, rel=0.04)


def test_poisson_counts_are_quantiles():
    uniform = np.array([0.0, 0.5, 0.999999])
    assert poisson(uniform, np.array([1, 1, 1]), [0.0, 4.0]).tolist() == [0, 4, 17]
    assert poisson(uniform, np.array([0, 0, 0]), [0.0, 4.0]).tolist() == [0, 0, 0]


def test_impulse_noise_hits_the_published_part_in_equal_halves():
    view = changed(GREY, "impulse_noise", "a", 0, 4)
    assert (view != 128).mean() == pytest.approx(0.17, abs=0.005)
    assert (view == 255).mean() == pytest.approx((view == 0).mean(), abs=0.005)


def test_defocus_spreads_a_point_over_a_disk():
    point = np.zeros_like(GREY)
    point[112, 112] = 255
    view = changed(point, "defocus_blur", "a", 0, 4)[..., 0]
    rows, columns = np.nonzero(view)
    distance = np.hypot(rows - 112, columns - 112)
    assert distance.max() == pytest.approx(8, abs=1.5)
    assert (view > 0).sum() == pytest.approx(np.pi * 8**2, rel=0.2)


def test_motion_goes_to_one_side_along_a_line():
    point = np.zeros_like(GREY)
    point[112, 112] = 255
    rows, columns = np.nonzero(changed(point, "motion_blur", "a", 0, 5)[..., 0])
    slopes = np.abs(rows - 112) <= np.abs(columns - 112) + 1
    assert slopes.all()
    assert (columns <= 112).all() or (columns >= 112).all()


def test_brightness_and_contrast_are_the_published_maps(photo):
    colours = np.tile(np.uint8([30, 60, 90]), (SIZE, SIZE, 1))
    brighter = changed(colours, "brightness", "a", 0, 3)
    expected = [level * (90 + 0.3 * 255) / 90 for level in (30, 60, 90)]
    np.testing.assert_array_equal(brighter[0, 0], np.floor(expected))
    dark = changed(np.zeros_like(GREY), "brightness", "a", 0, 1)
    np.testing.assert_array_equal(dark, int(0.1 * 255))
    low = changed(photo, "contrast", "a", 0, 2).astype(float)
    np.testing.assert_allclose(low.mean((0, 1)), photo.mean((0, 1)) - 0.5, atol=0.1)
    np.testing.assert_allclose(low.std((0, 1)) / photo.std((0, 1)), 0.3, atol=0.01)


def test_pixels_and_compression_are_pillows(photo):
    coarse = changed(photo, "pixelate", "a", 0, 5)
    assert (coarse[::4, ::4] == coarse[3::4, 3::4]).all()
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=15)
    expected = np.array(Image.open(file))
    np.testing.assert_array_equal(changed(photo, "jpeg_compression", "a", 0, 3), expected)
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=77)
    np.testing.assert_array_equal(changed(photo, "jpeg", "a", 0, 1), np.array(Image.open(file)))


def test_fog_hides_most_where_the_cloud_is_thick():
    cloud = plasma(np.random.default_rng(0), 2)
    assert cloud.shape == (SIZE, SIZE)
    assert 0 <= cloud.min() < 0.2 < 0.8 < cloud.max() <= 1
    assert np.abs(np.diff(cloud, axis=0)).mean() < 0.02


def test_a_stop_doubles_the_light():
    levels = [changed(GREY, "exposure", str(name), 0, 2)[0, 0, 0] for name in range(8)]
    expected = {round(128 * 2 ** (stop / 2.2)) for stop in (-1, 1)}
    assert {int(level) for level in levels} == expected


def test_a_crop_enlarges_a_window(photo):
    view = changed(photo, "cropping", "a", 0, 3).astype(float)
    assert (
        np.abs(np.diff(view, axis=0)).mean() < np.abs(np.diff(photo.astype(float), axis=0)).mean()
    )


@pytest.mark.parametrize(
    ("returned", "told"),
    [(GREY[:5], r"shape \(5, 224, 3\)"), (GREY / 2, "type float64"), (None, "type None")],
)
def test_what_a_change_returns_is_checked(monkeypatch, returned, told):
    row = Change("odd", "Odd", lambda pixels, severity, rng: returned, "", "", "own")
    monkeypatch.setitem(CHANGES, "odd", row)
    with pytest.raises(WorkbookError, match=f"The change 'odd' returned .*{told}"):
        changed(GREY, "odd", "a")


def digest(photo, names):
    return sha256(
        b"".join(
            view.tobytes()
            for severity in (0.5, 1, 3, 5)
            for view in views(photo, "chelsea", severity=severity, changes=names).values()
        )
    ).hexdigest()[:16]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("corruptions", "b0ba01311a2aaa0f"), ("photography", "cfc62caf3b6dc9be")],
)
def test_pixels_are_the_same_on_every_processor(photo, name, expected):
    assert digest(photo, SETS[name]) == expected
