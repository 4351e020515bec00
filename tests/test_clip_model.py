import numpy as np
import open_clip
import pytest
import torch

from helpers.checks import WorkbookError
from helpers.clip import forward, load, tokenizers
from tests import tiny
from tests.conftest import UNTRAINED


def test_results_do_not_depend_on_the_batch(untrained, pixels):
    together = untrained.encode(pixels).embedding
    alone = np.concatenate([untrained.encode(image[None]).embedding for image in pixels])
    np.testing.assert_allclose(together, alone, rtol=0, atol=2e-6 * np.abs(alone).max())


def test_a_batch_that_needs_several_passes_gives_the_same(pixels, monkeypatch):
    model = load("embedded", device="cpu")
    five = pixels[[0, 1, 0, 1, 1]]
    original, heads = model.encode(five), np.zeros((5, model.layers, model.heads), bool)
    heads[1::2, -1] = True
    patched = model.encode_patched(five[::-1], five, heads=heads)
    monkeypatch.setattr(forward, "WRITTEN_AT_ONCE", 2 * 16 * model.tower.tokens * model.tower.width)
    assert model._passes(5, by_token=False) == 3
    pieces = model.encode(five)
    for name in ("embedding", "heads", "mlps", "rest", "depths", "attention"):
        one, other = getattr(pieces, name), getattr(original, name)
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-6 * np.abs(other).max())
    found = model.encode_patched(five[::-1], five, heads=heads)
    np.testing.assert_allclose(found, patched, rtol=0, atol=2e-6 * np.abs(patched).max())


def test_other_input_sizes_are_resized(pixels, tmp_path):
    with tiny.registered(tmp_path, **{tiny.NAME: tiny.CONFIG}):
        model = load(tiny.NAME, device="cpu")
    assert model.encode(pixels).attention.shape == (2, 2, 2)


def test_texts_are_encoded_without_normalisation(untrained):
    written = ["a photo of a cat", "noise"]
    tokens = open_clip.get_tokenizer(UNTRAINED)(written)
    expected = untrained.clip.encode_text(tokens).detach().numpy()
    atol = 5e-6 * np.abs(expected).max()
    np.testing.assert_allclose(untrained.encode_text(written), expected, rtol=0, atol=atol)


CLIP, CUSTOM = open_clip.model.CLIP, open_clip.model.CustomTextCLIP
TEXT_TOWERS = {
    "as OpenAI's": (CLIP, {}, 13),
    "an end of its own": (CLIP, {"pool_type": "eos", "eos_id": 49407}, 13),
    "apart": (CUSTOM, {}, 13),
    "read at the last token": (CUSTOM, {"pool_type": "last"}, 77),
    "not causal": (CUSTOM, {"no_causal_mask": True}, 77),
    "with a token after the others": (CUSTOM, {"embed_cls": True}, 77),
}


@pytest.mark.parametrize("kind", TEXT_TOWERS)
def test_padding_is_left_out_only_where_it_changes_nothing(kind, monkeypatch):
    build, options, longest = TEXT_TOWERS[kind]
    text = tiny.CONFIG["text_cfg"] | {"context_length": 77} | options
    model = tiny.random(build(**tiny.CONFIG | {"text_cfg": text}))
    written = ["a cat", "a photo of a dog on a red sofa at home", "noise", "a blue bird"]
    tokens = open_clip.SimpleTokenizer()(written)
    monkeypatch.setattr(tokenizers, "AT_ONCE", 3)
    tower, read = getattr(model, "text", model), []
    tower.token_embedding.register_forward_hook(lambda _, given, __: read.append(given[0].shape))
    with torch.inference_mode():
        expected = model.encode_text(tokens)
        read.clear()
        found = tokenizers.encode_tokens(model, tokens)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert [tuple(shape) for shape in read] == [(3, 5 if longest == 13 else 77), (1, longest)]


@pytest.mark.parametrize("given", [[], [""], ["a cat", "  "], "a cat"])
def test_empty_texts_are_refused(untrained, given):
    with pytest.raises(WorkbookError, match="non-empty"):
        untrained.encode_text(given)


def test_a_text_that_fills_the_context_is_read_and_a_longer_one_refused(untrained):
    untrained.encode_text(["cat " * 75])
    with pytest.raises(WorkbookError, match="77 tokens"):
        untrained.encode_text(["cat " * 76])


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((224, 224, 3), np.uint8),
        np.zeros((1, 224, 224, 3)),
        np.zeros((1, 3, 8, 8), np.uint8),
    ],
)
def test_other_arrays_than_images_are_refused(untrained, bad):
    with pytest.raises(WorkbookError, match="n × height × width × 3"):
        untrained.encode(bad)
