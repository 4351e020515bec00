"""Kinds of vision towers, a row each: where a library keeps the parts of a transformer."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from open_clip.timm_model import TimmModel
from open_clip.transformer import AttentionalPooler, ResidualAttentionBlock, VisionTransformer
from timm import models as timm
from timm.layers import AttentionPoolLatent
from torch import nn

from helpers.clip.towers.blocks import TIMM_BLOCKS, Block, open_clip_block
from helpers.clip.towers.norms import Norm
from helpers.clip.towers.pooling import Pool, Query

CLASS_TOKEN = slice(0, 1)
POOLS_BY_ATTENTION = (
    "it pools by attention, and neurons are followed to a class token or a mean of tokens alone"
)


class UnknownTower(Exception):
    """A tower that can't be taken apart; the message says why, as the end of a sentence."""


@dataclass(frozen=True)
class Tower:
    """A vision transformer, by its parts."""

    # normalised images → the tokens that enter the first block, n × tokens × width, and their
    # rotary positions, one for every block (or None)
    start: Callable[[torch.Tensor], tuple[torch.Tensor, list[torch.Tensor | None]]]
    blocks: tuple[Block, ...]
    pool: Pool
    grid: tuple[int, int]  # rows and columns of patches
    prefix: int  # number of class and register tokens, which come before the patches

    @property
    def heads(self) -> int:
        """Heads in each layer."""
        return self.blocks[0].attention.heads

    @property
    def width(self) -> int:
        """Length of a token."""
        return self.blocks[0].attention.output.out_features

    @property
    def head_width(self) -> int:
        """Length of what a head writes, before its output projection."""
        return self.blocks[0].attention.output.in_features // self.heads

    @property
    def neurons(self) -> int:
        """Neurons of each layer's MLP."""
        return self.blocks[0].mlp.weight.shape[1]

    @property
    def no_neurons(self) -> str | None:
        """Why it has no exact account of neurons, as the end of a sentence; None where it has."""
        if self.pool.query:
            return POOLS_BY_ATTENTION
        if any(block.mlp.weight is None for block in self.blocks):
            return "a norm follows its MLPs, or they are of an unknown kind"
        return None

    @property
    def features(self) -> int:
        """Length of an embedding."""
        return self.pool.projection.shape[1]

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return self.prefix + self.grid[0] * self.grid[1]


def open_tower(visual: nn.Module) -> Tower:
    """Find the parts of a library's vision tower."""
    module = visual.trunk if isinstance(visual, TimmModel) else visual
    if type(module) not in KINDS:
        raise UnknownTower(f"its vision tower is a {type(module).__name__}")
    try:
        return KINDS[type(module)](visual)
    except TypeError as error:
        raise UnknownTower(str(error)) from error


def _open_clip(visual: VisionTransformer) -> Tower:
    blocks = visual.transformer.resblocks
    if any(type(block) is not ResidualAttentionBlock for block in blocks):
        raise TypeError(f"its blocks are of the kind {type(blocks[0]).__name__}")
    return Tower(
        start=lambda pixels: (visual._embeds(pixels), [None] * len(blocks)),
        blocks=tuple(open_clip_block(block) for block in blocks),
        pool=_open_clip_pool(visual),
        grid=tuple(visual.grid_size),
        prefix=1,
    )


def _open_clip_pool(visual: VisionTransformer) -> Pool:
    norm, projection = Norm.of(visual.ln_post), visual.proj
    bias = torch.zeros_like(projection[0])
    reads = {"tok": CLASS_TOKEN, "avg": slice(1, None)}.get(visual.pool_type)
    if reads is None or (visual.attn_pool is not None and visual.pool_type != "tok"):
        raise TypeError(f"its pooling is of the kind {visual.pool_type}")
    if visual.attn_pool is not None:
        pooler = visual.attn_pool
        query = _pooler_query(pooler)
        return Pool(slice(None), Norm.of(pooler.ln_k), projection, bias, query, final=norm)
    before, after = (None, norm) if visual.final_ln_after_pool else (norm, None)
    return Pool(reads, before, projection, bias, final=after)


def _pooler_query(pooler: AttentionalPooler) -> Query:
    attn = pooler.attn
    if attn.in_proj_weight is not None:
        weights = attn.in_proj_weight.chunk(3)
    else:
        weights = attn.q_proj_weight, attn.k_proj_weight, attn.v_proj_weight
    query_bias, _, value_bias = attn.in_proj_bias.chunk(3)
    # Only the first of its queries is read for the embedding.
    query = weights[0] @ pooler.ln_q(pooler.query[0]) + query_bias
    return Query.of(query, *weights[1:], value_bias, attn.out_proj, attn.num_heads)


def _timm(visual: TimmModel) -> Tower:
    trunk = visual.trunk
    blocks = trunk.blocks

    def start(pixels: torch.Tensor) -> tuple[torch.Tensor, list[None]]:
        x = trunk._pos_embed(trunk.patch_embed(pixels))
        return trunk.norm_pre(x), [None] * len(blocks)

    return Tower(start, _timm_blocks(trunk), _timm_pool(visual), *_timm_layout(trunk))


def _eva(visual: TimmModel) -> Tower:
    trunk = visual.trunk
    blocks = trunk.blocks

    def start(pixels: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
        x, places = trunk._pos_embed(trunk.patch_embed(pixels))
        mixed = getattr(trunk, "rope_mixed", False)
        return trunk.norm_pre(x), list(places) if mixed else [places] * len(blocks)

    return Tower(start, _timm_blocks(trunk), _timm_pool(visual), *_timm_layout(trunk))


def _timm_layout(trunk: nn.Module) -> tuple[tuple[int, int], int]:
    return tuple(trunk.patch_embed.grid_size), trunk.num_prefix_tokens


def _timm_blocks(trunk: nn.Module) -> tuple[Block, ...]:
    kind = type(trunk.blocks[0])
    if kind not in TIMM_BLOCKS or any(type(block) is not kind for block in trunk.blocks):
        raise TypeError(f"its blocks are of the kind {kind.__name__}")
    return tuple(TIMM_BLOCKS[kind](block) for block in trunk.blocks)


def _timm_pool(visual: TimmModel) -> Pool:
    trunk, patches = visual.trunk, slice(visual.trunk.num_prefix_tokens, None)
    norm, final = Norm.of(trunk.norm), Norm.of(trunk.fc_norm)
    projection, bias = _head(trunk.num_features, norm or final, trunk.head, *visual.head)
    if trunk.attn_pool is not None:
        everything = getattr(trunk, "pool_include_prefix", True)
        query, mlp = _latent_query(trunk.attn_pool)
        reads = slice(None) if everything else patches
        return Pool(reads, norm, projection, bias, query, mlp, final)
    reads = {"token": CLASS_TOKEN, "avg": patches}.get(trunk.global_pool)
    if reads is None or getattr(trunk, "pool_include_prefix", False):
        raise TypeError(f"its pooling is of the kind {trunk.global_pool}")
    return Pool(reads, norm, projection, bias, final=final)


def _latent_query(pool: nn.Module) -> tuple[Query, Callable | None]:
    plain = type(pool) is AttentionPoolLatent and pool.pos_embed is None and pool.latent_len == 1
    if not plain or not all(isinstance(m, nn.Identity) for m in (pool.q_norm, pool.k_norm)):
        raise TypeError(f"its pooling is a {type(pool).__name__} of another kind")
    key, value = pool.kv.weight.chunk(2)
    value_bias = None if pool.kv.bias is None else pool.kv.bias.chunk(2)[1]
    query = Query.of(pool.q(pool.latent[0, 0]), key, value, value_bias, pool.proj, pool.num_heads)
    return query, None if pool.mlp is None else lambda z: pool.mlp(pool.norm(z))


def _head(width: int, norm: Norm, *layers: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Multiply the linear layers after the pool to one, width × features, and its bias."""
    projection = torch.eye(width).to(norm.gain)
    bias = torch.zeros_like(projection[0])
    for layer in layers:
        if isinstance(layer, nn.Linear):
            projection, bias = projection @ layer.weight.T, bias @ layer.weight.T
            bias = bias if layer.bias is None else bias + layer.bias
        elif not isinstance(layer, nn.Identity | nn.Dropout):
            raise TypeError(f"its head ends in a {type(layer).__name__}")
    return projection, bias


KINDS = {
    VisionTransformer: _open_clip,
    timm.VisionTransformer: _timm,
    timm.Eva: _eva,
}
"""Classes of vision transformers, and how to find their parts."""
