"""Interventions in the forward pass, to which later layers respond: patching and mean ablation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from helpers.checks import WorkbookError
from helpers.clip.forward import BlockParts, run_block
from helpers.clip.towers import Tower
from helpers.clip.towers.blocks import Block


@dataclass(frozen=True)
class Exchange:
    """What n images take over from others, for several choices: all bool."""

    heads: torch.Tensor  # choices × n × layers × heads
    mlps: torch.Tensor  # choices × n × layers
    stream: torch.Tensor  # choices × n × layers: the residual stream after a layer
    tokens: torch.Tensor  # choices × n × tokens: where, for all three

    def split(self, count: int) -> list["Exchange"]:
        """Split the images into as many parts."""
        masks = self.heads, self.mlps, self.stream, self.tokens
        parts = (mask.tensor_split(count, dim=1) for mask in masks)
        return [Exchange(*pieces) for pieces in zip(*parts, strict=True)]

    def begun(self) -> list[list[bool]]:
        """Return for every choice and layer whether anything has been exchanged up to there."""
        each = self.heads.any(dim=3) | self.mlps | self.stream  # choices × n × layers
        return each.any(dim=1).cumsum(dim=1).bool().tolist()

    def at(self, choice: int, layer: int, tokens: range) -> "Place":
        """Return what is exchanged of one choice in one layer, at some of the tokens."""
        where = self.tokens[choice, :, tokens.start : tokens.stop]
        return Place(
            self.heads[choice, :, layer, :, None] & where[:, None],
            self.mlps[choice, :, layer, None] & where,
            self.stream[choice, :, layer, None] & where,
        )


@dataclass(frozen=True)
class Place:
    """What is exchanged in one layer, at T tokens, bool."""

    heads: torch.Tensor  # n × heads × T
    mlps: torch.Tensor  # n × T
    stream: torch.Tensor  # n × T


def exchange(
    tower: Tower, images: int, given: Mapping[str, np.ndarray | None], device: str
) -> tuple[Exchange, tuple[int, ...]]:
    """Put choices of parts into one shape, and return their leading axes, up to the images."""
    layers = len(tower.blocks)
    sizes = {
        "heads": (layers, tower.heads),
        "mlps": (layers,),
        "stream": (layers,),
        "tokens": (tower.tokens,),
    }
    chosen = {
        name: np.full(size, name == "tokens") if given.get(name) is None else given[name]
        for name, size in sizes.items()
    }
    masks = {name: np.asarray(mask, bool) for name, mask in chosen.items()}
    leading = (images,)
    for name, mask in masks.items():
        before = mask.shape[: mask.ndim - len(sizes[name])]
        try:
            leading = np.broadcast_shapes(leading, before)
        except ValueError:
            before = None
        if before is None or leading[-1] != images or mask.shape[len(before) :] != sizes[name]:
            raise WorkbookError(
                f"A choice of {name} of shape {mask.shape} doesn't fit {images} images; it must"
                f" have the shape {(images, *sizes[name])}, with any axes before."
            )
    return Exchange(
        *(
            torch.from_numpy(np.broadcast_to(mask, (*leading, *sizes[name])).copy())
            .reshape(-1, images, *sizes[name])
            .to(device)
            for name, mask in masks.items()
        )
    ), leading


def encode_patched(
    tower: Tower, pixels: torch.Tensor, originals: torch.Tensor, chosen: Exchange
) -> torch.Tensor:
    """Encode images several times, each time with other parts patched: choices × n × features.

    The originals go through the layers beside the images, so that only one layer's outputs are
    kept. Up to the first layer that is patched all choices are one pass.
    """
    (plain, places), (source, _) = tower.start(pixels), tower.start(originals)
    read, last = range(tower.tokens)[tower.pool.reads], len(tower.blocks) - 1
    begun = chosen.begun()
    patched = [plain] * len(begun)
    for layer, block in enumerate(tower.blocks):
        # The last layer's other tokens are read by nothing.
        tokens = range(tower.tokens) if layer < last else read
        run = (places[layer], tokens)
        source, written = run_block(block, source, *run, is_last=layer == last)
        plain, _ = run_block(block, plain, *run, is_last=layer == last)
        for choice, stream in enumerate(patched):
            if not begun[choice][layer]:
                patched[choice] = plain
                continue
            place = chosen.at(choice, layer, tokens)
            patch = Patch(place, written)
            stream, _ = run_block(block, stream, *run, is_last=layer == last, patch=patch)
            patched[choice] = torch.where(place.stream[..., None], source, stream)
    return torch.stack([_embedding(tower, stream) for stream in patched])


@dataclass(frozen=True)
class Patch:
    """What a block wrote for other images, and where it is taken over."""

    place: Place
    written: BlockParts

    def heads(self, mixed: torch.Tensor) -> torch.Tensor:
        """Exchange what heads give, n × heads × T × head width."""
        other = self.written.outputs.unflatten(-1, (mixed.shape[1], -1)).transpose(1, 2)
        return torch.where(self.place.heads[..., None], other.to(mixed.dtype), mixed)

    def mlp(self, added: torch.Tensor) -> torch.Tensor:
        """Exchange what the MLP adds, n × T × width."""
        return torch.where(self.place.mlps[..., None], self.written.mlp, added)


def _embedding(tower: Tower, x: torch.Tensor) -> torch.Tensor:
    with torch.autocast(x.device.type, enabled=False):
        pooled, _, _ = tower.pool.read(x.float())
        embedding, _, _ = tower.pool.finish(pooled)
    return embedding


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
    means, last = [], len(tower.blocks) - 1
    for layer, block in enumerate(tower.blocks):
        through = (places[layer], read if layer == last else every)
        x, parts = run_block(block, x, *through, is_last=layer == last, hidden=lambda each: each)
        means.append((parts.outputs.mean(dim=0), parts.hidden.mean(dim=0)))
    return Means(*zip(*means, strict=True))


def with_ablated(tower: Tower, means: Means, heads: torch.Tensor, neurons: torch.Tensor) -> Tower:
    """Return a tower in which some heads and neurons write what they write on average."""
    wide = heads.repeat_interleave(tower.head_width, dim=1)
    blocks = [
        _ablated(block, _fixing(of_heads, outputs), _fixing(of_neurons, fired))
        for block, of_heads, outputs, of_neurons, fired in zip(
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
