"""The published study's steps, written from its equations: the other side of `make bench`.

One Hugging Face CLIP: ten embeddings of an image in one pass, then, for each of nine augmentations,
a pass over the original and one over the augmented view for their attention, and loops over
patches. Weights are random; they don't change the time.
"""

import cv2
import numpy as np
import torch
from transformers import CLIPConfig, CLIPModel

from helpers.data import views
from helpers.data.images import Image

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]


def hugging_face_clip(**towers: dict) -> CLIPModel:
    """Build ViT-B/32, or less, with random weights; only eager attention hands its weights back."""
    torch.manual_seed(0)
    return CLIPModel._from_config(CLIPConfig(**towers), attn_implementation="eager").eval()


def study_image(model: CLIPModel, image: Image) -> list[list[float]]:
    """Draw, embed and score one image; six scores for each augmentation."""
    original, *augmented = views(image.pixels, image.id).values()
    embeddings = embed(model, [original, *augmented])
    scores = []
    for pixels, embedding in zip(augmented, embeddings[1:], strict=True):
        maps = attention_map(model, original), attention_map(model, pixels)
        scores.append(
            [
                torch.cosine_similarity(embeddings[0], embedding, dim=0).item(),
                torch.dist(embeddings[0], embedding).item(),
                1 / (1 + np.mean((maps[0] - maps[1]) ** 2)),
                patch_similarity(original, pixels),
                edge_similarity(original, pixels),
                detail_similarity(original, pixels),
            ]
        )
    return scores


def embed(model: CLIPModel, pixels: list[np.ndarray]) -> torch.Tensor:
    with torch.inference_mode():
        hidden = model.vision_model(torch.stack([normalised(one) for one in pixels]))
        return model.visual_projection(hidden.pooler_output)


def normalised(pixels: np.ndarray) -> torch.Tensor:
    return (torch.from_numpy(pixels).permute(2, 0, 1) / 255 - MEAN) / STD


def attention_map(model: CLIPModel, pixels: np.ndarray) -> np.ndarray:
    """Equation (6)'s map: last layer, mean over heads, class token to patches, scaled to [0, 1]."""
    with torch.inference_mode():
        out = model.vision_model(normalised(pixels)[None], output_attentions=True)
    grid = out.attentions[-1][0].mean(0)[0, 1:].reshape(7, 7).numpy()
    resized = cv2.resize(grid, (224, 224), interpolation=cv2.INTER_LINEAR)
    return (resized - resized.min()) / (resized.max() - resized.min())


def patches(pixels: np.ndarray, grid: int):
    side = len(pixels) // grid
    for i in range(grid):
        for j in range(grid):
            yield pixels[i * side : (i + 1) * side, j * side : (j + 1) * side].astype(float)


def patch_similarity(one: np.ndarray, other: np.ndarray) -> float:
    pairs = zip(patches(one, 4), patches(other, 4), strict=True)
    return float(np.mean([1 / (1 + np.mean((p - q) ** 2) / 255**2) for p, q in pairs]))


def edge_similarity(one: np.ndarray, other: np.ndarray) -> float:
    maps = []
    for pixels in (one, other):
        down, across = np.gradient(pixels.astype(float) @ [0.299, 0.587, 0.114])
        edges = np.abs(down) + np.abs(across)
        maps.append(edges / edges.max())
    return float(1 - np.mean(np.abs(maps[0] - maps[1])))


def detail_similarity(one: np.ndarray, other: np.ndarray) -> float:
    ratios = [
        np.exp(-abs(np.log(q.std() / p.std())))
        for p, q in zip(patches(one, 8), patches(other, 8), strict=True)
        if p.std() >= 1e-6 and q.std() > 0
    ]
    return float(np.mean(ratios)) if ratios else float("nan")
