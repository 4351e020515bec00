"""The elastic transform's displacements: albumentations', by products that are exact."""

import os
import platform
import subprocess
import sys
from hashlib import sha256

import albumentations as A
import numpy as np
import pytest
from albumentations.augmentations.geometric import functional as geometric

from helpers.data import SIZE, elastic, open_images, views
from helpers.data.change import Draw
from helpers.data.transforms import TRANSFORMS, CommonRandom

WHOLE = 2**53
PROGRAM = "from tests.test_data_elastic import hashes; print(*hashes())"


def hashes():
    """Hash fields, and a product that isn't exact."""
    fields = b"".join(elastic.smooth_noise(Draw(key)).tobytes() for key in range(5))
    matrix = np.random.default_rng(0).standard_normal((SIZE, SIZE))
    return [sha256(found).hexdigest() for found in (fields, (matrix @ matrix).tobytes())]


def albumentations_field(draw, alpha):
    asked = {"same_dxdy": False, "kernel_size": (0, 0), "noise_distribution": "gaussian"}
    return np.array(
        geometric.generate_displacement_fields(
            (SIZE, SIZE), alpha, elastic.SIGMA, random_generator=draw, **asked
        )
    )


def test_displacements_are_those_of_albumentations():
    for key in range(10):
        ours, theirs = Draw(key), Draw(key)
        field, expected = 30 * elastic.smooth_noise(ours), albumentations_field(theirs, 30)
        assert 0.5 < np.abs(expected).max() < 5
        assert np.abs(field - expected).max() < 1e-4
        assert ours.random() == theirs.random()


def test_pixels_are_those_of_albumentations_but_for_two_in_ten_thousand():
    found = []
    for number, image in enumerate(open_images("photos")):
        pixels = views(image.pixels, image.id, changes=())["original"]
        made = []
        plain = A.ElasticTransform(alpha=30, sigma=60, p=1)
        for transform in (plain, TRANSFORMS["elastic"](1.0)):
            transform.set_random_state(Draw(number), CommonRandom(number))
            made.append(transform(image=pixels)["image"].astype(int))
        found.append(np.abs(made[0] - made[1]))
    found = np.array(found)
    assert found.max() == 1
    assert (found.max(axis=-1) > 0).mean() < 2e-4


@pytest.mark.parametrize("side", [32, SIZE, 336, 384])
def test_no_sum_can_exceed_what_is_exact(side):
    (down, across), polynomials = elastic._blurs(), elastic._polynomials(side)
    assert all((factor == np.rint(factor)).all() for factor in (down, across, polynomials))
    largest = elastic._NOISE
    for factor, unit in (
        (across, elastic._WEIGHTS),
        (down, elastic._WEIGHTS),
        (polynomials, elastic._POLYNOMIALS),
    ):
        largest *= np.abs(factor).sum(axis=1).max()
        assert largest < WHOLE / 2
        largest = largest / unit + 1
    assert largest * np.abs(polynomials).sum(axis=1).max() < WHOLE


def test_the_order_of_a_sum_does_not_matter():
    across = elastic._blurs()[1]
    rng = np.random.default_rng(0)
    noise, order = rng.integers(-(2**24), 2**24, (50, SIZE)).astype(float), rng.permutation(SIZE)
    expected = noise.astype(int) @ across.T.astype(int)
    assert np.array_equal(noise @ across.T, expected)
    assert np.array_equal(noise[:, order] @ across[:, order].T, expected)
    # It would matter if the factors weren't rounded.
    rough = across / 3
    assert not np.array_equal(noise @ rough.T, noise[:, order] @ rough[:, order].T)


def test_no_factor_depends_on_the_last_digit_of_a_function():
    steps = np.arange(elastic._REACH + 1)
    scaled = 2.0**30 * np.exp(-((steps / elastic.SIGMA) ** 2) / 2)
    assert np.abs(scaled % 1 - 0.5).min() > 1e-3
    half, count = (SIZE - 1) / 2, elastic._POINTS
    places = half - half * np.cos(np.pi * np.arange(count) / (count - 1))
    assert np.abs(places % 1 - 0.5).min() > 1e-3
    assert elastic._points() == np.rint(places).tolist()


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names kernels of x86")
def test_kernels_of_another_processor_give_the_same_field():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"OPENBLAS_CORETYPE": "Prescott"},
        capture_output=True,
        text=True,
    )
    (field, product), (other_field, other_product) = hashes(), done.stdout.split()
    assert product != other_product, "the kernels don't differ: nothing is tested"
    assert field == other_field
