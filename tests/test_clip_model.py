import numpy as np
import pytest

from helpers.checks import WorkbookError
from helpers.clip import forward, load
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
    patched = model.encode_with_patched_heads(five[::-1], five, heads)
    monkeypatch.setattr(forward, "WRITTEN_AT_ONCE", 2 * 16 * model.tower.tokens * model.tower.width)
    assert model._passes(5, by_token=False) == 3
    pieces = model.encode(five)
    for name in ("embedding", "heads", "mlps", "rest", "depths", "attention"):
        one, other = getattr(pieces, name), getattr(original, name)
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-6 * np.abs(other).max())
    found = model.encode_with_patched_heads(five[::-1], five, heads)
    np.testing.assert_allclose(found, patched, rtol=0, atol=2e-6 * np.abs(patched).max())


def test_other_input_sizes_are_resized(pixels, tmp_path):
    with tiny.registered(tmp_path, **{tiny.NAME: tiny.CONFIG}):
        model = load(tiny.NAME, device="cpu")
    assert model.encode(pixels).attention.shape == (2, 2, 2)


def test_texts_are_encoded_without_normalisation(untrained):
    import open_clip

    texts = ["a photo of a cat", "noise"]
    tokens = open_clip.get_tokenizer(UNTRAINED)(texts)
    expected = untrained.clip.encode_text(tokens).detach().numpy()
    np.testing.assert_allclose(untrained.encode_text(texts), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("texts", [[], [""], ["a cat", "  "], "a cat"])
def test_empty_texts_are_refused(untrained, texts):
    with pytest.raises(WorkbookError, match="non-empty"):
        untrained.encode_text(texts)


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
