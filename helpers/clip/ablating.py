"""Mean ablation in the forward pass: parts write their mean over images, and layers respond."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from helpers.clip.forward import run_block
from helpers.clip.towers import Tower
from helpers.clip.towers.blocks import Block


@dataclass(frozen=True)
class Means:
    """What heads write and how neurons fire, token by token, mean over images."""

    # tokens × (heads · head width): by layer; of the last one, for the tokens that the pool reads
    outputs: tuple[torch.Tensor, ...]
    fired: tuple[torch.Tensor, ...]  # tokens × neurons


def means_over(tower: Tower, pixels: torch.Tensor) -> Means:
    """Average what is written for normalised images, n × 3 × height × width."""
    x, places = tower.start(pixels)
    read, every = range(tower.tokens)[tower.pool.reads], range(tower.tokens)
    found, last = [], len(tower.blocks) - 1
    for layer, block in enumerate(tower.blocks):
        through = (places[layer], read if layer == last else every)
        x, kept = run_block(block, x, *through, is_last=layer == last, hidden=lambda own: own)
        found.append((kept.outputs.mean(dim=0), kept.hidden.mean(dim=0)))
    return Means(*zip(*found, strict=True))


def with_ablated(tower: Tower, means: Means, heads: torch.Tensor, neurons: torch.Tensor) -> Tower:
    """Return a tower in which some heads and neurons write what they write on average."""
    wide = heads.repeat_interleave(tower.head_width, dim=1)
    blocks = [
        _ablated(block, _fixing(own, outputs), _fixing(fixed, fired))
        for block, own, outputs, fixed, fired in zip(
            tower.blocks, wide, means.outputs, neurons, means.fired, strict=True
        )
    ]
    return replace(tower, blocks=tuple(blocks))


def _ablated(block: Block, heads: Callable | None, neurons: Callable | None) -> Block:
    mlp = block.mlp
    if neurons:
        mlp = replace(mlp, excite=lambda x: neurons(block.mlp.excite(x)))
    return replace(block, mlp=mlp, alter=heads)


def _fixing(chosen: torch.Tensor, means: torch.Tensor) -> Callable | None:
    """Return what puts means, tokens × numbers, in place of the numbers chosen."""
    if not chosen.any():
        return None
    return lambda values: torch.where(chosen, means.to(values.dtype), values)
