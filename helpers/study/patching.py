"""Activation patching of heads on some images of a run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from tqdm import tqdm

from helpers.analysis.causal import effects, without_heads

if TYPE_CHECKING:
    from helpers.study.run import Run

EFFECTS = ("direct", "total")
PASS = 32
"""Images in a forward pass: always as many, as another number rounds differently."""


def patch_heads(
    run: "Run", images: Sequence[str], order: xr.DataArray, counts: Sequence[int]
) -> xr.Dataset:
    """Put heads of augmented views back to what they did for the originals.

    Parameters
    ----------
    run : Run
        Gives the views and the model. Nothing is kept on disk.
    images : sequence of str
        Ids of the images.
    order : DataArray of int, (choice, image, augmentation, layer, head)
        Which heads come first, as of `helpers.analysis.causal.patching_order`.
    counts : sequence of int
        Numbers of heads to patch.

    Returns
    -------
    Dataset
        ``removed`` and ``length`` (effect, choice, k, image, augmentation), as of
        `helpers.analysis.causal.effects`; effect is ``direct`` or ``total``. ``embedding`` (choice,
        k, image, augmentation, feature): of the patched forward passes.
    """
    batches = [slice(start, start + PASS) for start in range(0, len(images), PASS)]
    total = len(images) * order.sizes["augmentation"]
    with tqdm(total=total, desc="Patching heads", unit="view", leave=False) as progress:
        parts = [
            _batch(run, images[rows], order.isel(image=rows), counts, progress) for rows in batches
        ]
    return xr.concat(parts, "image")


def _batch(
    run: "Run", images: Sequence[str], order: xr.DataArray, counts: Sequence[int], progress: tqdm
) -> xr.Dataset:
    views = [run.views(image) for image in images]
    original = run.model.encode(np.stack([own["original"] for own in views]), by_token=True)
    done = []
    names = list(order["augmentation"].values)
    for name in names:
        pixels = np.stack([own[name] for own in views])
        places = order.sel(augmentation=name).transpose("choice", "image", "layer", "head").values
        done.append(_one_augmentation(run.model, pixels, original, places, counts))
        progress.update(len(images))
    found = xr.concat(done, xr.Variable("augmentation", names))
    coords = {"effect": list(EFFECTS), "choice": order["choice"].values, "k": list(counts)}
    return found.assign_coords(coords | {"image": list(images)})


def _one_augmentation(
    model, pixels: np.ndarray, original, places: np.ndarray, counts: Sequence[int]
) -> xr.Dataset:
    augmented = model.encode(pixels)
    shift = augmented.embedding - original.embedding
    changes = augmented.heads - original.heads  # images × layers × heads × features
    direct = [[without_heads(shift, changes, own < k) for k in counts] for own in places]
    chosen = np.stack([[own < k for k in counts] for own in places])
    # choices × counts × images × features
    patched = model.encode_with_patched_heads(pixels, original, chosen)
    remaining = np.stack([direct, patched - original.embedding])
    axes = ("image", "feature")
    found = effects(
        xr.DataArray(remaining, dims=("effect", "choice", "k", *axes)),
        xr.DataArray(shift, dims=axes),
        xr.DataArray(original.embedding, dims=axes),
    )
    return found.assign(embedding=(("choice", "k", *axes), patched))
