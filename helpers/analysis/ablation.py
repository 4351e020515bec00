"""How much of the embedding the last layers' heads carry.

The *mean ablation* of a component replaces what it added to each image's embedding by its mean over
the images: the embedding keeps its place and loses what the component told images apart by. Source:
Gandelsman, Efros and Steinhardt, ICLR 2024 (arXiv 2310.05916), sections 3.2 and 4. They ablate all
MLPs and all but the last four layers' attention; here both choices are shown.
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import xarray as xr

from helpers.analysis.scores import embedding_similarity
from helpers.ties import first_largest

MLP = ".MLP"


def mean_ablated(parts: xr.DataArray, kept: Sequence[str]) -> np.ndarray:
    """Return the embeddings with all but some parts replaced by their means: (image, feature)."""
    means = parts.mean("image")
    varying = parts.sel(part=list(kept)) - means.sel(part=list(kept))
    return (means.sum("part") + varying.sum("part")).transpose("image", "feature").values


def last_layers(parts: xr.DataArray) -> dict[str, dict[int, np.ndarray]]:
    """Ablate all attention but that of the last n layers, with MLPs kept and with MLPs ablated.

    Parameters
    ----------
    parts : DataArray, (image, part, feature)
        What the embeddings are the sum of; a layer has ``L3.MLP``, and everything else whose name
        starts with ``L3.`` is its attention, whole or by heads and bias.

    Returns
    -------
    dict of str to dict of int to ndarray
        What is kept besides (``everything else`` or ``nothing else``) → n, from 0 to all layers →
        embeddings, (image, feature).
    """
    names = list(parts["part"].values)
    layers = [_attention_of(layer, names) for layer in range(_number_of_layers(names))]
    rest = [name for name in names if name not in chain(*layers)]
    return {
        title: {
            n: mean_ablated(parts, [*besides, *chain(*layers[len(layers) - n :])])
            for n in range(len(layers) + 1)
        }
        for title, besides in (("everything else", rest), ("nothing else", []))
    }


def _number_of_layers(names: Sequence[str]) -> int:
    return sum(name.endswith(MLP) for name in names)


def _attention_of(layer: int, names: Sequence[str]) -> list[str]:
    return [name for name in names if name.startswith(f"L{layer}.") and not name.endswith(MLP)]


def remaining(
    embeddings: np.ndarray, ablated: np.ndarray, texts: xr.DataArray, groups: Sequence[str]
) -> dict[str, float]:
    """Measure how much of the embeddings an ablation leaves.

    Parameters
    ----------
    embeddings, ablated : ndarray, (images, features)
        Before and after.
    texts : DataArray, (text, feature)
        Embeddings of the pool, with the coordinate ``property``.
    groups : sequence of str
        Properties that zero-shot questions are asked about.

    Returns
    -------
    dict of str to float
        ``variance``, the share of the variance over images that is left: 1 less that of the
        difference, so below 0 where the ablation adds more error than it leaves of the signal;
        ``cosine``, the mean cosine similarity; ``predictions``, the share of zero-shot predictions
        that stay as they were, over images and properties. NaN for the variance of equal
        embeddings.
    """
    spread = np.square(embeddings - embeddings.mean(axis=0)).sum()
    lost = embeddings - ablated
    error = np.square(lost - lost.mean(axis=0)).sum()
    before, after = (predictions(side, texts, groups) for side in (embeddings, ablated))
    return {
        "variance": float(1 - error / spread) if spread else np.nan,
        "cosine": float(embedding_similarity(embeddings, ablated).mean()),
        "predictions": float((before == after).mean()) if before.size else np.nan,
    }


def predictions(embeddings: np.ndarray, texts: xr.DataArray, groups: Sequence[str]) -> np.ndarray:
    """Predict zero-shot which of each property's texts is nearest.

    Parameters
    ----------
    embeddings : ndarray, (images, features)
        Of images; their length doesn't matter.
    texts : DataArray, (text, feature)
        Normalised embeddings of the pool, with the coordinate ``property``.
    groups : sequence of str
        Properties.

    Returns
    -------
    ndarray of int, (images, properties)
        Positions among the property's texts.
    """
    properties = texts["property"].values
    pool = texts.transpose("text", "feature").values
    columns = [first_largest(embeddings @ pool[properties == name].T) for name in groups]
    return np.stack(columns, axis=1) if columns else np.empty((len(embeddings), 0), int)
