"""The six scores for many images at once, on the device that they lie on.

The equations are those of `helpers.analysis.scores`, whose functions go image by image through a
processor's cache; a GPU has no such cache to mind, and wants many images at once. Values agree to
1e-12: whole numbers are summed exactly in both, and all else in float64. Of each image's views the
original comes first, and results are images × changes.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from helpers.analysis.scores import (
    DETAIL_GRID,
    GREY_IN_THOUSANDTHS,
    PATCH_GRID,
    UNIFORM_BELOW,
    bilinear_weights,
)

NAN = float("nan")


def pixel_scores(views: Tensor) -> dict[str, Tensor]:
    """Compare the changed views of images with their originals, as `scores.pixel_scores` does."""
    whole = views.float()
    squares = (whole[:, 1:] - whole[:, :1]).square()  # of whole numbers: exact in float32
    edges, deviations = _edge_maps(whole), _deviations(whole)
    return {
        "pixel_change": _mean(squares, 1)[..., 0].sqrt() / 255,
        "patch_similarity": (1 / (1 + _mean(squares, PATCH_GRID) / 255**2)).mean(-1),
        "edge_similarity": _edge_likeness(edges[:, :1], edges[:, 1:]),
        "detail_similarity": _detail_likeness(deviations[:, :1], deviations[:, 1:]),
    }


def embedding_similarity(embeddings: Tensor) -> Tensor:
    """Compare embeddings by their angle, equation (4), as `scores.embedding_similarity` does."""
    wide = embeddings.double()  # images × views × … × features
    before, after = wide[:, :1], wide[:, 1:]
    norms = before.norm(dim=-1) * after.norm(dim=-1)
    return ((before * after).sum(-1) / norms).clamp(-1, 1)


def l2_distance(embeddings: Tensor) -> Tensor:
    """Compare embeddings by their distance, equation (5), as `scores.l2_distance` does."""
    wide = embeddings.double()  # images × views × features
    return (wide[:, 1:] - wide[:, :1]).norm(dim=-1)


def attention_similarity(grids: Tensor, size: tuple[int, int] = (224, 224)) -> Tensor:
    """Compare attention maps, equation (6), as `scores.attention_similarity` does.

    Grids are images × views × rows × columns, maps as high and wide as the views in pixels.
    """
    down, across = (
        torch.from_numpy(bilinear_weights(n, side)).to(grids.device)
        for n, side in zip(grids.shape[-2:], size, strict=True)
    )
    maps = down @ grids.double() @ across.T
    maps -= maps.amin((-2, -1), keepdim=True)
    constant = (grids.amax((-2, -1)) == grids.amin((-2, -1)))[..., None, None]
    maps /= maps.amax((-2, -1), keepdim=True).masked_fill(constant, float("inf"))
    return 1 / (1 + (maps[:, 1:] - maps[:, :1]).square().mean((-2, -1)))


BY_MODEL: Mapping[str, Callable[[Tensor], Tensor]] = {
    "embedding_similarity": embedding_similarity,
    "l2_distance": l2_distance,
    "attention_similarity": attention_similarity,
}
"""The scores that a model has a part in."""


def _patches(images: Tensor, grid: int) -> Tensor:
    """Gather the values of each patch of a grid: images × views × patches × values."""
    tall, wide = (length // grid for length in images.shape[2:4])
    cropped = images[:, :, : grid * tall, : grid * wide].unflatten(3, (grid, wide))
    by_patch = cropped.unflatten(2, (grid, tall)).transpose(3, 4)
    return by_patch.flatten(4).flatten(2, 3)


def _mean(images: Tensor, grid: int) -> Tensor:
    patches = _patches(images, grid)
    return patches.sum(-1, dtype=torch.float64) / patches.shape[-1]


def _deviations(images: Tensor) -> Tensor:
    """Return the standard deviation in each patch; sums of whole numbers lose no digit."""
    patches = _patches(images, DETAIL_GRID)
    count = patches.shape[-1]
    sums, squares = (p.sum(-1, dtype=torch.float64) for p in (patches, patches.square()))
    return (count * squares - sums.square()).sqrt() / count


def _detail_likeness(before: Tensor, after: Tensor) -> Tensor:
    """Equation (12)."""
    valid = before >= UNIFORM_BELOW
    ratios = torch.minimum(before, after) / torch.maximum(before, after)
    total = torch.where(valid, ratios, 0.0).sum(-1)
    return total / valid.sum(-1).double().masked_fill(~valid.any(-1), NAN)


def _edge_maps(images: Tensor) -> Tensor:
    """Equation (10); NaN for an image without an edge."""
    grey = (images * torch.from_numpy(GREY_IN_THOUSANDTHS).to(images.device)).sum(-1)
    down, across = torch.gradient(grey, dim=(-2, -1))
    edges = down.abs() + across.abs()
    largest = edges.amax((-2, -1), keepdim=True)
    return edges / largest.masked_fill(largest == 0, NAN)


def _edge_likeness(before: Tensor, after: Tensor) -> Tensor:
    """Equations (9) and (11)."""
    return 1 - (before - after).abs().mean((-2, -1), dtype=torch.float64)
