"""The corruptions are the published ones: plain rewritings of ImageNet-C's code give the same."""

import cv2
import numpy as np
import pytest
from scipy.ndimage import zoom
from skimage.color import hsv2rgb, rgb2hsv
from skimage.filters import gaussian

from helpers.data import SIZE, open_images, views
from helpers.data.change import Draw
from helpers.data.changes import changed
from helpers.data.corruptions import _copied, _crystals

NAMES = ("chelsea", "coffee", "astronaut")
FROST_LEVEL, FROST_DEVIATION = 164, 33


@pytest.fixture(scope="module")
def photos():
    found = {image.id: image.pixels for image in open_images("photos") if image.id in NAMES}
    return [views(pixels, name, changes=())["original"] for name, pixels in found.items()]


def cut(values):
    return np.uint8(np.clip(values, 0, 1) * 255)


def gaussian_noise(x, severity, rng):
    deviation = (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1]
    return cut(x / 255.0 + rng.normal(size=x.shape, scale=deviation))


def shot_noise(x, severity, rng):
    photons = (60, 25, 12, 5, 3)[severity - 1]
    return cut(rng.poisson(x / 255.0 * photons) / photons)


def defocus_blur(x, severity, rng):
    radius, alias = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))[severity - 1]
    reach, size = (8, 3) if radius <= 8 else (radius, 5)
    across, down = np.meshgrid(*[np.arange(-reach, reach + 1)] * 2)
    disk = np.array(across**2 + down**2 <= radius**2, np.float32)
    kernel = cv2.GaussianBlur(disk / disk.sum(), (size, size), alias)
    channels = [cv2.filter2D(x[..., channel] / 255.0, -1, kernel) for channel in range(3)]
    return cut(np.stack(channels, axis=-1))


def glass_blur(x, severity, rng):
    sigma, reach, times = ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))[
        severity - 1
    ]
    once = cut(gaussian(x / 255.0, sigma, channel_axis=-1))
    swapped(once, rng.integers(-reach, reach, (times, SIZE * SIZE, 2)), reach)
    return cut(gaussian(once / 255.0, sigma, channel_axis=-1))


def swapped(array, steps, reach):
    """Swap rows of an array in place, as it is written in the published code."""
    for drawn in steps:
        drawn = iter(drawn)
        for h in range(SIZE - reach, reach, -1):
            for w in range(SIZE - reach, reach, -1):
                dx, dy = next(drawn)
                array[h, w], array[h + dy, w + dx] = array[h + dy, w + dx], array[h, w]


def enlarged(x, factor):
    kept = int(np.ceil(SIZE / factor))
    top = (SIZE - kept) // 2
    window = x[top : top + kept, top : top + kept]
    larger = zoom(window, (factor, factor, 1), order=1)
    trim = (larger.shape[0] - SIZE) // 2
    return larger[trim : trim + SIZE, trim : trim + SIZE]


def zoom_blur(x, severity, rng):
    stop, step = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))[
        severity - 1
    ]
    factors, x = np.arange(1, stop, step), x / 255.0
    return cut((x + sum(enlarged(x, factor) for factor in factors)) / (len(factors) + 1))


def frost(x, severity, rng):
    kept, added = ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[severity - 1]
    # In place of the photographs: any layer of their mean and deviation.
    layer = rng.normal(FROST_LEVEL, FROST_DEVIATION, x.shape[:2])[..., None]
    return np.uint8(np.clip(kept * x + added * np.clip(layer, 0, 255), 0, 255))


def brightness(x, severity, rng):
    hsv = rgb2hsv(x / 255.0)
    hsv[..., 2] = np.clip(hsv[..., 2] + (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1], 0, 1)
    return cut(hsv2rgb(hsv))


def contrast(x, severity, rng):
    kept, x = (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1], x / 255.0
    means = np.mean(x, axis=(0, 1), keepdims=True)
    return cut((x - means) * kept + means)


# Which part of all values may differ, by one level: OpenCV interpolates to 1/32 pixel, and where a
# value is a whole level but for rounding, either may be cut off.
EQUAL = {defocus_blur: 0, contrast: 0, brightness: 0.01, zoom_blur: 0.05}
ALIKE = (gaussian_noise, shot_noise, glass_blur, frost)


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("published", EQUAL, ids=lambda function: function.__name__)
def test_what_has_no_draw_is_equal(photos, published, severity):
    for photo in photos:
        ours = changed(photo, published.__name__, "a", 0, severity).astype(int)
        difference = ours - published(photo, severity, None)
        assert abs(difference).max() <= 1
        assert abs(difference.mean()) < 0.01
        assert (difference != 0).mean() <= EQUAL[published]


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("published", ALIKE, ids=lambda function: function.__name__)
def test_what_is_drawn_changes_as_much(photos, published, severity):
    sizes = np.zeros(2)
    for number, photo in enumerate(photos):
        made = (
            changed(photo, published.__name__, str(number), 0, severity),
            published(photo, severity, np.random.default_rng(number)),
        )
        sizes += [abs(view.astype(int) - photo).mean() for view in made]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.06 if published is frost else 0.02)


def flakes(severity, rng):
    """Share of the published layer of snow that has flakes, before they move."""
    mean, size, least = ((0.1, 3, 0.5), (0.2, 2, 0.5), (0.55, 4, 0.9))[severity - 1]
    layer = enlarged(rng.normal(size=(SIZE, SIZE), loc=mean, scale=0.3)[..., None], size)
    return np.where(layer < least, 0, np.clip(layer, 0, 1)).mean()


# Above, so many flakes lie upon others that the sum is cut off at white.
@pytest.mark.parametrize("severity", [1, 2, 3])
def test_snow_has_the_published_flakes(severity):
    # Over black, half of what is whitened is 0.5 grey; all else is flakes, seen from two sides.
    black = np.zeros((SIZE, SIZE, 3), np.uint8)
    whitened = 0.5 * (0.2, 0.3, 0.3)[severity - 1]
    rng = np.random.default_rng(0)
    expected = np.mean([flakes(severity, rng) for _ in range(12)])
    made = [changed(black, "snow", str(each), 0, severity).mean() / 255 for each in range(12)]
    assert (np.mean(made) - whitened) / 2 == pytest.approx(expected, rel=0.04, abs=0.003)


def test_glass_copies_as_the_published_swap_does():
    draws = np.random.default_rng(0).random((3, SIZE * SIZE, 2))
    pixels = np.arange(SIZE * SIZE).reshape(SIZE, SIZE, 1)
    swapped(pixels, np.floor(draws * 4).astype(int) - 2, 2)
    copied = _copied(draws, 2, (SIZE, SIZE))
    assert copied == pixels.ravel().tolist()
    survive = len(set(copied)) / SIZE**2
    assert survive == pytest.approx(0.28, abs=0.01)


def test_frost_is_as_bright_and_as_rough_as_its_photographs(photos):
    layers = 255 * np.array([_crystals(Draw(key), (SIZE, SIZE)) for key in range(60)])
    assert layers.mean() == pytest.approx(FROST_LEVEL, abs=3)
    assert layers.std() == pytest.approx(FROST_DEVIATION, abs=2)


@pytest.mark.parametrize(("severity", "published"), [(1, 60.3), (5, 82.7)])
def test_frost_changes_images_as_much_as_the_photographs_of_frost(photos, severity, published):
    # Published was measured on other photographs, with the published layers.
    made = [changed(photo, "frost", str(each), 0, severity) for each, photo in enumerate(photos)]
    sizes = [abs(view.astype(int) - photo).mean() for view, photo in zip(made, photos, strict=True)]
    assert np.mean(sizes) == pytest.approx(published, rel=0.08)
