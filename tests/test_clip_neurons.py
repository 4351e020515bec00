"""The account of neurons: they sum to their MLPs, as a plain loop over them does."""

import numpy as np
import pytest
import torch

from helpers.checks import WorkbookError
from helpers.clip import load
from helpers.clip.capabilities import capabilities
from helpers.clip.decomposition import Encoding, Readout
from helpers.clip.devices import QuickLinear
from helpers.clip.forward import forward
from helpers.clip.towers import open_tower
from tests.test_clip_towers import KINDS, SIZE, random, relative_error

WITHOUT = ("CoCa", "SigLIP", "SigLIP with a class token", "RMS norm", "EVA-02, post-norm", "PE")
"""Kinds that pool by attention, or norm what an MLP adds."""


@pytest.fixture(scope="module", params=sorted(set(KINDS) - {*WITHOUT}))
def encoded(request):
    torch.manual_seed(0)
    visual = random(KINDS[request.param]())
    tower = open_tower(visual)
    with torch.inference_mode():
        parts = forward(tower, torch.randn(3, 3, SIZE, SIZE), neurons=True)
        return tower, parts, Encoding(parts, Readout(tower))


def biases(tower, parts, readout):
    """What the biases of the MLPs' outputs add to embeddings, n × layers × features."""
    width = torch.zeros(1, 1, tower.width)
    silent = width.new_zeros(1, 1, tower.neurons)
    added = torch.cat([block.mlp.write(silent) for block in tower.blocks])
    weights = parts.biases[:, :, 1]  # of whatever is added to every token alike, by no norm divided
    return torch.einsum("nlg,lw,gwr->nlr", weights, added[:, 0], readout.inputs)


def test_neurons_sum_to_their_mlp_less_its_bias(encoded):
    tower, parts, encoding = encoded
    axes = np.eye(tower.features, dtype=np.float32)[None]
    with torch.inference_mode():
        added = encoding.neurons[:, None] * encoding.neuron_writing(axes)
        summed = added.sum(-1).swapaxes(1, 2)
        bias = biases(tower, parts, Readout(tower)).numpy()
    assert relative_error(summed + bias, encoding.mlps) <= 1e-5


@pytest.fixture(scope="module")
def model():
    return load("embedded", device="cpu")


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)


def plain_shares(model, before, after, layer, neurons):
    """Share of some neurons in the shift between two images, one neuron after the other."""
    visual = model.clip.visual
    found = []
    with torch.inference_mode(), QuickLinear():
        for pixels in (before, after):
            x = visual._embeds(model._normalised(pixels[None]))
            for number, block in enumerate(visual.transformer.resblocks):
                inner = block.ln_1(x)
                x = x + block.attn(inner, inner, inner, need_weights=False)[0]
                hidden = block.mlp.gelu(block.mlp.c_fc(block.ln_2(x)))
                if number == layer:
                    fired = hidden[0, 0]
                x = x + block.mlp.c_proj(hidden)
            last = x[0, 0]
            deviation = (last.var(unbiased=False) + visual.ln_post.eps).sqrt()
            found.append((visual(model._normalised(pixels[None]))[0], fired / deviation))
    (one, first), (two, second) = found
    shift, out = two - one, visual.transformer.resblocks[layer].mlp.c_proj.weight
    shares = []
    for n in neurons:
        written = out[:, n] - out[:, n].mean()
        added = (second[n] - first[n]) * (written * visual.ln_post.weight) @ visual.proj
        shares.append(float(added @ shift / (shift @ shift)))
    return shares


def test_a_plain_loop_over_neurons_agrees(model, pixels):
    before, after = (model.encode(own[None], neurons=True) for own in pixels[:2])
    shift = after.embedding - before.embedding
    fired = after.neurons - before.neurons
    shares = (fired * before.neuron_writing(shift))[0] / (shift**2).sum()
    largest = np.argsort(-abs(shares[4]))[:5].tolist()
    expected = plain_shares(model, pixels[0], pixels[1], 4, [*largest, 0, 7])
    np.testing.assert_allclose(shares[4][[*largest, 0, 7]], expected, rtol=1e-3, atol=1e-7)


def test_a_pass_with_neurons_gives_what_one_without_gives(model, pixels):
    plain, own = model.encode(pixels), model.encode(pixels, neurons=True)
    np.testing.assert_array_equal(plain.components, own.components)
    assert own.neurons.shape == (3, model.layers, model.neurons)


def test_what_has_no_neurons_says_why(model, pixels):
    with pytest.raises(WorkbookError, match="neurons=True"):
        _ = model.encode(pixels).neurons
    assert open_tower(KINDS["SigLIP"]()).no_neurons.startswith("it pools by attention")
    assert open_tower(KINDS["EVA-02, post-norm"]()).no_neurons.startswith("a norm follows")
    assert "account of neurons: it pools" in capabilities("ViT-B-16-SigLIP").why_not("neurons")


def test_ablated_neurons_fire_as_on_average(model, pixels):
    chosen = np.zeros((model.layers, model.neurons), bool)
    chosen[-1, :5] = True
    whole = model.encode(pixels, neurons=True)
    ablated = model.with_neurons_ablated(chosen, model.means_over(pixels)).encode(
        pixels, neurons=True
    )
    # The final norm divides all by a deviation of each image's own.
    assert np.ptp(ablated.neurons[:, -1, :5] / ablated.neurons[:1, -1, :5], axis=1).max() < 1e-4
    assert np.ptp(whole.neurons[:, -1, :5] / whole.neurons[:1, -1, :5], axis=1).max() > 1e-2
    assert relative_error(ablated.total(), ablated.embedding) <= 1e-5


def test_heads_that_are_all_ablated_write_the_same_for_every_image(model, pixels):
    every, means = np.ones((model.layers, model.heads), bool), model.means_over(pixels)
    ablated = model.with_heads_ablated(every, means).encode(pixels)
    # But for the patches, which reach the class token by heads alone, images are alike.
    np.testing.assert_allclose(ablated.embedding, ablated.embedding[:1].repeat(3, 0), rtol=1e-4)
    none = model.with_heads_ablated(~every, means).encode(pixels)
    np.testing.assert_array_equal(none.embedding, model.encode(pixels).embedding)


def test_a_choice_of_another_shape_is_refused(model, pixels):
    with pytest.raises(WorkbookError, match=r"must have the shape \(6, 6\)"):
        model.with_heads_ablated(np.ones((2, 2), bool), model.means_over(pixels))
