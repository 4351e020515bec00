"""Encoding texts as far as they go: padding changes nothing where attention is causal."""

from collections.abc import Iterator

import torch
from torch import nn
from torch.func import functional_call

AT_ONCE = 256
"""Texts in a forward pass: a pool of thousands would fill the memory."""
BY_LENGTH = ("positional_embedding", "attn_mask")
"""Of a text tower, what has a row for every token that it could read."""


class _Texts(nn.Module):
    def __init__(self, clip: nn.Module):
        super().__init__()
        self.clip = clip

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.clip.encode_text(tokens)


def encode_tokens(clip: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """Encode texts as ``clip.encode_text`` does, those of a like length together: n × features."""
    lengths = _lengths(clip, tokens)
    order = lengths.argsort(stable=True)
    found = [_encoded(clip, tokens[own], int(lengths[own[-1]])) for own in order.split(AT_ONCE)]
    return torch.cat(found)[order.argsort().cpu()]


def _encoded(clip: nn.Module, tokens: torch.Tensor, length: int) -> torch.Tensor:
    read = tokens[:, :length]
    shorter = dict(_shortened(clip, length)) if length < tokens.shape[1] else {}
    return functional_call(_Texts(clip), shorter, read).float().cpu()


def _shortened(clip: nn.Module, length: int) -> Iterator[tuple[str, torch.Tensor]]:
    at = "clip.text." if hasattr(clip, "text") else "clip."
    tower = getattr(clip, "text", clip)
    for name in BY_LENGTH:
        value = getattr(tower, name)
        yield f"{at}{name}", value[:length, :length] if name == "attn_mask" else value[:length]


def _lengths(clip: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """Return how many tokens of each text count."""
    tower = getattr(clip, "text", clip)
    pool = getattr(tower, "text_pool_type", getattr(tower, "pool_type", None))
    is_causal = getattr(tower, "attn_mask", None) is not None
    if not is_causal or getattr(tower, "cls_emb", None) is not None:
        pool = None
    if pool == "argmax":
        return tokens.argmax(1) + 1
    if pool == "eos":
        end = getattr(tower, "text_eos_id", getattr(tower, "eos_id", None))
        return (tokens == end).int().argmax(1) + 1
    return torch.full_like(tokens[:, 0], tokens.shape[1])
