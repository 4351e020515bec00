"""Transformer blocks: what a head writes, and how that reaches the residual stream."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from timm.layers import Attention as TimmAttention
from timm.layers import AttentionRope, GluMlp, Mlp, SwiGLU, apply_rot_embed_cat
from timm.models import eva, vision_transformer
from torch import nn
from torch.nn import functional as F

from helpers.clip.towers.norms import Norm


@dataclass(frozen=True)
class Rotary:
    """Rotary positions, which the tokens before the patches don't have."""

    prefix: int  # number of class and register tokens
    half: bool  # whether halves are rotated against each other, or neighbours

    def __call__(self, x: torch.Tensor, places: torch.Tensor, tokens: range) -> torch.Tensor:
        """Rotate queries or keys, n × heads × tokens × head width, of some of all tokens."""
        first = min(max(self.prefix - tokens.start, 0), len(tokens))
        if first == len(tokens):
            return x
        rotations = places[..., tokens.start + first - self.prefix : tokens.stop - self.prefix, :]
        turned = apply_rot_embed_cat(x[:, :, first:], rotations, half=self.half)
        return torch.cat([x[:, :, :first], turned], dim=2).type_as(x)


@dataclass(frozen=True)
class Attention:
    """Self-attention over n × tokens × width."""

    heads: int
    # (3 · heads · head width) × width; Tensor or None: the projections to queries, keys and values,
    # one below the other
    weight: torch.Tensor
    bias: torch.Tensor | None
    output: nn.Linear  # from all heads to the residual stream
    query_norm: nn.Module
    key_norm: nn.Module
    inner: Norm | None = None  # norm of all heads' outputs before `output`
    rotary: Rotary | None = None

    def project(
        self, x: torch.Tensor, tokens: range, places: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the queries of some tokens, and the keys and values of all.

        Tokens, n × tokens × width → queries, keys and values, n × heads × tokens × head width.
        """
        if len(tokens) == x.shape[1]:
            query, key, value = self._project(x, 0, 3)
        else:
            (query,) = self._project(x[:, tokens.start : tokens.stop], 0, 1)
            key, value = self._project(x, 1, 3)
        query, key = self.query_norm(query), self.key_norm(key)
        if self.rotary and places is not None:
            query = self.rotary(query, places, tokens)
            key = self.rotary(key, places, range(x.shape[1]))
        return query, key, value

    def _project(self, x: torch.Tensor, first: int, last: int) -> tuple[torch.Tensor, ...]:
        step = len(self.weight) // 3
        rows = slice(first * step, last * step)
        projected = F.linear(x, self.weight[rows], None if self.bias is None else self.bias[rows])
        heads = projected.unflatten(-1, ((last - first) * self.heads, -1)).transpose(1, 2)
        return heads.chunk(last - first, dim=1)


@dataclass(frozen=True)
class Neurons:
    """An MLP: its neurons, and what they add to the residual stream."""

    # the residual stream → the neurons' activations, norms included
    excite: Callable[[torch.Tensor], torch.Tensor]
    write: Callable[[torch.Tensor], torch.Tensor]  # the activations → what the MLP adds
    # width × neurons: its linear part; None where what a neuron adds depends on the others
    weight: torch.Tensor | None
    scale: torch.Tensor | None = None  # layer scale of what is added

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the MLP adds to the residual stream."""
        return self.write(self.excite(x))

    def back(self, directions: torch.Tensor) -> torch.Tensor:
        """Return how far each neuron writes along directions of the residual stream.

        Directions, … × width → … × neurons.
        """
        scaled = directions if self.scale is None else directions * self.scale
        return scaled @ self.weight


@dataclass(frozen=True)
class Block:
    """A block that adds what attention and an MLP make of the residual stream."""

    attention: Attention
    enter: Callable[[torch.Tensor], torch.Tensor]  # the norm before attention, or the identity
    leave: Norm | None  # the norm of what attention adds, in a post-norm block
    scale: torch.Tensor | None  # layer scale of what attention adds, width
    mlp: Neurons  # the residual stream → what the MLP adds to it, norms and scales included
    # what becomes of the heads' outputs, n × tokens × (heads · head width), before they are written
    alter: Callable[[torch.Tensor], torch.Tensor] | None = None

    def write(
        self, outputs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Bring the heads' outputs to the residual stream.

        Outputs, n × tokens × (heads · head width) → n × tokens × width.
        """
        inner = leave = None
        if self.attention.inner:
            outputs, inner = self.attention.inner(outputs)
        added = self.attention.output(outputs)
        if self.leave:
            added, leave = self.leave(added)
        return (added if self.scale is None else added * self.scale), inner, leave

    def linear(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return `write` as it is once the norms' deviations are known.

        Of shape (heads · head width) × width.
        """
        matrix = self.attention.output.weight.T
        bias = self.attention.output.bias
        bias = torch.zeros(matrix.shape[1]).to(matrix) if bias is None else bias
        if inner := self.attention.inner:
            bias = bias + inner.bias @ matrix
            matrix = inner.before(matrix)
        divided = torch.zeros_like(bias)
        if self.leave:
            matrix, divided = self.leave.after(matrix), self.leave.after(bias)
            bias = self.leave.bias
        scale = 1 if self.scale is None else self.scale
        return matrix * scale, divided * scale, bias * scale


def open_clip_block(block: nn.Module) -> Block:
    """Describe open_clip's `ResidualAttentionBlock`."""
    attn = block.attn
    attention = Attention(
        attn.num_heads,
        attn.in_proj_weight,
        attn.in_proj_bias,
        attn.out_proj,
        nn.Identity(),
        nn.Identity(),
    )
    mlp = Neurons(
        lambda x: block.mlp.gelu(block.mlp.c_fc(block.ln_2(x))),
        lambda hidden: block.ls_2(block.mlp.c_proj(hidden)),
        block.mlp.c_proj.weight,
        getattr(block.ls_2, "gamma", None),
    )
    return Block(attention, block.ln_1, None, getattr(block.ls_1, "gamma", None), mlp)


def timm_block(block: nn.Module) -> Block:
    """Describe a block of timm's `VisionTransformer`."""
    scale = getattr(block.ls1, "gamma", None)
    mlp = timm_neurons(block.mlp, block.norm2, block.ls2, getattr(block.ls2, "gamma", None))
    return Block(timm_attention(block.attn), block.norm1, None, scale, mlp)


def eva_block(block: nn.Module) -> Block:
    """Describe a pre-norm block of timm's `Eva`."""
    gamma = block.gamma_2
    scaled = nn.Identity() if gamma is None else lambda added: gamma * added
    mlp = timm_neurons(block.mlp, block.norm2, scaled, gamma)
    return Block(timm_attention(block.attn), block.norm1, None, block.gamma_1, mlp)


def eva_post_norm_block(block: nn.Module) -> Block:
    """Describe a post-norm block of timm's `Eva`."""
    mlp = Neurons(block.mlp, block.norm2, None)
    return Block(timm_attention(block.attn), nn.Identity(), Norm.of(block.norm1), None, mlp)


def timm_neurons(
    mlp: nn.Module,
    enter: Callable[[torch.Tensor], torch.Tensor],
    leave: Callable[[torch.Tensor], torch.Tensor],
    scale: torch.Tensor | None,
) -> Neurons:
    """Describe one of timm's MLPs between a norm and a layer scale."""
    if type(mlp) not in MLPS or not isinstance(mlp.fc2, nn.Linear):
        return Neurons(lambda x: mlp(enter(x)), leave, None)
    return Neurons(
        lambda x: mlp.norm(MLPS[type(mlp)](mlp, enter(x))),
        lambda hidden: leave(mlp.fc2(hidden)),
        mlp.fc2.weight,
        scale,
    )


def _glu(mlp: nn.Module, x: torch.Tensor) -> torch.Tensor:
    first, second = mlp.fc1(x).chunk(2, dim=mlp.chunk_dim)
    return first * mlp.act(second) if mlp.gate_last else mlp.act(first) * second


MLPS = {
    Mlp: lambda mlp, x: mlp.act(mlp.fc1(x)),
    SwiGLU: lambda mlp, x: mlp.act(mlp.fc1_g(x)) * mlp.fc1_x(x),
    GluMlp: _glu,
}
"""timm's kinds of MLPs, and what their neurons give before the norm, where there is one."""


def timm_attention(attn: nn.Module) -> Attention:
    """Describe one of timm's attentions: fused or separate projections, norms, rotary positions."""
    if type(attn) not in ATTENTIONS or attn.gate is not None:
        raise TypeError(f"its attention is a {type(attn).__name__}")
    weight, bias = ATTENTIONS[type(attn)](attn)
    if len(weight) != 3 * attn.proj.in_features:
        raise TypeError("its heads share keys and values")
    rotary = None
    if hasattr(attn, "rotate_half"):
        rotary = Rotary(attn.num_prefix_tokens, attn.rotate_half)
    inner = Norm.of(attn.norm)
    return Attention(
        attn.num_heads, weight, bias, attn.proj, attn.q_norm, attn.k_norm, inner, rotary
    )


def _fused(attn: nn.Module) -> tuple[torch.Tensor, torch.Tensor | None]:
    return attn.qkv.weight, attn.qkv.bias


def _eva(attn: nn.Module) -> tuple[torch.Tensor, torch.Tensor | None]:
    if attn.qkv is None:
        return _joined(attn)
    if attn.q_bias is None:
        return attn.qkv.weight, None
    return attn.qkv.weight, torch.cat([attn.q_bias, attn.k_bias, attn.v_bias])


def _rope(attn: nn.Module) -> tuple[torch.Tensor, torch.Tensor | None]:
    return _joined(attn) if attn.qkv is None else _fused(attn)


def _joined(attn: nn.Module) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Put the three projections below each other, for one product instead of three."""
    linears = attn.q_proj, attn.k_proj, attn.v_proj
    weight = torch.cat([linear.weight.detach() for linear in linears])
    rows_of = weight.split([len(linear.weight) for linear in linears])
    for linear, rows in zip(linears, rows_of, strict=True):
        linear.weight.data = rows  # the library's module reads the same memory: no second copy
    biases = [linear.bias for linear in linears]
    if all(bias is None for bias in biases):
        return weight, None
    like = next(bias for bias in biases if bias is not None)
    return weight, torch.cat([torch.zeros_like(like) if b is None else b for b in biases])


ATTENTIONS = {TimmAttention: _fused, eva.EvaAttention: _eva, AttentionRope: _rope}
"""timm's kinds of attention, and how to read their projections."""

TIMM_BLOCKS = {
    vision_transformer.Block: timm_block,
    eva.EvaBlock: eva_block,
    eva.EvaBlockPostNorm: eva_post_norm_block,
}
"""timm's kinds of blocks, and how to read them."""
