import shutil

import numpy as np
import pytest
import torch
from open_clip.transformer import QuickGELU
from safetensors.torch import save_file

from helpers.checks import WorkbookError
from helpers.clip import load, weights


@pytest.fixture(scope="module")
def stand_in(small_base, tmp_path_factory):
    """A checkpoint with the names and shapes of ViT-B/32 and other numbers than seed 0's."""
    state = {name: value * 0.5 for name, value in small_base.clip.state_dict().items()}
    path = tmp_path_factory.mktemp("weights") / "stand_in.safetensors"
    save_file(state, path)
    return path


@pytest.fixture
def hub_cache(stand_in, tmp_path, monkeypatch):
    """The cache that a model hub's client would leave after downloading the tag `openai`."""
    repository = tmp_path / "models--timm--vit_base_patch32_clip_224.openai"
    snapshot = repository / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123")
    shutil.copy(stand_in, snapshot / "open_clip_model.safetensors")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.get_session", no_session)


def no_session():
    raise ConnectionError("no network")


def activations(model):
    return {type(block.mlp.gelu) for block in model.clip.visual.transformer.resblocks}


@pytest.mark.filterwarnings("ignore:A weights file")
def test_local_safetensors_are_loaded(stand_in, small_base, pixels):
    model = load("ViT-B-32", str(stand_in), device="cpu")
    halved = small_base.clip.visual.proj * 0.5
    assert torch.equal(model.clip.visual.proj, halved)
    assert model.title == "ViT-B-32, stand_in.safetensors"
    assert not np.allclose(model.encode(pixels).embedding, small_base.encode(pixels).embedding)


@pytest.mark.filterwarnings("ignore:A weights file")
def test_local_pt_equals_safetensors(stand_in, small_base, tmp_path):
    path = tmp_path / "stand_in.pt"
    state = {name: value * 0.5 for name, value in small_base.clip.state_dict().items()}
    torch.save({"state_dict": state}, path)
    pair = [load("ViT-B-32", str(file), device="cpu").clip for file in (path, stand_in)]
    for one, other in zip(*(clip.parameters() for clip in pair), strict=True):
        assert torch.equal(one, other)


def test_local_file_warns_that_its_activation_is_a_guess(stand_in):
    with pytest.warns(UserWarning, match="ViT-B-32-quickgelu"):
        load("ViT-B-32", str(stand_in), device="cpu")


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-32-quickgelu"])
def test_activation_follows_the_tag_and_not_the_name(name, hub_cache):
    assert activations(load(name, "openai", device="cpu")) == {QuickGELU}


def test_cached_tag_is_found_without_a_network(hub_cache, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_session", lambda: pytest.fail("asked the network"))
    assert list(weights.cached_tags("ViT-B-32")) == ["openai"]
    assert load("ViT-B-32", "openai", device="cpu").title == "ViT-B-32, openai"


def test_fingerprint_tells_weights_apart(stand_in, small_base):
    assert small_base.fingerprint == "untrained"
    assert weights.fingerprint("ViT-B-32", str(stand_in)) != "untrained"


def test_untrained_weights_are_the_same_every_time_and_leave_the_seed_alone(small_base):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    again = load("ViT-B-32", device="cpu")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(again.clip.visual.proj, small_base.clip.visual.proj)
    assert again.title == "ViT-B-32, untrained"


def test_unavailable_weights_name_what_was_tried_and_three_ways_on(no_network):
    with pytest.raises(WorkbookError) as caught:
        load("ViT-B-32", "openai")
    for part in ("openai", "vit_base_patch32_clip_224", "cached", ".safetensors", "embedded"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("ViT-B-33",), "nearest names are ViT-B-32, "),
        (("ViT-B-32", "opena"), "Did you mean 'openai'"),
        (("owner/no-such-model",), "is not on this machine"),
        (("some/deep/folder",), "no folder some/deep/folder"),
        (("ViT-B-32", "missing.safetensors"), "no weights file missing.safetensors"),
        (("ViT-B-32", None, "quantum"), "device has no value 'quantum'"),
        (("ViT-B-32", None, "cpu", "float8"), "precision has no value 'float8'"),
    ],
)
def test_bad_names_are_told_in_one_sentence(arguments, message):
    with pytest.raises(WorkbookError, match=message):
        load(*arguments)


@pytest.mark.filterwarnings("ignore:A weights file")
@pytest.mark.parametrize(
    "name, content, message",
    [
        ("bad.safetensors", b"no tensors at all", "not a plain state dict"),
        ("bad.pt", b"no tensors at all", "not a plain state dict"),
    ],
)
def test_corrupt_weights_are_told(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WorkbookError, match=message):
        load("ViT-B-32", str(tmp_path / name), device="cpu")


@pytest.mark.filterwarnings("ignore:A weights file")
def test_weights_of_another_model_are_told(stand_in):
    with pytest.raises(WorkbookError, match="another model"):
        load("ViT-B-16", str(stand_in), device="cpu")


@pytest.mark.filterwarnings("ignore:A weights file")
def test_weights_that_would_run_code_are_refused(tmp_path):
    path = tmp_path / "module.pt"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(WorkbookError, match="plain state dict"):
        load("ViT-B-32", str(path), device="cpu")
