"""Models as Hugging Face's `transformers` stores them, converted to open_clip's modules.

A folder (or a snapshot in the hub cache) holds ``config.json``, which names the kind of model, its
sizes and its activation, and the weights under `transformers`' names.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.model import CLIP
from open_clip.timm_model import TimmModel
from open_clip.transformer import QuickGELU, TextTransformer
from timm.models import VisionTransformer
from torch import nn

from helpers.checks import WorkbookError
from helpers.clip import files, tokenizers
from helpers.clip.building import Towers

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
    ("siglip2", "vision"): _SIGLIP,
    ("siglip2", "text"): _SIGLIP,
}
"""What a configuration means that leaves a value out: `transformers`' own defaults."""

LEGACY_END = 2
"""End mark in OpenAI's configurations; the true one is the highest number of a text."""

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


@dataclass(frozen=True)
class Kind:
    """A kind of model that `transformers` stores.

    Attributes
    ----------
    rules : str
        Which of `RULES` it goes by.
    build : callable
        Configurations of vision and text tower, and the whole one → the model, untrained.
    mean, std : tuple of float
        Normalisation where the folder doesn't say.
    tokenizer : mapping of str to object
        Options of open_clip's `HFTokenizer`.
    """

    rules: str
    build: Callable[[dict, dict, dict], nn.Module]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    tokenizer: dict


def _clip(vision: dict, text: dict, config: dict) -> CLIP:
    common = [
        {
            "width": own["hidden_size"],
            "layers": own["num_hidden_layers"],
            "mlp_ratio": _mlp_ratio(own),
            "norm_kwargs": {"eps": own["layer_norm_eps"]},
            "act_kwargs": _activation_options(own),
        }
        for own in (vision, text)
    ]
    ends = text["eos_token_id"] not in (LEGACY_END, text["vocab_size"] - 1)
    return CLIP(
        config.get("projection_dim", DEFAULTS["clip", "text"]["hidden_size"]),
        common[0]
        | {
            "head_width": vision["hidden_size"] // vision["num_attention_heads"],
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
        },
        common[1]
        | {
            "heads": text["num_attention_heads"],
            "context_length": text["max_position_embeddings"],
            "vocab_size": text["vocab_size"],
            "pool_type": "eos" if ends else "argmax",
            "eos_id": text["eos_token_id"],
        },
        quick_gelu=vision["hidden_act"] == "quick_gelu",
    )


def _mlp_ratio(own: dict) -> float:
    # Half a unit more, as the libraries round the product down to a whole number.
    return (own["intermediate_size"] + 0.5) / own["hidden_size"]


def _activation_options(own: dict) -> dict | None:
    return getattr(ACTIVATIONS[own["hidden_act"]], "keywords", None)


def _siglip(vision: dict, text: dict, _: dict) -> Towers:
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
    visual = Trunk(trunk, vision["image_size"])
    return Towers(visual, written, text["max_position_embeddings"], sigmoid=True)


def _siglip2(vision: dict, text: dict, config: dict) -> Towers:
    # Its patches may come on any grid; views are square, and so is the grid it was made with.
    size = round(vision["num_patches"] ** 0.5) * vision["patch_size"]
    return _siglip(vision | {"image_size": size}, text, config)


class Trunk(TimmModel):
    """A vision transformer of timm's with nothing after it, as open_clip would wrap it.

    Parameters
    ----------
    trunk : VisionTransformer
    image_size : int
    """

    def __init__(self, trunk: VisionTransformer, image_size: int):
        nn.Module.__init__(self)
        self.trunk, self.head, self.image_size = trunk, nn.Sequential(), (image_size, image_size)


_HALF = (0.5, 0.5, 0.5)
_CANONICAL = {"clean": "canonicalize"}
KINDS = {
    "clip": Kind("clip", _clip, OPENAI_DATASET_MEAN, OPENAI_DATASET_STD, {}),
    "siglip": Kind("siglip", _siglip, _HALF, _HALF, _CANONICAL),
    "siglip2": Kind("siglip", _siglip2, _HALF, _HALF, _CANONICAL),
}
"""``model_type`` of a configuration → how such a model is built and read."""


def read_config(folder: Path) -> dict:
    """Read and check the configuration of a model.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    dict

    Raises
    ------
    WorkbookError
        If it is no JSON, or of a kind that can't be read.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WorkbookError(f"{path} is no JSON ({error}); download it again.") from error
    kind = config.get("model_type")
    if kind not in KINDS:
        raise WorkbookError(
            f"{folder} holds a model of the type {kind!r}, which has no pair of image and text"
            f" towers that can be read here; choose one of the types {', '.join(KINDS)}."
        )
    _check_activations(path, kind, config)
    return config


def sizes(config: dict, tower: str) -> dict:
    """Return the configuration of one tower, with `transformers`' defaults.

    Parameters
    ----------
    config : dict
    tower : {"vision", "text"}

    Returns
    -------
    dict
    """
    return DEFAULTS[config["model_type"], tower] | config.get(f"{tower}_config", {})


def _check_activations(path: Path, kind: str, config: dict) -> None:
    found = [sizes(config, tower)["hidden_act"] for tower in ("vision", "text")]
    unknown = next((one for one in found if one not in ACTIVATIONS), None)
    if unknown:
        raise WorkbookError(
            f"{path} asks for the activation {unknown!r}; only {', '.join(ACTIVATIONS)} are known."
        )
    if kind == "clip" and (found[0] == "quick_gelu") != (found[1] == "quick_gelu"):
        raise WorkbookError(f"{path} gives image and text tower different activations.")


def build(folder: Path, *, trained: bool = True, seed: int = 0) -> nn.Module:
    """Build the model of a folder and load its weights.

    Parameters
    ----------
    folder : Path
    trained : bool
        False leaves the weights random.
    seed : int
        Of random weights.

    Returns
    -------
    Module
        Encodes as open_clip's models do.

    Raises
    ------
    WorkbookError
        If the configuration or the weights are missing or don't fit.
    """
    config = read_config(folder)
    kind = KINDS[config["model_type"]]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind.build(sizes(config, "vision"), sizes(config, "text"), config)
    if not trained:
        return model
    path = files.weights_in(folder)
    load_into(model, files.read(path), kind.rules, path)
    return model


def load_into(model: nn.Module, state: dict[str, torch.Tensor], rules: str, path: Path) -> None:
    """Load weights of `transformers`' names into a model of open_clip's.

    Parameters
    ----------
    model : Module
    state : dict of str to Tensor
    rules : str
        A key of `RULES`.
    path : Path
        Where the weights are from.

    Raises
    ------
    WorkbookError
        If names or shapes are those of another model.
    """
    wanted = model.state_dict()
    renamed = converted(state, rules)
    fitted = {name: _fitted(value, wanted.get(name)) for name, value in renamed.items()}
    try:
        model.load_state_dict(fitted)
    except RuntimeError as error:
        raise WorkbookError(
            f"The weights in {path} don't fit the model: their names or sizes are those of another;"
            " its config.json and weights must be of one model."
        ) from error


def converted(state: dict[str, torch.Tensor], rules: str) -> dict[str, torch.Tensor]:
    """Give weights the names that open_clip's modules have, in float32.

    Parameters
    ----------
    state : dict of str to Tensor
        Under `transformers`' names.
    rules : str
        A key of `RULES`.

    Returns
    -------
    dict of str to Tensor
    """
    state = {name: value.float() for name, value in state.items() if "position_ids" not in name}
    state = {name: v.T if name in TRANSPOSED else v for name, v in state.items()}
    state = _split_pool(_joined(state))
    return {_renamed(name, RULES[rules]): value for name, value in state.items()}


def _joined(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Put queries, keys and values of each attention below each other."""
    joined = {}
    for name, value in state.items():
        if not re.search(r"\.self_attn\.[qkv]_proj\.", name):
            joined[name] = value
        elif ".q_proj." in name:
            parts = [state[name.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"]
            joined[name.replace(".q_proj.", ".in_proj_")] = torch.cat(parts)
    return joined


def _split_pool(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Take the query out of the pool's joined projections, as timm has them."""
    split = {}
    for name, value in state.items():
        found = re.fullmatch(r"vision_model\.head\.attention\.in_proj_(\w+)", name)
        if not found:
            split[name] = value
            continue
        query, *rest = value.chunk(3)
        split[f"vision_model.head.q.{found[1]}"] = query
        split[f"vision_model.head.kv.{found[1]}"] = torch.cat(rest)
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
    return value.reshape(wanted.shape)


def rules_of(names: list[str]) -> str | None:
    """Say by which rules the tensors of a file are named, None if they aren't `transformers`'.

    Parameters
    ----------
    names : list of str

    Returns
    -------
    str or None
    """
    if not any(name.startswith("vision_model.") for name in names):
        return None
    return "siglip" if "vision_model.head.probe" in names else "clip"


def features(folder: Path) -> int:
    """Return the length of the embeddings of a folder's model."""
    config = read_config(folder)
    if config["model_type"] == "clip":
        return config.get("projection_dim", DEFAULTS["clip", "text"]["hidden_size"])
    return sizes(config, "vision")["hidden_size"]


def normalisation(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation that pixels are normalised with."""
    kind = KINDS[read_config(folder)["model_type"]]
    path = folder / "preprocessor_config.json"
    own = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return tuple(own.get("image_mean", kind.mean)), tuple(own.get("image_std", kind.std))


def open_tokenizer(folder: Path, name: str) -> Callable:
    """Open the tokenizer of a folder's model.

    Parameters
    ----------
    folder : Path
    name : str
        What messages call the model.

    Returns
    -------
    callable
        A `tokenizers.NoTokenizer` where there is none.
    """
    config = read_config(folder)
    if has_openai_vocabulary(config):
        from open_clip.tokenizer import SimpleTokenizer

        return SimpleTokenizer(context_length=sizes(config, "text")["max_position_embeddings"])
    options = KINDS[config["model_type"]].tokenizer
    return tokenizers.of_folder(folder, name, **options)


def lacks_texts(folder: Path) -> str | None:
    """Say why a folder's model reads no texts, as the end of a sentence, or None."""
    config = read_config(folder)
    return None if has_openai_vocabulary(config) else tokenizers.lacks_file(folder)


def has_openai_vocabulary(config: dict) -> bool:
    """Return whether a configuration is of a CLIP with the tokens that open_clip ships."""
    own = DEFAULTS["clip", "text"]["vocab_size"]
    return config["model_type"] == "clip" and sizes(config, "text")["vocab_size"] == own
