"""Speed, as ratios measured side by side in one run: ``make bench``."""

from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np
import torch

from helpers.analysis import scores
from helpers.analysis.neighbours import nearest
from helpers.analysis.textspan import textspan
from helpers.clip import load
from helpers.clip.model import Model
from tests.reference_textspan import plain_textspan

REPEATS = 5


def ratio(
    ours: Callable[[], object], other: Callable[[], object], repeats: int = REPEATS
) -> tuple[float, float, float]:
    """Time two functions in turn; return the median ratio ours / other and its extremes."""
    ours(), other()
    ratios = []
    for _ in range(repeats):
        ratios.append(seconds(ours) / seconds(other))
    return median(ratios), min(ratios), max(ratios)


def seconds(function: Callable[[], object]) -> float:
    """Time one call."""
    started = perf_counter()
    function()
    return perf_counter() - started


def encode_against_open_clip(model: Model, pixels: np.ndarray) -> tuple[float, float, float]:
    """Embedding, attention and all contributions against open_clip's embedding alone."""

    def plain():
        with torch.inference_mode():
            return model.clip.encode_image(model._normalised(pixels)).numpy()

    return ratio(lambda: model.encode(pixels).total(), plain)


def scores_against_loop(count: int) -> tuple[float, float, float]:
    """Pixel scores of a batch against the same functions in a loop over images."""
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 256, (2, count, 224, 224, 3), dtype=np.uint8)
    functions = [row.function for row in scores.SCORES.values() if row.needs == "pixels"]
    return ratio(
        lambda: [function(one, other) for function in functions],
        lambda: [function(a, b) for a, b in zip(one, other, strict=True) for function in functions],
    )


def textspan_against_plain(count: int, timed: int) -> tuple[float, float, float]:
    """TEXTSPAN against the paper's algorithm: heads × 2,000 images × 3,000 texts, 512 features.

    The other treats heads one by one and takes minutes: it is timed on a few and scaled up.
    """
    rng = np.random.default_rng(0)
    outputs = rng.standard_normal((count, 2000, 64)) * rng.exponential(size=(count, 1, 64))
    heads = (outputs @ rng.standard_normal((count, 64, 512))).astype(np.float32)
    texts = rng.standard_normal((3000, 512)).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    middle, low, high = ratio(
        lambda: textspan(heads, texts, k=20, rank=64),
        lambda: [plain_textspan(head, texts, k=20, rank=64) for head in heads[:timed]],
        repeats=3,
    )
    scale = timed / count
    return middle * scale, low * scale, high * scale


def search_against_sorting(images: int, features: int) -> tuple[float, float, float]:
    """Eight nearest of one head's contributions against sorting all similarities."""
    rng = np.random.default_rng(0)
    contributions = rng.normal(size=(images, 4, features)).astype(np.float16)
    head, query = contributions[:, 1].astype(np.float32), rng.normal(size=features)
    first = median(seconds(lambda: nearest(contributions[:, 1], query, 8)) for _ in range(REPEATS))
    again = median(seconds(lambda: nearest(head, query, 8)) for _ in range(REPEATS))
    print(
        f"  a search takes {1000 * first:.1f} ms at first, from float16, and {1000 * again:.1f} ms"
    )
    query = query.astype(np.float32)
    return ratio(lambda: nearest(head, query, 8), lambda: np.argsort(-(head @ query))[:8])


def main() -> None:
    """Print every ratio with its smallest and largest value."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 224, 224, 3), dtype=np.uint8)
    print(f"time of ours / time of the other, median of {REPEATS} (smallest to largest)")
    for name in ("embedded", "ViT-B-32", "ViT-B-16"):
        result = encode_against_open_clip(load(name, device="cpu"), pixels)
        show(f"encode with all contributions / encode_image, {name}", result)
    show("pixel scores batched / image by image", scores_against_loop(64))
    name = "TEXTSPAN / the paper's algorithm, 48 heads × 2,000 images × 3,000 texts"
    show(f"{name} (the other timed on 2 heads)", textspan_against_plain(48, timed=2))
    name = "neighbours in 13,312 images × 512 features / with a full sort"
    show(name, search_against_sorting(13_312, 512))


def show(name: str, result: tuple[float, float, float]) -> None:
    """Print one ratio."""
    middle, low, high = result
    print(f"{name}: {middle:.2g} ({low:.2g} to {high:.2g})")


if __name__ == "__main__":
    main()
