"""Activation patching: heads write what they wrote for other images; all after them responds."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from helpers.clip.forward import run_block
from helpers.clip.towers import Tower

Places = Sequence[torch.Tensor | None]


class PatchedHeads(NamedTuple):
    """Heads to patch, and what they are to write."""

    heads: torch.Tensor
    outputs: torch.Tensor


def encode_patched(
    tower: Tower, pixels: torch.Tensor, outputs: torch.Tensor, choices: torch.Tensor
) -> torch.Tensor:
    """Encode images several times, each time with other heads patched.

    What comes before the first layer that is patched is the same every time, and computed once.

    Parameters
    ----------
    tower : Tower
    pixels : Tensor, n × 3 × height × width
        Normalised images.
    outputs : Tensor, n × layers × heads × (tokens read · head width)
        `helpers.clip.forward.Parts.outputs` of the other images.
    choices : Tensor of bool, choices × n × layers × heads
        Which heads are patched, image by image.

    Returns
    -------
    Tensor, choices × n × features
    """
    x, places = tower.start(pixels)
    firsts = choices.any(dim=3).any(dim=1).int().argmax(dim=1).tolist()  # 0 where none is patched
    entering = [x]  # the layers before which nothing is patched
    for layer in range(max(firsts)):
        entering.append(_through(tower, layer, entering[-1], places))
    found = [
        _from_layer(tower, first, entering[first], places, PatchedHeads(chosen, outputs))
        for first, chosen in zip(firsts, choices, strict=True)
    ]
    return torch.stack(found)


def _from_layer(
    tower: Tower, first: int, x: torch.Tensor, places: Places, patched: PatchedHeads
) -> torch.Tensor:
    for layer in range(first, len(tower.blocks)):
        x = _through(tower, layer, x, places, patched)
    with torch.autocast(x.device.type, enabled=False):
        pooled, _, _ = tower.pool.read(x.float())
        embedding, _, _ = tower.pool.finish(pooled)
    return embedding


def _through(
    tower: Tower, layer: int, x: torch.Tensor, places: Places, patched: PatchedHeads | None = None
) -> torch.Tensor:
    reads = range(tower.tokens)[tower.pool.reads]
    is_last = layer == len(tower.blocks) - 1
    patch = patched and (patched.heads[:, layer], patched.outputs[:, layer])
    x, _ = run_block(tower.blocks[layer], x, places[layer], reads, is_last=is_last, patch=patch)
    return x
