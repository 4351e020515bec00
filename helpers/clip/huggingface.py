"""Models as Hugging Face's `transformers` stores them, converted to open_clip's modules.

A folder (or a snapshot in the hub cache) holds ``config.json``, which names the kind of model, its
sizes and its activation, and the weights under `transformers`' names; `converted` gives them
open_clip's.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.convert import convert_state_dict
from open_clip.model import CLIP, convert_to_custom_text_state_dict
from open_clip.timm_model import TimmModel
from open_clip.transformer import QuickGELU, TextTransformer
from timm.models import VisionTransformer
from torch import nn

from helpers.checks import WorkbookError
from helpers.clip import formats, tokenizers
from helpers.clip.building import Towers, vision_tower
from helpers.clip.towers.kinds import POOLS_BY_ATTENTION

ACTIVATIONS = {
    "gelu": nn.GELU,
    "quick_gelu": QuickGELU,
    "gelu_pytorch_tanh": partial(nn.GELU, approximate="tanh"),
    "gelu_new": partial(nn.GELU, approximate="tanh"),
}
"""``hidden_act`` of a configuration → the module."""

_BASE = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12}
_SIGLIP = _BASE | {
    "num_attention_heads": 12,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
    "vocab_size": 32000,
    "max_position_embeddings": 64,
    "image_size": 224,
    "patch_size": 16,
    "num_patches": 256,
}
_RESAMPLINGS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's number of an interpolation → its name."""

_CLIP = {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
DEFAULTS = {
    ("clip", "vision"): _BASE
    | _CLIP
    | {"num_attention_heads": 12, "image_size": 224, "patch_size": 32},
    ("clip", "text"): _CLIP
    | {
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 8,
        "vocab_size": 49408,
        "max_position_embeddings": 77,
        "eos_token_id": 49407,
    },
    ("siglip", "vision"): _SIGLIP,
    ("siglip", "text"): _SIGLIP,
}
"""What a configuration means that leaves a value out: `transformers`' own defaults, by family."""

LEGACY_END = 2
"""End mark in OpenAI's configurations; the true one is the highest number of a text."""


@dataclass(frozen=True)
class Kind:
    """A kind of model that `transformers` stores."""

    family: str  # whose `DEFAULTS` it has
    # configurations of the vision tower, of the text tower (None where there is none that can be
    # built) and the whole one → the model, untrained
    build: Callable[[dict, dict | None, dict], nn.Module]
    mean: tuple[float, ...] = OPENAI_DATASET_MEAN  # normalisation where the folder doesn't say
    std: tuple[float, ...] = OPENAI_DATASET_STD
    tokenizer: dict = field(default_factory=dict)  # options of open_clip's `HFTokenizer`
    no_texts: str = ""  # why its texts can't be read, as the end of a sentence; "" where they can
    no_neurons: str = ""  # why its neurons can't be accounted for, likewise


def _clip(vision: dict, text: dict | None, config: dict, *, legacy: bool = True) -> nn.Module:
    features = _features(config, vision)
    seen = _common(vision) | {
        "head_width": vision["hidden_size"] // vision["num_attention_heads"],
        "image_size": vision["image_size"],
        "patch_size": vision["patch_size"],
    }
    quick = vision["hidden_act"] == "quick_gelu"
    visual = {"embed_dim": features, "vision_cfg": seen, "quick_gelu": quick}
    if text is None:
        return Towers(vision_tower(visual), None, context_length=0)
    ends = not legacy or text["eos_token_id"] not in (LEGACY_END, text["vocab_size"] - 1)
    read = _common(text) | {
        "heads": text["num_attention_heads"],
        "context_length": text["max_position_embeddings"],
        "vocab_size": text["vocab_size"],
        "pool_type": "eos" if ends else "argmax",
        "eos_id": text["eos_token_id"],
    }
    model = CLIP(features, seen, read, quick_gelu=text["hidden_act"] == "quick_gelu")
    if text["hidden_act"] != vision["hidden_act"]:  # open_clip builds both with one activation
        model.visual = vision_tower(visual)
    return model


def _common(tower: dict) -> dict:
    return {
        "width": tower["hidden_size"],
        "layers": tower["num_hidden_layers"],
        "mlp_ratio": _mlp_ratio(tower),
        "norm_kwargs": {"eps": tower["layer_norm_eps"]},
        "act_kwargs": getattr(ACTIVATIONS[tower["hidden_act"]], "keywords", None),
    }


def _mlp_ratio(tower: dict) -> float:
    # Half a unit more, as the libraries round the product down to a whole number.
    return (tower["intermediate_size"] + 0.5) / tower["hidden_size"]


def _siglip(vision: dict, text: dict | None, _: dict) -> Towers:
    trunk = VisionTransformer(
        img_size=vision["image_size"],
        patch_size=vision["patch_size"],
        embed_dim=vision["hidden_size"],
        depth=vision["num_hidden_layers"],
        num_heads=vision["num_attention_heads"],
        mlp_ratio=_mlp_ratio(vision),
        norm_layer=partial(nn.LayerNorm, eps=vision["layer_norm_eps"]),
        act_layer=ACTIVATIONS[vision["hidden_act"]],
        class_token=False,
        global_pool="map",
        num_classes=0,
    )
    visual = Trunk(trunk, vision["image_size"])
    if text is None:
        return Towers(visual, None, context_length=0)
    written = TextTransformer(
        context_length=text["max_position_embeddings"],
        vocab_size=text["vocab_size"],
        width=text["hidden_size"],
        heads=text["num_attention_heads"],
        layers=text["num_hidden_layers"],
        mlp_ratio=_mlp_ratio(text),
        output_dim=text.get("projection_size") or text["hidden_size"],
        norm_layer=partial(nn.LayerNorm, eps=text["layer_norm_eps"]),
        act_layer=ACTIVATIONS[text["hidden_act"]],
        no_causal_mask=True,
        pool_type="last",
        proj_bias=True,
    )
    return Towers(visual, written, text["max_position_embeddings"], sigmoid=True)


def _siglip2(vision: dict, text: dict | None, config: dict) -> Towers:
    # Its patches may come on any grid; views are square, and so is the grid it was made with.
    size = round(vision["num_patches"] ** 0.5) * vision["patch_size"]
    return _siglip(vision | {"image_size": size}, text, config)


class Trunk(TimmModel):
    """A vision transformer of timm's with nothing after it, as open_clip would wrap it."""

    def __init__(self, trunk: VisionTransformer, image_size: int):
        nn.Module.__init__(self)
        self.trunk, self.head, self.image_size = trunk, nn.Sequential(), (image_size, image_size)


_HALF = (0.5, 0.5, 0.5)
_SIGLIP_KIND = Kind(
    "siglip", _siglip, _HALF, _HALF, {"clean": "canonicalize"}, no_neurons=POOLS_BY_ATTENTION
)
_BERT = "its text tower is no CLIP's (it is BERT's), and can't be built here"
ALONE = "_vision_model"
"""End of the ``model_type`` of an image tower that was saved without a text tower."""
KINDS = {
    "clip": Kind("clip", _clip),
    "metaclip_2": Kind("clip", partial(_clip, legacy=False)),
    "chinese_clip": Kind("clip", _clip, no_texts=_BERT),
    "siglip": _SIGLIP_KIND,
    "siglip2": replace(_SIGLIP_KIND, build=_siglip2),
}
"""``model_type`` of a configuration → how such a model is built and read."""
KINDS |= {
    f"{name}{ALONE}": replace(kind, no_texts="it was saved without its text tower")
    for name, kind in KINDS.items()
}


def read_config(folder: Path) -> dict:
    """Read and check the configuration of a model."""
    path = folder / formats.TRANSFORMERS
    config = formats.read_json(path)
    kind = config.get("model_type")
    if kind not in KINDS:
        raise WorkbookError(
            f"{folder} holds a model of the type {kind!r}, which has no pair of image and text"
            f" towers that can be read here; choose one of the types {', '.join(KINDS)}."
        )
    if kind.endswith(ALONE):  # such a configuration is the tower's own
        config = {"vision_config": config} | config
    towers = ["vision"] if KINDS[kind].no_texts else ["vision", "text"]
    for activation in (sizes(config, tower)["hidden_act"] for tower in towers):
        if activation not in ACTIVATIONS:
            raise WorkbookError(
                f"{path} asks for the activation {activation!r}; only {', '.join(ACTIVATIONS)} are"
                " known."
            )
    return config


def sizes(config: dict, tower: str) -> dict:
    """Return the configuration of a tower, vision or text, with `transformers`' defaults."""
    family = KINDS[config["model_type"]].family
    return DEFAULTS[family, tower] | (config.get(f"{tower}_config") or {})


def build(folder: Path, seed: int = 0) -> nn.Module:
    """Build the model of a folder, untrained."""
    config = read_config(folder)
    kind = KINDS[config["model_type"]]
    text = None if kind.no_texts else sizes(config, "text")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind.build(sizes(config, "vision"), text, config)


def features(folder: Path) -> int:
    """Return the length of the embeddings of a folder's model."""
    config = read_config(folder)
    return _features(config, sizes(config, "vision"))


def _features(config: dict, vision: dict) -> int:
    if KINDS[config["model_type"]].family == "clip":
        return config.get("projection_dim", DEFAULTS["clip", "text"]["hidden_size"])
    return vision["hidden_size"]


def normalisation(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation that pixels are normalised with."""
    kind, pixels = KINDS[read_config(folder)["model_type"]], _processor(folder)
    return tuple(pixels.get("image_mean", kind.mean)), tuple(pixels.get("image_std", kind.std))


def resizing(folder: Path) -> dict[str, object]:
    """Return how images are resized, as `helpers.data.Preprocessing` takes it beside the size."""
    pixels, family = _processor(folder), KINDS[read_config(folder)["model_type"]].family
    size = pixels.get("size", {})
    edge = size.get("shortest_edge") if isinstance(size, dict) else size
    crops = pixels.get("do_center_crop", family == "clip") and not (
        isinstance(size, dict) and "height" in size
    )
    return {
        "mode": "shortest" if crops else "squash",
        "interpolation": _RESAMPLINGS.get(pixels.get("resample"), "bicubic"),
        "edge": edge if crops else None,
    }


def _processor(folder: Path) -> dict[str, object]:
    """Read how a folder's images are processed; nothing where it doesn't say."""
    _, images, all_inputs = formats.READ_WITH[formats.TRANSFORMERS]
    nested = formats.read_json(folder / all_inputs).get("image_processor") or {}
    return nested | formats.read_json(folder / images)


def open_tokenizer(folder: Path, name: str) -> Callable:
    """Open the tokenizer of a folder's model."""
    config = read_config(folder)
    if reason := why_no_texts(folder):
        return tokenizers.NoTokenizer(name, reason)
    if has_openai_vocabulary(config):
        from open_clip.tokenizer import SimpleTokenizer

        return SimpleTokenizer(context_length=sizes(config, "text")["max_position_embeddings"])
    return tokenizers.of_folder(folder, **KINDS[config["model_type"]].tokenizer)


def why_no_neurons(folder: Path) -> str | None:
    """Return why a folder's model has no account of neurons, as the end of a sentence, or None."""
    return KINDS[read_config(folder)["model_type"]].no_neurons


def why_no_texts(folder: Path) -> str | None:
    """Return why a folder's model reads no texts, as the end of a sentence, or None."""
    config = read_config(folder)
    if reason := KINDS[config["model_type"]].no_texts:
        return reason
    return None if has_openai_vocabulary(config) else tokenizers.why_no_file(folder)


def has_openai_vocabulary(config: dict) -> bool:
    """Return whether a configuration is of a CLIP with the tokens that open_clip ships."""
    openai = DEFAULTS["clip", "text"]["vocab_size"]
    return config["model_type"] == "clip" and sizes(config, "text")["vocab_size"] == openai


_LAYER = (
    (r"\.layer_norm1\.", ".{0}1."),
    (r"\.layer_norm2\.", ".{0}2."),
    (r"\.self_attn\.in_proj_", ".attn.{1}"),
    (r"\.self_attn\.out_proj\.", ".attn.{2}."),
    (r"\.mlp\.fc1\.", ".mlp.{3}."),
    (r"\.mlp\.fc2\.", ".mlp.{4}."),
)


def _layers(old: str, new: str, *parts: str) -> list[tuple[str, str]]:
    """Write rules for all that is in an encoder's layers."""
    return [(rf"^{old}\.(\d+){a}", rf"{new}.\1{b.format(*parts)}") for a, b in _LAYER]


_OPEN_CLIP_LAYER = ("ln_", "in_proj_", "out_proj", "c_fc", "c_proj")
_TIMM_LAYER = ("norm", "qkv.", "proj", "fc1", "fc2")
_VISION, _TEXT = r"vision_model\.embeddings\.", r"text_model\.embeddings\."
RULES = {
    "clip": [
        *_layers(
            r"vision_model\.encoder\.layers", "visual.transformer.resblocks", *_OPEN_CLIP_LAYER
        ),
        *_layers(r"text_model\.encoder\.layers", "transformer.resblocks", *_OPEN_CLIP_LAYER),
        (rf"^{_VISION}class_embedding", "visual.class_embedding"),
        (rf"^{_VISION}patch_embedding\.", "visual.conv1."),
        (rf"^{_VISION}position_embedding\.weight", "visual.positional_embedding"),
        (r"^vision_model\.pre_layrnorm\.", "visual.ln_pre."),
        (r"^vision_model\.post_layernorm\.", "visual.ln_post."),
        (r"^visual_projection\.weight", "visual.proj"),
        (rf"^{_TEXT}token_embedding\.", "token_embedding."),
        (rf"^{_TEXT}position_embedding\.weight", "positional_embedding"),
        (r"^text_model\.final_layer_norm\.", "ln_final."),
        (r"^text_projection\.weight", "text_projection"),
    ],
    "siglip": [
        *_layers(r"vision_model\.encoder\.layers", "visual.trunk.blocks", *_TIMM_LAYER),
        *_layers(r"text_model\.encoder\.layers", "text.transformer.resblocks", *_OPEN_CLIP_LAYER),
        (rf"^{_VISION}patch_embedding\.", "visual.trunk.patch_embed.proj."),
        (rf"^{_VISION}position_embedding\.weight", "visual.trunk.pos_embed"),
        (r"^vision_model\.post_layernorm\.", "visual.trunk.norm."),
        (r"^vision_model\.head\.probe", "visual.trunk.attn_pool.latent"),
        (r"^vision_model\.head\.attention\.out_proj\.", "visual.trunk.attn_pool.proj."),
        (r"^vision_model\.head\.layernorm\.", "visual.trunk.attn_pool.norm."),
        (r"^vision_model\.head\.", "visual.trunk.attn_pool."),
        (rf"^{_TEXT}token_embedding\.", "text.token_embedding."),
        (rf"^{_TEXT}position_embedding\.weight", "text.positional_embedding"),
        (r"^text_model\.final_layer_norm\.", "text.ln_final."),
        (r"^text_model\.head\.", "text.text_projection."),
    ],
}
"""From `transformers`' names to open_clip's, as regular expressions; the first that fits counts."""

TRANSPOSED = ("visual_projection.weight", "text_projection.weight")


def converted(state: dict[str, torch.Tensor], model: nn.Module) -> dict[str, torch.Tensor]:
    """Give weights the names and shapes that an open_clip module has, in float32."""
    state = {name: value for name, value in state.items() if "position_ids" not in name}
    state = {name: v.float() if v.is_floating_point() else v for name, v in state.items()}
    if rules := _rules_of(state):
        state = {name: v.T if name in TRANSPOSED else v for name, v in state.items()}
        state = _split_pool(_joined(state))
        state = {_renamed(name, RULES[rules]): value for name, value in state.items()}
    state = _with_text_tower(convert_state_dict(model, state), model)
    wanted = model.state_dict()
    return {name: _fitted(value, wanted.get(name)) for name, value in state.items()}


def _rules_of(names: Iterable[str]) -> str | None:
    """Return which of `RULES` name tensors, None if they aren't named as `transformers` does."""
    names = list(names)
    if not any(name.startswith("vision_model.") for name in names):
        return None
    return "siglip" if "vision_model.head.probe" in names else "clip"


def _with_text_tower(state: dict[str, torch.Tensor], model: nn.Module) -> dict[str, torch.Tensor]:
    """Put the parts of the text tower where a model has them: on top, or below ``text``."""
    if not hasattr(model, "positional_embedding"):
        return convert_to_custom_text_state_dict(state)
    return {name.removeprefix("text."): value for name, value in state.items()}


def _joined(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Put queries, keys and values of each attention below each other."""
    joined = {}
    for name, value in state.items():
        if not re.search(r"\.self_attn\.[qkv]_proj\.", name):
            joined[name] = value
        elif ".q_proj." in name:
            parts = [state.get(name.replace(".q_proj.", f".{part}_proj.")) for part in "qkv"]
            if all(part is not None for part in parts):
                joined[name.replace(".q_proj.", ".in_proj_")] = torch.cat(parts)
    return joined


def _split_pool(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Take the query out of the pool's joined projections, as timm has them."""
    split = {}
    for name, value in state.items():
        match = re.fullmatch(r"vision_model\.head\.attention\.in_proj_(\w+)", name)
        if not match:
            split[name] = value
            continue
        query, *rest = value.chunk(3)
        split[f"vision_model.head.q.{match[1]}"] = query
        split[f"vision_model.head.kv.{match[1]}"] = torch.cat(rest)
    return split


def _renamed(name: str, rules: list[tuple[str, str]]) -> str:
    for old, new in rules:
        changed, count = re.subn(old, new, name)
        if count:
            return changed
    return name


def _fitted(value: torch.Tensor, wanted: torch.Tensor | None) -> torch.Tensor:
    """Bring a tensor to the shape of the same numbers in open_clip's module."""
    if wanted is None or value.shape == wanted.shape or value.numel() != wanted.numel():
        return value
    if wanted.ndim == 4 and value.ndim == 2:  # patches as rows: height × width × colour
        rows = value.unflatten(1, (*wanted.shape[2:], wanted.shape[1]))
        return rows.permute(0, 3, 1, 2).contiguous()
    same = value.squeeze().shape == wanted.squeeze().shape
    return value.reshape(wanted.shape) if same else value
