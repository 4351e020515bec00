"""Models as transformers saves them: the same embeddings and attention as transformers' own."""

import json
import shutil
import warnings

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPConfig,
    CLIPModel,
    Siglip2Config,
    Siglip2Model,
    SiglipConfig,
    SiglipModel,
)

from helpers.checks import WorkbookError
from helpers.clip import formats, huggingface, load, weights
from helpers.clip.capabilities import capabilities

VISION = {
    "hidden_size": 96,
    "intermediate_size": 200,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "patch_size": 16,
}
TEXT = {
    "hidden_size": 64,
    "intermediate_size": 130,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 49408,
    "max_position_embeddings": 16,
    "bos_token_id": 49406,
    "eos_token_id": 49407,
}
SQUARE = VISION | {"image_size": 64}
PROJECTED = TEXT | {"projection_size": 96}
TANH = {"hidden_act": "gelu_pytorch_tanh"}
EAGER = {"attn_implementation": "eager"}
MODELS = {
    "CLIP, QuickGELU": lambda: CLIPModel(
        CLIPConfig(vision_config=SQUARE, text_config=TEXT, projection_dim=24, **EAGER)
    ),
    "CLIP, tanh": lambda: CLIPModel(
        CLIPConfig(vision_config=SQUARE | TANH, text_config=TEXT | TANH, projection_dim=24, **EAGER)
    ),
    "SigLIP": lambda: SiglipModel(
        SiglipConfig(vision_config=SQUARE, text_config=PROJECTED, **EAGER)
    ),
    "SigLIP 2": lambda: Siglip2Model(
        Siglip2Config(vision_config=VISION | {"num_patches": 16}, text_config=PROJECTED, **EAGER)
    ),
}


def random(model):
    torch.manual_seed(0)
    with torch.no_grad():
        for name, value in model.named_parameters():
            one = "norm" in name and name.endswith("weight")
            value.copy_(torch.randn_like(value) * 0.3 / max(1, value.ndim**2 - 1) + one)
    return model.eval()


@pytest.fixture(scope="module", params=MODELS)
def saved(request, tmp_path_factory):
    transformers.logging.set_verbosity_error()
    reference = random(MODELS[request.param]())
    folder = tmp_path_factory.mktemp("saved") / request.param.replace(", ", "-").replace(" ", "")
    reference.save_pretrained(folder)
    return reference, folder


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "clip"
    random(MODELS["CLIP, QuickGELU"]()).save_pretrained(folder)
    return folder


@pytest.fixture
def squares():
    return np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)


def inputs(model, reference, pixels):
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(value)[:, None, None] for value in (model.mean, model.std))
    images = (images - mean) / std
    if not isinstance(reference, Siglip2Model):
        return {"pixel_values": images}
    cut = images.unfold(2, 16, 16).unfold(3, 16, 16)  # n × colours × rows × columns × 16 × 16
    return {
        "pixel_values": cut.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2),
        "pixel_attention_mask": torch.ones(len(images), 16),
        "spatial_shapes": torch.tensor([[4, 4]] * len(images)),
    }


def relative_error(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def test_images_texts_and_attention_equal_transformers(saved, squares):
    reference, folder = saved
    model = load(str(folder), device="cpu")
    encoding = model.encode(squares)
    given = inputs(model, reference, squares)
    tokens = torch.randint(1, 99, (3, 16))
    tokens[:, 9:] = 49407  # the end mark, and padding alike
    with torch.inference_mode():
        images = reference.get_image_features(**given).pooler_output
        texts = reference.get_text_features(input_ids=tokens).pooler_output
        attention = last_attention(reference, given).reshape(2, *model.grid)
        written = model.clip.encode_text(tokens).numpy()
    assert relative_error(encoding.embedding, images.numpy()) <= 1e-4
    assert relative_error(written, texts.numpy()) <= 1e-4
    assert relative_error(encoding.attention, attention.numpy()) <= 1e-4
    assert relative_error(encoding.total(), encoding.embedding) <= 1e-5
    assert model.logit_scale == pytest.approx(reference.logit_scale.exp().item())
    if hasattr(reference, "logit_bias"):
        assert model.logit_bias == pytest.approx(reference.logit_bias.item())
    assert model.title == folder.name


def last_attention(reference, given):
    vision = reference.vision_model
    found = vision(**given, output_attentions=True)
    if isinstance(reference, CLIPModel):
        return found.attentions[-1][:, :, 0, 1:].mean(1)
    tokens, head = found.last_hidden_state, vision.head
    probe = head.probe.repeat(len(tokens), 1, 1)
    return head.attention(probe, tokens, tokens)[1][:, 0]


def test_a_clip_reads_texts_with_the_tokens_that_open_clip_ships(clip_folder):
    model = load(str(clip_folder), device="cpu")
    assert model.encode_text(["a red square", "noise"]).shape == (2, 24)
    with pytest.raises(WorkbookError, match="16 tokens"):
        model.encode_text(["red " * 40])


def test_defaults_are_those_of_transformers():
    for (kind, tower), values in huggingface.DEFAULTS.items():
        config = {"clip": CLIPConfig, "siglip": SiglipConfig, "siglip2": Siglip2Config}[kind]()
        own = getattr(config, f"{tower}_config")
        for name, value in values.items():
            if hasattr(own, name):
                assert getattr(own, name) == value, (kind, tower, name)


def test_an_id_is_found_in_the_hub_cache_without_a_network(clip_folder, tmp_path, monkeypatch):
    snapshot = tmp_path / "models--owner--model" / "snapshots" / "0123"
    shutil.copytree(clip_folder, snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0123")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.get_session", lambda: pytest.fail("asked the network"))
    model = load("owner/model", device="cpu")
    assert model.title == "owner/model"
    assert model.fingerprint == weights.fingerprint(str(clip_folder), None)
    assert list(weights.cached_ids()) == ["owner/model"]
    (snapshot / "model.safetensors").unlink()
    monkeypatch.setattr("helpers.clip.hub.reachable", lambda: False)
    with pytest.raises(WorkbookError, match=r"only in part on this machine .*no model hub"):
        load("owner/model", device="cpu")


def test_a_file_of_transformers_fits_a_name_of_open_clips(small_names, tmp_path):
    """Named back to transformers' names, ViT-B/32's weights are found again, activation too."""
    text = TEXT | {"num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 256}
    vision = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 2}
    vision |= {"num_attention_heads": 2, "image_size": 224, "patch_size": 32}
    text |= {"max_position_embeddings": 77}
    config = CLIPConfig(text_config=text, projection_dim=64, vision_config=vision)
    reference = CLIPModel(config)
    path = tmp_path / "model.safetensors"
    save_file({k: v.contiguous() for k, v in reference.state_dict().items()}, path)
    with pytest.warns(UserWarning, match="does not say its activation"):
        model = load("ViT-B-32", str(path), device="cpu")
    assert torch.equal(model.clip.visual.proj, reference.visual_projection.weight.T)
    (tmp_path / "config.json").write_text(config.to_json_string())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = load("ViT-B-32", str(path), device="cpu")
    assert type(model.clip.visual.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"


def test_weights_in_several_files_are_joined(clip_folder, tmp_path):
    folder = tmp_path / "sharded"
    CLIPModel.from_pretrained(clip_folder).save_pretrained(folder, max_shard_size="1MB")
    assert len(formats.parts_of(folder / "model.safetensors.index.json")) > 1
    one, other = (load(str(path), device="cpu") for path in (clip_folder, folder))
    assert torch.equal(one.clip.visual.proj, other.clip.visual.proj)
    next(folder.glob("model-*.safetensors")).unlink()
    with pytest.raises(WorkbookError, match=r"lacks model-.*download it again"):
        load(str(folder), device="cpu")


def test_the_activation_belongs_to_the_fingerprint(clip_folder, tmp_path):
    folder = shutil.copytree(clip_folder, tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    for tower in ("vision_config", "text_config"):
        config[tower]["hidden_act"] = "gelu"
    (folder / "config.json").write_text(json.dumps(config))
    assert len({weights.fingerprint(str(path), None) for path in (clip_folder, folder)}) == 2


def change(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def other_sizes(folder):
    state = load_file(folder / "model.safetensors")
    state["visual_projection.weight"] = torch.zeros(24, 7)
    save_file(state, folder / "model.safetensors")


BAD = {
    "no configuration": (lambda f: (f / "config.json").unlink(), "has no config.json"),
    "broken configuration": (lambda f: (f / "config.json").write_text("{"), "is no JSON"),
    "a text model": (lambda f: change(f, model_type="bert"), "of the type 'bert'.*clip, siglip"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "interrupted"),
    "half a file": (cut, "holds only part of the weights"),
    "other sizes": (other_sizes, "don't fit the model"),
    "another activation": (
        lambda f: change(f, vision_config={"hidden_act": "swish"}),
        "activation 'swish'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_a_folder_is_told_in_one_sentence(case, clip_folder, tmp_path):
    spoil, sentence = BAD[case]
    folder = shutil.copytree(clip_folder, tmp_path / "model")
    spoil(folder)
    with pytest.raises(WorkbookError, match=sentence) as told:
        load(str(folder), device="cpu")
    assert "\n" not in str(told.value)


def test_a_folder_is_a_model_and_not_weights(clip_folder):
    with pytest.raises(WorkbookError, match="is a folder; give it as model"):
        load("ViT-B-32", str(clip_folder))
    with pytest.raises(WorkbookError, match="leave pretrained"):
        load(str(clip_folder), "openai")


def test_a_missing_tokenizer_is_told_when_a_text_is_given(tmp_path):
    folder = tmp_path / "siglip"
    MODELS["SigLIP"]().save_pretrained(folder)
    assert "no tokenizer" in capabilities(str(folder)).why_not("texts")
    model = load(str(folder), device="cpu")
    assert not model.capabilities.texts
    with pytest.raises(WorkbookError, match=r"reads no texts here: there is no tokenizer"):
        model.encode_text(["a red square"])


def test_a_tokenizer_beside_the_weights_is_used(tmp_path):
    folder = tmp_path / "siglip"
    MODELS["SigLIP"]().save_pretrained(folder)
    save_tokenizer(folder)
    model = load(str(folder), device="cpu")
    assert model.capabilities.texts
    one, other = model.encode_text(["a red square", "A RED square!"])  # canonical: the same
    np.testing.assert_array_equal(one, other)
    assert model.encode_text(["red " * 15]).shape == (1, 96)
    with pytest.raises(WorkbookError, match="16 tokens"):
        model.encode_text(["red " * 16])


def save_tokenizer(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {"<pad>": 0, "</s>": 1, "<unk>": 2, "a": 3, "red": 4, "square": 5}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", None, [("</s>", 1)])
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="</s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
