"""From the names and shapes that other libraries give to weights to those of open_clip."""

import re
from collections.abc import Iterable

import torch
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict
from torch import nn

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
    if rules := rules_of(state):
        state = {name: v.T if name in TRANSPOSED else v for name, v in state.items()}
        state = _split_pool(_joined(state))
        state = {_renamed(name, RULES[rules]): value for name, value in state.items()}
    state = _with_text_tower(convert_state_dict(model, state), model)
    wanted = model.state_dict()
    return {name: _fitted(value, wanted.get(name)) for name, value in state.items()}


def rules_of(names: Iterable[str]) -> str | None:
    """Say which of `RULES` tensors are named by, None if they aren't `transformers`'."""
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
    same = value.squeeze().shape == wanted.squeeze().shape
    return value.reshape(wanted.shape) if same else value
