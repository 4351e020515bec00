"""What is differentiated: the cosine of embeddings by pixels (attacks), and by attention (maps).

Gradient-weighted attention is the idea of LeGrad (Bousselham et al., arXiv 2404.03214), written
anew. After each layer, the residual stream is read out as an embedding, as by the logit lens, and
its cosine with a text is differentiated by that layer's attention. What is positive counts,
averaged over heads, over the tokens that attend, and over layers.

Adversarial images are made by projected gradient descent of the cosine with the original's
embedding (A. Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR
2018, arXiv 1706.06083): steps along the sign of the gradient, each followed by a projection into
the cube of side 2ε around the image. No label and no text is needed: the embedding leaves its own
place.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from helpers.checks import WorkbookError
from helpers.clip.towers import Tower
from helpers.clip.towers.blocks import Block

if TYPE_CHECKING:
    from helpers.clip.model import Model

STEPS = 10
REACH = 2.5
"""Length of all steps of an attack together, in ε: enough to cross the cube and turn back."""


def gradient_weighted(tower: Tower, pixels: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """Weight every layer's attention by the gradient of the cosine with texts.

    Of shape n × texts × patches.
    """
    x, places = tower.start(pixels)
    total = 0
    for block, place in zip(tower.blocks, places, strict=True):
        x, weighted = _through(tower, block, x.detach(), place, directions)
        total = total + weighted
    return total[..., tower.prefix :] / len(tower.blocks)


def _through(
    tower: Tower,
    block: Block,
    x: torch.Tensor,
    place: torch.Tensor | None,
    directions: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run a block, and differentiate what is read out after it by its attention."""
    query, key, value = block.attention.project(block.enter(x), range(x.shape[1]), place)
    with torch.enable_grad():
        mixed = F.scaled_dot_product_attention(query, key, value).detach().requires_grad_()
        added, _, _ = block.write(mixed.transpose(1, 2).flatten(2))
        x = x + added
        x = x + block.mlp(x)
        pooled, _, _ = tower.pool.read(x[:, tower.pool.reads])
        embedding = F.normalize(tower.pool.finish(pooled)[0], dim=-1)
        # Images don't depend on one another, so that one gradient serves all.
        cosines = torch.einsum("nf,ntf->t", embedding, directions)
        slopes = [torch.autograd.grad(cosine, mixed, retain_graph=True)[0] for cosine in cosines]
    # Heads mix values linearly, so that the slope along an attention is one product away.
    by_pair = [(slope @ value.mT).relu().mean(dim=(1, 2)) for slope in slopes]
    return x.detach(), torch.stack(by_pair, dim=1)


def adversarial(model: "Model", pixels: np.ndarray, radius: int, start: np.ndarray) -> np.ndarray:
    """Descend from a place within the cube; grey levels are whole numbers again at the end."""
    with torch.inference_mode(False), torch.enable_grad():
        image = _levels(model, pixels)
        goal = F.normalize(model.embedded_with_gradient(image).detach(), dim=-1)
        low, high = (image - radius).clamp(min=0), (image + radius).clamp(max=255)
        moved = (image + radius * _levels(model, start)).clamp(low, high)
        for _ in range(STEPS):
            slope = slope_of_cosine(model, moved, goal)
            moved = (moved - REACH * radius / STEPS * slope.sign()).clamp(low, high)
    return moved[0].round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def slope_of_cosine(model: "Model", images: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
    """Differentiate the cosine of embeddings with a direction of length 1 by grey levels."""
    images = images.detach().requires_grad_()
    cosines = F.cosine_similarity(model.embedded_with_gradient(images), goal, dim=-1)
    try:
        (slope,) = torch.autograd.grad(cosines.sum(), images)
    except RuntimeError as error:
        raise WorkbookError(
            f"{model.title} gives no gradient along its pixels ({error}), which an adversarial view"
            " needs; leave that change out."
        ) from error
    return slope.nan_to_num()


def _levels(model: "Model", pixels: np.ndarray) -> torch.Tensor:
    return model.upload(pixels).permute(2, 0, 1)[None].float()
