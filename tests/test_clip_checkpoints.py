"""Checkpoints in all the forms in which people have them: each is opened rightly, or told apart.

Every row writes its files into an empty folder and returns what is given as model and pretrained.
"""

import io
import json
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import transformers
from safetensors.torch import save_file
from torch import nn

from helpers.checks import WorkbookError
from helpers.clip import load, names, weights
from helpers.clip.capabilities import capabilities
from tests import tiny

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
HALF = [0.5, 0.5, 0.5]
HALVED = {"image_mean": HALF, "image_std": HALF}
PIXELS_OF_HALF = {"preprocess_cfg": {"mean": HALF, "std": HALF}}
QUICK = f"{tiny.NAME}-quickgelu"


@pytest.fixture(scope="module", autouse=True)
def known(tmp_path_factory):
    folder = tmp_path_factory.mktemp("configs")
    quick = tiny.CONFIG | {"quick_gelu": True}
    with tiny.registered(folder, **{tiny.NAME: tiny.CONFIG, QUICK: quick}):
        yield


def clip(seed=0, **changed):
    """One of open_clip's models with random weights."""
    return tiny.random(open_clip.create_model(tiny.NAME, **changed), seed)


def state(seed=0, **changed):
    return clip(seed, **changed).state_dict()


def under(prefix, tensors):
    return {f"{prefix}{name}": value for name, value in tensors.items()}


def saved(folder: Path, contents, name="weights.pt"):
    if name.endswith(".safetensors"):
        save_file({key: value.contiguous() for key, value in contents.items()}, folder / name)
    else:
        torch.save(contents, folder / name)
    return tiny.NAME, str(folder / name)


def written(folder: Path, data: bytes, name="weights.pt"):
    (folder / name).write_bytes(data)
    return tiny.NAME, str(folder / name)


def data_of(contents) -> bytes:
    file = io.BytesIO()
    torch.save(contents, file)
    return file.getvalue()


def half(folder: Path, name: str, **options):
    path = folder / name
    if name.endswith(".safetensors"):
        save_file(state(), path)
    else:
        torch.save(state(), path, **options)
    return written(folder, path.read_bytes()[: path.stat().st_size // 2], name)


def configured(folder: Path, config, name="open_clip_model.safetensors", **changed):
    """A folder of open_clip's own."""
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    saved(folder, state(**changed), name)
    return folder


def embedding(model: nn.Module, mean=None, std=None):
    mean = torch.tensor(mean or open_clip.OPENAI_DATASET_MEAN)[:, None, None]
    std = torch.tensor(std or open_clip.OPENAI_DATASET_STD)[:, None, None]
    images = (torch.from_numpy(PIXELS).permute(0, 3, 1, 2) / 255 - mean) / std
    with torch.inference_mode():
        return model(images).numpy()


@dataclass(frozen=True)
class Opened:
    """What is opened: files → arguments of `load`; the embedding that is right; what is noted."""

    write: Callable[[Path], tuple]
    expected: Callable[[], np.ndarray] = lambda: embedding(clip().encode_image)
    notes: str = ""
    warning: str = "does not say its activation"
    texts: bool = True


OPEN_CLIP = {
    "plain": Opened(lambda f: saved(f, state(), "weights.safetensors")),
    "DDP": Opened(lambda f: saved(f, under("module.", state())), notes="module"),
    "open_clip's epochs": Opened(
        lambda f: saved(f, {"epoch": 3, "state_dict": under("module.", state())}),
        notes="weights: state_dict of weights.pt",
    ),
    "torch.compile": Opened(lambda f: saved(f, under("_orig_mod.", state())), notes="_orig_mod"),
    "both": Opened(
        lambda f: saved(f, under("module._orig_mod.", state()), "weights.safetensors"),
        notes="_orig_mod, module",
    ),
    "a compiled tower": Opened(
        lambda f: saved(
            f, {k.replace("visual.", "visual._orig_mod."): v for k, v in state().items()}
        )
    ),
    "Lightning": Opened(
        lambda f: saved(
            f,
            {
                "pytorch-lightning_version": "2.5",
                "state_dict": under("model.", state()) | {"loss.weight": torch.ones(3)},
                "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}}],
            },
            "last.ckpt",
        ),
        notes="weights: state_dict.model of last.ckpt",
    ),
    "compiled Lightning": Opened(
        lambda f: saved(f, {"state_dict": under("model._orig_mod.clip.", state())})
    ),
    "under model": Opened(lambda f: saved(f, {"model": state(), "epoch": 1})),
    "under model_state_dict": Opened(lambda f: saved(f, {"model_state_dict": state()})),
    "deep": Opened(lambda f: saved(f, {"checkpoint": {"model": under("module.", state())}})),
    "beside EMA": Opened(
        lambda f: saved(f, {"state_dict_ema": state(1), "state_dict": state()}),
        notes="weights: state_dict of weights.pt",
        warning=r"several sets of weights.*weights\.pt#state_dict_ema",
    ),
    "EMA, chosen": Opened(
        lambda f: (
            tiny.NAME,
            saved(f, {"state_dict": state(1), "state_dict_ema": state()})[1] + "#state_dict_ema",
        ),
        notes="state_dict_ema of weights.pt, an average over the training",
    ),
    "EMA alone": Opened(
        lambda f: saved(f, {"state_dict_ema": state()}), notes="an average over the training"
    ),
    "student and teacher": Opened(
        lambda f: saved(f, under("teacher.", state(1)) | under("student.", state())),
        notes="weights: student",
        warning="several sets of weights.*#teacher",
    ),
    "half precision": Opened(
        lambda f: saved(f, {k: v.half() for k, v in state().items()}),
        lambda: embedding(clip().half().float().encode_image),
    ),
    "another name than its contents": Opened(
        lambda f: written(f, data_of(state()), "weights.safetensors")
    ),
    "text tower below text": Opened(
        lambda f: saved(
            f,
            {
                name if name.split(".")[0] in ("visual", "logit_scale") else f"text.{name}": value
                for name, value in state().items()
            },
        )
    ),
    "a head of its own": Opened(
        lambda f: saved(f, state() | {"classifier.weight": torch.ones(2, 8)}),
        notes="left out, as no part of the model: classifier.weight",
    ),
    "trained at another size": Opened(
        lambda f: saved(f, state(force_image_size=48)),
        lambda: resized(clip(force_image_size=48), 48),
        notes="image size 48, by its weights",
    ),
    "trained with longer texts": Opened(
        lambda f: saved(f, state(force_context_length=20)),
        lambda: embedding(clip(force_context_length=20).encode_image),
        notes="context length 20, by its weights",
    ),
    "an image tower": Opened(
        lambda f: saved(f, {k: v for k, v in state().items() if k.startswith("visual.")}),
        notes="an image tower alone",
        texts=False,
    ),
    "an image tower, without prefix": Opened(
        lambda f: saved(f, under("module.", clip().visual.state_dict())), texts=False
    ),
    "a folder of open_clip's": Opened(
        lambda f: (str(configured(f, {"model_cfg": tiny.CONFIG} | PIXELS_OF_HALF)), None),
        lambda: embedding(clip().encode_image, HALF, HALF),
        notes="read as open_clip_config.json",
        warning="",
    ),
    "local-dir:": Opened(
        lambda f: (f"local-dir:{configured(f, {'model_cfg': tiny.CONFIG}, 'any.pt')}", None),
        warning="",
    ),
    "a configuration beside a file": Opened(
        lambda f: (
            tiny.NAME,
            str(
                configured(f, {"model_cfg": tiny.CONFIG | {"quick_gelu": True}} | PIXELS_OF_HALF)
                / "open_clip_model.safetensors"
            ),
        ),
        lambda: embedding(clip(quick_gelu=True).encode_image, HALF, HALF),
        notes="QuickGELU; pixels less 0.500",
        warning="",
    ),
    "pixels alone beside a file": Opened(
        lambda f: (tiny.NAME, str(configured(f, PIXELS_OF_HALF, "mine.pt") / "mine.pt")),
        lambda: embedding(clip().encode_image, HALF, HALF),
    ),
}


def resized(model, size):
    from torchvision.transforms import v2

    images = torch.from_numpy(PIXELS).permute(0, 3, 1, 2)
    bicubic = v2.InterpolationMode.BICUBIC
    images = v2.functional.resize(images, [size, size], interpolation=bicubic, antialias=True)
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    with torch.inference_mode():
        return model.encode_image(v2.functional.normalize(images / 255, mean, std)).numpy()


VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 16,
    "image_size": 32,
}
TEXT = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "vocab_size": 49408,
    "max_position_embeddings": 8,
    "bos_token_id": 49406,
    "eos_token_id": 49407,
}


def pair(kind, vision=(), text=(), **options):
    config, model = (getattr(transformers, f"{kind}{part}") for part in ("Config", "Model"))
    towers = {"vision_config": VISION | dict(vision), "text_config": TEXT | dict(text)}
    return tiny.random(model(config(**towers, **options)))


def tower(kind, model, **options):
    config = getattr(transformers, f"{kind}VisionConfig")(**VISION, **options)
    return tiny.random(getattr(transformers, f"{kind}Vision{model}")(config))


def openai(**vision):
    return pair("CLIP", vision, projection_dim=8)


def features(model, *pixels):
    if hasattr(model, "get_image_features"):
        return embedding(lambda images: model.get_image_features(images).pooler_output, *pixels)

    def seen(images):
        found = model(images)
        return getattr(found, "image_embeds", getattr(found, "pooler_output", None))

    return embedding(seen, *pixels)


def folder(f: Path, model, **files):
    model.save_pretrained(f)
    for name, contents in files.items():
        (f / f"{name}.json").write_text(json.dumps(contents))
    return str(f), None


def renamed(f: Path, model, name, change=lambda tensors: tensors):
    """A folder of transformers with its weights under another name, or other names in it."""
    folder(f, model)
    (f / "model.safetensors").unlink()
    saved(f, change(model.state_dict()), name)
    return str(f), None


TRANSFORMERS = {
    "processor_config.json": Opened(
        lambda f: folder(
            f,
            openai(),
            processor_config={"image_processor": HALVED},
        ),
        lambda: features(openai(), HALF, HALF),
        notes="pixels less 0.500",
    ),
    "preprocessor_config.json": Opened(
        lambda f: folder(f, openai(), preprocessor_config={"image_mean": HALF}),
        lambda: features(openai(), HALF),
    ),
    "model.fp16.safetensors": Opened(
        lambda f: renamed(
            f, openai(), "model.fp16.safetensors", lambda t: {k: v.half() for k, v in t.items()}
        ),
        lambda: features(openai().half().float()),
    ),
    "the file that is named": Opened(
        lambda f: (
            saved(Path(folder(f, tiny.random(openai(), 1))[0]), openai().state_dict(), "own.bin")[
                1
            ],
            None,
        ),
        lambda: features(openai()),
    ),
    "DDP in a folder": Opened(
        lambda f: renamed(f, openai(), "model.safetensors", lambda t: under("module.", t)),
        lambda: features(openai()),
        notes="taken off the names of its weights: module",
    ),
    "two activations": Opened(
        lambda f: folder(f, openai(hidden_act="gelu")),
        lambda: features(openai(hidden_act="gelu")),
        notes="; GELU; ",
    ),
    "a vision tower with projection": Opened(
        lambda f: folder(f, tower("CLIP", "ModelWithProjection", projection_dim=8)),
        lambda: features(tower("CLIP", "ModelWithProjection", projection_dim=8)),
        texts=False,
    ),
    "SigLIP's vision tower": Opened(
        lambda f: folder(f, tower("Siglip", "Model")),
        lambda: features(tower("Siglip", "Model"), HALF, HALF),
        texts=False,
    ),
    "MetaCLIP 2": Opened(
        lambda f: folder(f, pair("MetaClip2", text={"vocab_size": 99, "eos_token_id": 2})),
        lambda: features(pair("MetaClip2", text={"vocab_size": 99, "eos_token_id": 2})),
        texts=False,  # its tokenizer is not in the folder
    ),
    "Chinese CLIP": Opened(
        lambda f: folder(f, pair("ChineseCLIP", text={"vocab_size": 99, "eos_token_id": 2})),
        lambda: features(pair("ChineseCLIP", text={"vocab_size": 99, "eos_token_id": 2})),
        notes="left out, as no part of the model: text_model",
        texts=False,
    ),
}


def check(row: Opened, folder: Path):
    given = row.write(folder)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = load(*given, device="cpu")
    found = model.encode(PIXELS)
    expected = row.expected()
    np.testing.assert_allclose(found.embedding, expected, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(found.total(), found.embedding, atol=1e-4)
    assert re.search(row.notes, model.opened_as), model.opened_as
    assert model.capabilities.texts == row.texts
    assert capabilities(*given).texts == row.texts
    return model, "\n".join(str(one.message) for one in told)


@pytest.mark.parametrize("kind", OPEN_CLIP)
def test_checkpoints_of_open_clip_are_opened(kind, tmp_path):
    row = OPEN_CLIP[kind]
    _, told = check(row, tmp_path)
    assert re.search(row.warning, told) if row.warning else not told


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_checkpoints_of_transformers_are_opened(kind, tmp_path):
    _, told = check(TRANSFORMERS[kind], tmp_path)
    assert not told


@pytest.mark.filterwarnings("ignore:A weights file")
def test_texts_are_read_with_as_many_tokens_as_were_trained(tmp_path):
    model = load(*saved(tmp_path, state(force_context_length=20)), device="cpu")
    reference = clip(force_context_length=20)
    text = "a red square on a blue circle and a star"
    with torch.inference_mode():
        tokens = open_clip.SimpleTokenizer(context_length=20)([text])
        expected = reference.encode_text(tokens).numpy()
    np.testing.assert_allclose(model.encode_text([text]), expected, atol=1e-4)


def test_metaclip_2_ends_its_texts_at_their_own_mark(tmp_path):
    reference = pair("MetaClip2", text={"vocab_size": 99, "eos_token_id": 2})
    folder(tmp_path, reference)
    tokens = torch.tensor([[0, 50, 7, 2, 1, 1, 1, 1], [0, 98, 2, 1, 1, 1, 1, 1]])
    with torch.inference_mode():
        expected = reference.get_text_features(input_ids=tokens).pooler_output
        found = load(str(tmp_path), device="cpu").clip.encode_text(tokens)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


PAGE = b"<!DOCTYPE html><html><title>Log in</title></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 605157884\n"
LAYER = "base_model.model.vision_model.encoder.layers.0.self_attn.q_proj"
LORA = {f"{LAYER}.lora_{part}.weight": torch.ones(2, 2) for part in "AB"}


def adapter(f: Path):
    (f / "adapter_config.json").write_text("{}")
    saved(f, LORA, "adapter_model.safetensors")
    return str(f), None


REFUSED = {
    "Git LFS pointer": (lambda f: written(f, POINTER), "is a Git LFS pointer.*git lfs pull"),
    "login page": (lambda f: written(f, PAGE), "is a web page.*logged in"),
    "login page, safetensors": (lambda f: written(f, PAGE, "w.safetensors"), "is a web page"),
    "an answer in JSON": (lambda f: written(f, b'{"error": "gated"}'), "is a text of JSON"),
    "nothing": (lambda f: written(f, b""), "is empty"),
    "half a safetensors": (lambda f: half(f, "w.safetensors"), "only part of the weights"),
    "half a pt": (lambda f: half(f, "w.pt"), "only part of the weights"),
    "half an old pt": (
        lambda f: half(f, "w.pt", _use_new_zipfile_serialization=False),
        "only part of the weights",
    ),
    "noise": (lambda f: written(f, bytes(range(40, 250)) * 9), "is not a plain state dict"),
    "numbers": (lambda f: saved(f, {"epoch": 3}), "is not a plain state dict"),
    "an adapter": (lambda f: saved(f, LORA, "w.safetensors"), "holds an adapter.*merge_and_unload"),
    "a folder of an adapter": (adapter, "holds an adapter.*merge_and_unload"),
    "no such set": (
        lambda f: (tiny.NAME, saved(f, {"ema": state(), "model": state(1)})[1] + "#swa"),
        "has no set of weights 'swa'; it has 'ema', 'model'",
    ),
    "another model": (
        lambda f: saved(f, state(embed_dim=4)),
        "another model.*text_projection of the shape 8×4, where the model has 8×8",
    ),
    "more layers than the model": (
        lambda f: saved(
            f, state() | {"visual.transformer.resblocks.2.ln_1.weight": torch.ones(32)}
        ),
        "has visual.transformer.resblocks.2.ln_1.weight, which the model has not",
    ),
    "a configuration of another model": (
        lambda f: (
            "ViT-B-32",
            str(configured(f, {"model_cfg": tiny.CONFIG}, "w.safetensors") / "w.safetensors"),
        ),
        "embeddings have 8 numbers, and ViT-B-32 has 512",
    ),
    "no projection": (
        lambda f: folder(f, tower("CLIP", "Model")),
        "without its projection.*CLIPVisionModelWithProjection",
    ),
}


@pytest.mark.filterwarnings("ignore:A weights file")
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_checkpoint_is_told_in_one_sentence(kind, tmp_path):
    write, sentence = REFUSED[kind]
    with pytest.raises(WorkbookError, match=sentence) as told:
        load(*write(tmp_path), device="cpu")
    assert "\n" not in str(told.value)
    assert str(tmp_path) in str(told.value)


@pytest.mark.parametrize(
    "written_as, meant",
    {
        ("ViT-B/32", None): ("ViT-B-32", None),
        ("ViT-B/32", "openai"): ("ViT-B-32", "openai"),
        ("ViT-L/14@336px", "openai"): ("ViT-L-14-336", "openai"),
        ("vit-b-32", None): ("ViT-B-32", None),
        ("ViT_B_32", "OpenAI"): ("ViT-B-32", "openai"),
        ("ViT-B-32:openai", None): ("ViT-B-32", "openai"),
        ("ViT-B/32:LAION2B-s34b-b79k", None): ("ViT-B-32", "laion2b_s34b_b79k"),
        ("rn50x4", None): ("RN50x4", None),
        ("embedded:304", None): ("embedded", "304"),
        ("hf-hub:timm/model", None): ("timm/model", None),
        ("hf-hub:timm/model:0", None): ("timm/model", "0"),
        ("ViT-B-32", "epoch.pt#state_dict_ema"): ("ViT-B-32", "epoch.pt#state_dict_ema"),
    }.items(),
)
def test_names_are_understood_as_people_write_them(written_as, meant):
    named = names.resolve(*written_as)
    assert (named.name, named.pretrained) == meant


@pytest.mark.parametrize(
    "given",
    [("ViT-B-33",), ("ViT-B/33", "openai"), ("vitb32",), ("ViT-B-32-quickgleu",)],
)
def test_other_names_get_the_nearest(given):
    with pytest.raises(WorkbookError, match=r"the nearest names are (ViT-[\w-]+, ){2}ViT-[\w-]+;"):
        names.resolve(*given)


def test_no_two_names_of_open_clip_are_written_alike():
    assert len({names._plain(name) for name in names.open_clip_names()}) == len(
        names.open_clip_names()
    )


def test_a_file_whose_name_has_two_normalisations_is_told_of(tmp_path, monkeypatch):
    ways = {"one": {"mean": HALF, "std": HALF}, "other": {"mean": [0.4] * 3, "std": HALF}}
    monkeypatch.setattr("open_clip.list_pretrained_tags_by_model", lambda _: list(ways))
    monkeypatch.setattr("open_clip.get_pretrained_cfg", lambda _, tag: ways.get(tag, {}))
    given = saved(tmp_path, state())
    with (
        pytest.warns(UserWarning, match="how pixels are normalised.*open_clip_config.json"),
        pytest.warns(UserWarning, match="activation"),
    ):
        load(*given, device="cpu")


def test_what_is_read_with_the_weights_belongs_to_the_fingerprint(tmp_path):
    given = folder(tmp_path, openai())
    before = weights.fingerprint(*given)
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": HALVED}))
    assert weights.fingerprint(*given) != before
    file = saved(tmp_path, {"model": state(), "ema": state(1)})[1]
    found = {weights.fingerprint(tiny.NAME, f"{file}{chosen}") for chosen in ("", "#model", "#ema")}
    assert len(found) == 3
