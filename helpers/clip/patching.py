"""Activation patching: heads write what they wrote for other images; all after them responds."""

import torch

from helpers.clip.forward import run_block
from helpers.clip.towers import Tower


def encode_patched(
    tower: Tower,
    pixels: torch.Tensor,
    originals: torch.Tensor,
    choices: torch.Tensor,
    *,
    every_token: bool,
) -> torch.Tensor:
    """Encode images several times, each time with other heads patched: choices × n × features.

    The originals go through the layers beside the images, so that only one layer's outputs are
    kept. Up to the first layer that is patched all choices are one pass.
    """
    (plain, places), (source, _) = tower.start(pixels), tower.start(originals)
    read, last = range(tower.tokens)[tower.pool.reads], len(tower.blocks) - 1
    differs = choices.any(dim=3).any(dim=1).cumsum(dim=1).bool().tolist()  # choices × layers
    patched = [plain] * len(choices)
    for layer, block in enumerate(tower.blocks):
        # The last layer's other tokens are read by nothing.
        exchanged = range(tower.tokens) if every_token and layer < last else read
        through = (places[layer], exchanged)
        source, written = run_block(block, source, *through, is_last=layer == last)
        plain, _ = run_block(block, plain, *through, is_last=layer == last)
        for number, chosen in enumerate(choices):
            if differs[number][layer]:
                patch = (chosen[:, layer], written.outputs)
                own = patched[number]
                patched[number], _ = run_block(
                    block, own, *through, is_last=layer == last, patch=patch
                )
            else:
                patched[number] = plain
    return torch.stack([_embedding(tower, own) for own in patched])


def _embedding(tower: Tower, x: torch.Tensor) -> torch.Tensor:
    with torch.autocast(x.device.type, enabled=False):
        pooled, _, _ = tower.pool.read(x.float())
        embedding, _, _ = tower.pool.finish(pooled)
    return embedding
