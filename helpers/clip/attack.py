"""Adversarial images: projected gradient descent of the cosine with the original's embedding.

A. Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018, arXiv
1706.06083: steps along the sign of the gradient, each followed by a projection into the cube of
side 2ε around the image. No label and no text is needed: the embedding leaves its own place.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from helpers.checks import WorkbookError

if TYPE_CHECKING:
    from helpers.clip.model import Model

STEPS = 10
REACH = 2.5
"""Length of all steps together, in ε: enough to cross the cube and turn back."""


def repelled(model: "Model", pixels: np.ndarray, radius: int, start: np.ndarray) -> np.ndarray:
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
