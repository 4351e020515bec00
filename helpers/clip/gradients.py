"""Gradient-weighted attention: where a layer would have to look to bring a text nearer.

The idea of LeGrad (Bousselham et al., arXiv 2404.03214), written anew. After each layer, the
residual stream is read out as an embedding, as by the logit lens, and its cosine with a text is
differentiated by that layer's attention. What is positive counts, averaged over heads, over the
tokens that attend, and over layers.
"""

import torch
from torch.nn import functional as F

from helpers.clip.towers import Tower
from helpers.clip.towers.blocks import Block


def gradient_weighted(tower: Tower, pixels: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """Weight every layer's attention by the gradient of the cosine with texts.

    Of shape n × texts × patches.
    """
    x, places = tower.start(pixels)
    total = 0
    for block, own in zip(tower.blocks, places, strict=True):
        x, found = _through(tower, block, x.detach(), own, directions)
        total = total + found
    return total[..., tower.prefix :] / len(tower.blocks)


def _through(
    tower: Tower,
    block: Block,
    x: torch.Tensor,
    places: torch.Tensor | None,
    directions: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run a block, and differentiate what is read out after it by its attention."""
    query, key, value = block.attention.project(block.enter(x), range(x.shape[1]), places)
    with torch.enable_grad():
        mixed = F.scaled_dot_product_attention(query, key, value).detach().requires_grad_()
        added, _, _ = block.write(mixed.transpose(1, 2).flatten(2))
        x = x + added
        x = x + block.mlp(x)
        pooled, _, _ = tower.pool.read(x[:, tower.pool.reads])
        embedding = F.normalize(tower.pool.finish(pooled)[0], dim=-1)
        # Images don't depend on one another, so that one gradient serves all.
        cosines = torch.einsum("nf,ntf->t", embedding, directions)
        slopes = [torch.autograd.grad(one, mixed, retain_graph=True)[0] for one in cosines]
    # Heads mix values linearly, so that the slope along an attention is one product away.
    by_pair = [(slope @ value.mT).relu().mean(dim=(1, 2)) for slope in slopes]
    return x.detach(), torch.stack(by_pair, dim=1)
