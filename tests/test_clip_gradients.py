"""Gradient-weighted attention, against gradients by the attention itself."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from helpers.clip import load
from helpers.head_benchmark import scoring


@pytest.fixture(scope="module")
def model():
    return load("embedded", device="cpu")


def _by_autograd(model, pixels, direction):
    """Differentiate by attention that is written out, layer by layer, with a plain loop."""
    tower, found = model.tower, []
    x, places = tower.start(model._normalised(pixels))
    for block, own in zip(tower.blocks, places, strict=True):
        query, key, value = block.attention.project(block.enter(x), range(x.shape[1]), own)
        weights = (query @ key.mT * query.shape[-1] ** -0.5).softmax(-1).detach().requires_grad_()
        added, _, _ = block.write((weights @ value).transpose(1, 2).flatten(2))
        after = x + added
        after = after + block.mlp(after)
        pooled = tower.pool.read(after[:, tower.pool.reads])[0]
        cosine = F.normalize(tower.pool.finish(pooled)[0], dim=-1)[0] @ direction
        (slope,) = torch.autograd.grad(cosine, weights)
        found.append(slope[0].clamp(min=0).mean(dim=(0, 1))[tower.prefix :])
        x = after.detach()
    return torch.stack(found).mean(dim=0).reshape(model.grid).numpy()


def test_maps_are_gradients_by_attention(model, pixels):
    texts = model.encode_text(["a red object", "a blue square"])
    directions = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    maps = model.gradient_maps(pixels, np.stack([directions] * 2))
    assert maps.shape == (2, 2, *model.grid)
    for image, own in enumerate(pixels):
        for text, direction in enumerate(torch.from_numpy(directions)):
            expected = _by_autograd(model, own[None], direction)
            np.testing.assert_allclose(maps[image, text], expected, rtol=1e-4, atol=1e-9)


def test_they_find_things_and_less_well_than_the_exact_account(model):
    pairs = [scoring.paired_scene(index) for index in range(8)]
    asked = (model, pairs, "colour and shape")
    gradients = scoring.score_gradients(*asked).sel(map=scoring.MAPS[1])
    together = scoring.score_together(*asked)
    chance = together["levels"].sel(level=scoring.LEVELS[0]).mean()
    assert chance < gradients.mean() < together["maps"].sel(map=scoring.MAPS[1]).mean()
