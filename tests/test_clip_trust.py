"""No weights file runs code: malicious ones are planted wherever weights are looked for."""

import json
import os
import pickle
import re
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from helpers.checks import WorkbookError
from helpers.clip import formats, load, names

ROOT = Path(__file__).parents[1]
TINY = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}
SMALL = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "patch_size": 16}
HUGGING_FACE = {
    "model_type": "clip",
    "projection_dim": 8,
    "vision_config": SMALL | {"num_attention_heads": 1, "image_size": 32},
    "text_config": SMALL | {"num_attention_heads": 1, "vocab_size": 49408},
    "auto_map": {"AutoModel": "program.Model", "AutoConfig": "program.Config"},
}


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def as_pickle(payload, path):
    path.write_bytes(pickle.dumps(payload))


def as_state_dict(payload, path):
    torch.save({"state_dict": {"visual.proj": payload}}, path)


def as_old_state_dict(payload, path):
    torch.save({"visual.proj": payload}, path, _use_new_zipfile_serialization=False)


def as_array(payload, path):
    with path.open("wb") as file:
        np.save(file, np.array([payload], object))


def as_arrays(payload, path):
    with path.open("wb") as file:
        np.savez(file, embedding=np.array([payload], object))


def as_program(payload, path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps(payload))
        archive.writestr("a/constants.pkl", pickle.dumps(payload))
        archive.writestr("a/code/__torch__.py", "op_version_set = 1")
        archive.writestr("a/version", "3\n")


FORMS = (as_pickle, as_state_dict, as_old_state_dict, as_array, as_arrays, as_program)
ENDINGS = (".pth", ".bin", ".ckpt", ".npz", ".npy", ".pkl", ".safetensors")


@pytest.fixture
def mark(tmp_path):
    return tmp_path / "the payload was run"


@pytest.fixture
def payload(mark, monkeypatch):
    monkeypatch.setattr("torch.jit.load", lambda *_, **__: pytest.fail("ran an archive"))
    return Payload(mark)


@pytest.fixture
def tiny(tmp_path):
    """A model of open_clip's that is built in no time."""
    name = "tiny-for-tests"
    (tmp_path / f"{name}.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(tmp_path / f"{name}.json")
    names.open_clip_names.cache_clear()
    yield name
    open_clip.factory._MODEL_CONFIGS.pop(name)
    names.open_clip_names.cache_clear()


def refused(*arguments):
    with pytest.raises(WorkbookError) as told:
        load(*arguments, device="cpu")
    assert "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize("form", FORMS)
def test_the_payload_works(form, payload, mark, tmp_path):
    form(payload, tmp_path / "file")
    data = (tmp_path / "file").read_bytes()
    assert b"mkdir" in data
    pickle.loads(pickle.dumps(payload))
    assert mark.is_dir()


@pytest.mark.filterwarnings("ignore:A weights file")
@pytest.mark.parametrize(
    ("form", "ending"),
    [(form, ".pt") for form in FORMS] + [(as_pickle, ending) for ending in ENDINGS],
)
def test_a_local_file_runs_nothing(form, ending, payload, mark, tiny, tmp_path):
    path = tmp_path / f"weights{ending}"
    form(payload, path)
    sentence = refused(tiny, str(path))
    assert str(path) in sentence
    assert not mark.exists()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_a_folder_of_transformers_runs_nothing(form, name, payload, mark, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(HUGGING_FACE))
    (folder / "program.py").write_text(f"import os; os.mkdir({str(mark)!r})")
    form(payload, folder / name)
    assert re.search("can't be read as weights|which is a program", refused(str(folder)))
    assert not mark.exists()


@pytest.mark.parametrize("form", FORMS)
def test_the_cache_of_a_hub_runs_nothing(form, payload, mark, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--someone--model" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    refs = tmp_path / "models--someone--model" / "refs"
    refs.mkdir()
    (refs / "main").write_text("0123")
    (snapshot / "config.json").write_text(json.dumps(HUGGING_FACE))
    form(payload, snapshot / "pytorch_model.bin")
    assert re.search("can't be read as weights|which is a program", refused("someone/model"))
    assert not mark.exists()


def test_a_tokenizer_runs_no_program_of_its_folder(mark, tmp_path):
    from helpers.clip.tokenizers import HubTokenizer

    own = {"auto_map": {"AutoTokenizer": ["program.Own", None]}, "tokenizer_class": "Own"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(own))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "own"} | own))
    (tmp_path / "program.py").write_text(f"import os; os.mkdir({str(mark)!r})")
    with pytest.raises((ValueError, OSError, KeyError, ImportError)):
        HubTokenizer(str(tmp_path), local_files_only=True)
    assert not mark.exists()


@pytest.mark.parametrize("stray", ["../secret.safetensors", "/etc/hosts", "b/c.bin"])
def test_an_index_names_no_file_elsewhere(stray, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(HUGGING_FACE))
    index = {"weight_map": {"visual.proj": stray}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert f"lists '{stray}', which is no file beside it" in refused(str(tmp_path))


@pytest.mark.parametrize("index", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": 5}'])
def test_a_damaged_index_is_told(index, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(HUGGING_FACE))
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(index)
    with pytest.raises(WorkbookError, match="is no index of weights files"):
        formats.parts_of(path)
    assert "is no index of weights files" in refused(str(tmp_path))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.filterwarnings("ignore:A weights file")
def test_weights_that_are_not_finite_are_told(value, tiny, tmp_path):
    state = dict(load(tiny, device="cpu").clip.state_dict())
    state["visual.proj"] = state["visual.proj"].clone()
    state["visual.proj"][0, 0] = value
    save_file(state, tmp_path / "broken.safetensors")
    assert "hold NaN or infinity, in visual.proj" in refused(
        tiny, str(tmp_path / "broken.safetensors")
    )


def test_lab_keeps_its_token():
    """Neither the Makefile nor a configuration of ours opens the server to others."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    assert not re.search(r"jupyter_\w*config", tracked.stdout)
    lab = re.search("^lab:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert lab[1].split() == [
        "$(BIN)/jupyter",
        "lab",
        "--ServerApp.root_dir=.",
        "--LabApp.default_url=/lab/tree/notebooks/index.ipynb",
    ]


def test_a_server_asks_for_a_token():
    from jupyter_server.auth import IdentityProvider

    assert len(IdentityProvider().token) >= 32
