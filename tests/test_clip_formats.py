"""OpenAI's own files, by a stand-in in their layout: half precision, their names, TorchScript."""

import hashlib

import pytest
import torch
from open_clip.transformer import QuickGELU
from torch import nn

from helpers.checks import WorkbookError
from helpers.clip import formats, load, weights


class Namespace(nn.Module):
    """A module that holds tensors under dotted names, as a model's state dict has them."""

    def put(self, name, value):
        first, _, rest = name.partition(".")
        if not rest:
            self.register_buffer(first, value)
            return
        if first not in self._modules:
            self.add_module(first, Namespace())
        self._modules[first].put(rest, value)

    def forward(self, x):
        return x


@pytest.fixture(scope="module")
def archive(small_base, tmp_path_factory):
    module = Namespace()
    for name, value in small_base.clip.state_dict().items():
        module.put(name, value.half())
    for name, value in (("input_resolution", 224), ("context_length", 77), ("vocab_size", 49408)):
        module.put(name, torch.tensor(value))
    path = tmp_path_factory.mktemp("openai") / "ViT-B-32.pt"
    torch.jit.save(torch.jit.trace(module, torch.zeros(1)), path)
    return path


@pytest.fixture
def known(archive, monkeypatch):
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setitem(formats.OPENAI, digest, "ViT-B-32")
    return archive


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-32-quickgelu"])
def test_a_known_archive_is_read_with_its_activation(name, known, small_base):
    model = load(name, str(known), device="cpu")
    half = small_base.clip.visual.proj.half().float()
    assert torch.equal(model.clip.visual.proj, half)
    assert model.clip.visual.proj.dtype == torch.float32
    activation = model.clip.visual.transformer.resblocks[0].mlp.gelu
    assert isinstance(activation, QuickGELU)


def test_an_unknown_archive_is_refused_before_it_is_opened(archive, monkeypatch):
    monkeypatch.setattr("torch.jit.load", lambda *_, **__: pytest.fail("ran the archive"))
    with pytest.raises(WorkbookError, match="is a program") as told:
        load("ViT-B-32", str(archive))
    assert "\n" not in str(told.value)


def test_an_archive_of_another_model_is_told(known):
    with pytest.raises(WorkbookError, match="holds OpenAI's ViT-B-32; give model that name"):
        load("ViT-B-16", str(known))


def test_the_tag_finds_the_archive_that_openais_package_left(known, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("helpers.clip.weights.OPENAI_CACHE", known.parent)
    with pytest.raises(WorkbookError, match="SHA-256 is not the one"):
        load("ViT-B-32", "openai", device="cpu")
    digest = hashlib.sha256(known.read_bytes()).hexdigest()
    monkeypatch.setattr("helpers.clip.weights._promised", lambda *_: digest)
    assert weights.cached_tags("ViT-B-32") == {"openai": known}
    assert load("ViT-B-32", "openai", device="cpu").title == "ViT-B-32, openai"


def test_hashes_are_those_in_openais_addresses():
    import open_clip

    for digest, name in formats.OPENAI.items():
        url = open_clip.get_pretrained_cfg(name, "openai")["url"]
        assert digest == url.split("/")[-2]
    assert len(formats.OPENAI) == 9
