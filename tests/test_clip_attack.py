"""Adversarial views: within their cube, further than noise of the same size, right gradients."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from helpers.checks import WorkbookError
from helpers.clip import gradients, load
from helpers.data import open_images, views
from helpers.data.changes import changed

IMAGES = [*open_images("scenes:3"), *open_images("photos")[:2]]


@pytest.fixture(scope="module")
def model():
    return load("embedded-clip")


def original_of(image):
    return views(image.pixels, image.id, changes=())["original"]


def cosine(model, *pair):
    a, b = (torch.from_numpy(model.encode(own[None]).embedding) for own in pair)
    return float(F.cosine_similarity(a, b))


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.id)
def test_it_goes_further_than_noise_of_its_size_on_every_image(model, image):
    original = original_of(image)
    moved, noisy = (
        changed(original, name, image.id, 0, 2, model=model)
        for name in ("adversarial", "adversarial_noise")
    )
    assert np.abs(moved.astype(int) - original).max() == 2
    noise = 1 - cosine(model, original, noisy)
    assert 1 - cosine(model, original, moved) > max(20 * noise, 0.01)


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(gradients, "STEPS", 2)


def test_a_second_descent_gives_the_same_pixels_and_another_seed_others(model, few_steps):
    original = original_of(IMAGES[0])
    once, again, other = (
        changed(original, "adversarial", "a", seed, 1, model=model) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(once, again)
    assert (other != once).any()


def test_it_stays_within_what_pixels_can_be(model, few_steps):
    black_and_white = np.zeros((224, 224, 3), np.uint8)
    black_and_white[:, 112:] = 255
    moved = changed(black_and_white, "adversarial", "a", 0, 5, model=model).astype(int)
    assert moved[:, :112].max() <= 5
    assert moved[:, 112:].min() >= 250


def test_the_slope_is_that_of_finite_differences(model):
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(original_of(IMAGES[1])).permute(2, 0, 1)[None].float()
    goal = F.normalize(torch.from_numpy(rng.standard_normal((1, model.features))).float(), dim=-1)
    slope = gradients.slope_of_cosine(model, pixels, goal)
    unlike = torch.from_numpy(rng.standard_normal(slope[0].shape)).float()

    def value(images):
        with torch.no_grad():
            return F.cosine_similarity(model.embedded_with_gradient(images), goal).double()

    for direction in (20 * slope[0] / slope.norm(), unlike):
        step = 0.5 * direction
        found = (value(pixels + step) - value(pixels - step)).item()
        assert found == pytest.approx(float((slope[0] * direction).sum()), rel=0.05, abs=2e-5)


def test_a_model_of_another_size_is_attacked_at_the_size_of_its_views(untrained, few_steps):
    pixels = np.random.default_rng(0).integers(0, 256, (160, 120, 3), dtype=np.uint8)
    moved = changed(pixels, "adversarial", "a", 0, 3, model=untrained)
    noisy = changed(pixels, "adversarial_noise", "a", 0, 3)
    assert moved.shape == pixels.shape
    assert cosine(untrained, pixels, moved) < cosine(untrained, pixels, noisy)


def test_an_ablated_model_is_attacked_as_it_is(model, few_steps):
    original = original_of(IMAGES[0])
    heads = np.zeros((model.layers, model.heads), bool)
    heads[2:] = True
    ablated = model.with_heads_ablated(heads, model.means_over(original[None]))
    moved = changed(original, "adversarial", "a", 0, 2, model=ablated)
    assert (moved != changed(original, "adversarial", "a", 0, 2, model=model)).any()


def test_a_model_without_gradients_is_reported(model, monkeypatch):
    nothing = np.zeros((1, 224, 224, 3), np.uint8)
    flat = model.encode(nothing, tensors=True).embedding.clone()
    monkeypatch.setattr(type(model), "embedded_with_gradient", lambda *_: flat)
    with pytest.raises(WorkbookError, match=r"gives no gradient along its pixels.*leave that"):
        changed(original_of(IMAGES[0]), "adversarial", "a", model=model)
