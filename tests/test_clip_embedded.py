"""The embedded models as they are shipped: weights, words, and where training starts."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from helpers.checks import WorkbookError
from helpers.clip.embedded import NAMES, RECIPES, checkpoints, weights_file
from helpers.clip.embedded.initial import new_model, normalise
from helpers.clip.embedded.text import known_tokens, tokenizer
from helpers.clip.embedded.weights import build
from helpers.data import scenes
from helpers.data.sources import PHOTOS
from helpers.training.settings import Settings
from helpers.training.text import encode_texts, tokenize


@pytest.fixture(scope="module")
def embedded():
    return build("embedded")


class TestWeights:
    @pytest.mark.parametrize("name", NAMES)
    def test_they_are_small(self, name):
        assert weights_file(name).stat().st_size <= 8_000_000
        kept = [weights_file(name, step) for step in checkpoints(name) if step != "0"]
        assert len(kept) == 2
        assert sum(file.stat().st_size for file in kept) <= 16_000_000

    @pytest.mark.parametrize("name", NAMES)
    def test_step_0_is_the_model_before_training(self, name):
        untrained, tokenizer = build(name, "0")
        expected = new_model(name, Settings.read(name).seed).state_dict()
        rows = known_tokens(name)
        for part, tensor in untrained.state_dict().items():
            own = tensor[rows] if part == "token_embedding.weight" else tensor
            assert torch.equal(own, expected[part]), part
        assert weights_file(name, "0") is None
        assert tokenizer.known == set(rows.tolist())

    def test_the_model_is_open_clips_own_in_evaluation_mode(self, embedded):
        model, _ = embedded
        assert type(model).__module__ == "open_clip.model"
        assert not model.training
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}

    def test_only_known_rows_are_stored_and_the_rest_are_zero(self, embedded):
        table = embedded[0].token_embedding.weight
        stored = load_file(weights_file("embedded"))
        rows = stored["token_embedding.rows"].long()
        torch.testing.assert_close(table[rows], stored["token_embedding.weight"].float())
        assert table.abs().sum(1).count_nonzero() == len(rows) < 500

    def test_building_leaves_the_random_state_alone(self):
        torch.manual_seed(0)
        before = torch.get_rng_state()
        build("embedded")
        assert torch.equal(before, torch.get_rng_state())

    def test_checkpoints_are_other_weights(self, embedded):
        kept = checkpoints("embedded")
        assert kept == sorted(kept, key=int)
        earlier, _ = build("embedded", kept[0])
        assert not torch.equal(earlier.visual.proj, embedded[0].visual.proj)

    def test_an_unknown_checkpoint_is_told(self):
        with pytest.raises(WorkbookError, match=r"step of model embedded.*has no value '7'"):
            build("embedded", "7")

    def test_finding_the_file_needs_no_torch(self):
        code = (
            "import sys; from helpers.clip.embedded import weights_file; weights_file('embedded');"
            "sys.exit('torch' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    def test_a_model_that_has_not_been_trained_yet_is_no_choice(self):
        for name in RECIPES:
            assert (name in NAMES) == weights_file(name).exists()
        assert "embedded" in NAMES


class TestText:
    def test_an_unknown_word_is_named_and_counts_as_nothing(self, embedded):
        model, tokenizer_ = embedded
        unknown = tokenizer_(["a giraffe"])
        assert re.search(r"never met 1 .*giraffe", tokenizer_.unknown(unknown))
        assert model.token_embedding(unknown)[0, 2].abs().sum() == 0

    def test_the_words_of_scenes_and_photographs_are_known(self, embedded):
        prompts = [
            one.write(template, value)
            for one in scenes.PROPERTIES.values()
            for template in one.prompts + one.held_out
            for value in one.values
        ]
        tokens = embedded[1]([*prompts, *PHOTOS.values()])
        assert tokens.shape[1] == 24
        assert embedded[1].unknown(tokens) == ""

    def test_renumbered_tokens_are_rows_of_the_table(self):
        texts, name = ["a red star above a blue circle", "two objects"], "embedded-clip"
        rows = tokenize(texts, name)
        np.testing.assert_array_equal(known_tokens(name)[rows], tokenizer()(texts))

    def test_trimmed_texts_encode_as_open_clip_encodes_them(self):
        model = new_model("embedded", 0).eval()
        texts = ["a red star", "a picture of two objects"]
        tokens = torch.from_numpy(tokenize(texts, "embedded"))
        torch.testing.assert_close(encode_texts(model, tokens), model.encode_text(tokens))


class TestInitialWeights:
    def test_patches_respond_alike_and_positions_at_their_scale(self):
        model = new_model("embedded", 0)
        pixels = torch.from_numpy(scenes.draw(32, 99).pixels.transpose(0, 3, 1, 2))
        out = model.visual.conv1(normalise(pixels)).transpose(0, 1).flatten(1)
        assert (out.std(1) > 0.3).all()
        assert (out.std(1) < 3).all()
        scale = model.visual.positional_embedding[1:].square().mean().sqrt()
        assert scale.item() == pytest.approx(0.5, abs=1e-4)

    def test_normalising_is_what_open_clip_does(self):
        from open_clip.transform import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
        from torchvision.transforms.functional import normalize, to_tensor

        image = scenes.scene(0, 1).pixels
        expected = normalize(to_tensor(image), OPENAI_DATASET_MEAN, OPENAI_DATASET_STD)
        ours = normalise(torch.from_numpy(image).permute(2, 0, 1)[None])[0]
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
