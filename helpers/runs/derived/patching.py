"""Activation patching of heads on some images of a run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from helpers.analysis import causal
from helpers.analysis.dissection import head_shares
from helpers.analysis.sources import by_source
from helpers.data.changes import ORIGINAL
from helpers.runs.derived.kept import derived
from helpers.runs.derived.ordinary import ordinary_differences

if TYPE_CHECKING:
    from helpers.runs.run import Run

MEASURED = 24
"""Images of a source on which effects are measured, at most."""

DRAWS = 2
"""Of random heads, and of other changes, for each image and change."""

PASS = 32
"""Images in a forward pass: always as many, as another number rounds differently."""

EVERY_TOKEN = {"direct path": False, "total": True}


def patched_heads(run: "Run") -> xr.Dataset:
    """Return what patching heads removes of the shifts of some images, computing it if missing.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Dataset
        ``removed`` (effect, choice, image, augmentation), float32, with the coordinate ``source``
        (image): the share of a shift that goes when heads are put back to what they wrote for the
        original, mean over draws. `helpers.analysis.causal` says what the effects are, and
        `helpers.analysis.causal.choose_heads` the choices; NaN for choices that a source lacks.

    Raises
    ------
    WorkbookError
        If the model gives no exact account.
    """
    heads = head_shares(run.dissection("shares")["shares"])
    reference = head_shares(ordinary_differences(run)["shares"])
    return derived(
        run, "patching", lambda: _patched(run, heads, reference), measured=MEASURED, draws=DRAWS
    )


def _patched(run: "Run", heads: xr.DataArray, reference: xr.DataArray) -> xr.Dataset:
    found = [
        _of_source(run, own, reference.isel(image=np.isin(reference["image"], own["image"])))
        for own in by_source(heads).values()
    ]
    return xr.concat(found, "image").to_dataset(name="removed")


def _of_source(run: "Run", heads: xr.DataArray, reference: xr.DataArray) -> xr.DataArray:
    seed = run.parameters.seed
    choosing, measuring = causal.split(heads.sizes["image"], MEASURED, seed)
    measured = heads.isel(image=measuring)
    chosen = causal.choose_heads(
        heads.isel(image=choosing), reference.mean("image"), len(measuring), draws=DRAWS, seed=seed
    ).assign_coords(image=measured["image"])
    parts = [
        xr.concat(
            [
                (own * measured).sum(["layer", "head"]),
                *_in_passes(run, own),
            ],
            "effect",
        )
        for own in _batches(chosen)
    ]
    effects = xr.concat(parts, "image").assign_coords(effect=list(causal.EFFECTS))
    return effects.groupby("choice").mean().astype(np.float32)


def _batches(chosen: xr.DataArray) -> list[xr.DataArray]:
    starts = range(0, chosen.sizes["image"], PASS)
    return [chosen.isel(image=slice(start, start + PASS)) for start in starts]


def _in_passes(run: "Run", chosen: xr.DataArray) -> list[xr.DataArray]:
    """Return what is removed along the direct path, and in all, (choice, image, augmentation)."""
    views = [run.views(image) for image in chosen["image"].values]
    originals = np.stack([own[ORIGINAL] for own in views])
    before = run.model.encode(originals).embedding
    names = chosen["augmentation"].values
    found = []
    for name in names:
        pixels = np.stack([own[name] for own in views])
        heads = chosen.sel(augmentation=name).transpose("choice", "image", "layer", "head").values
        found.append(_of_change(run, pixels, originals, before, heads))
    coords = {name: chosen[name] for name in ("choice", "image", "source")}
    return [
        xr.concat(own, xr.Variable("augmentation", names)).assign_coords(coords)
        for own in zip(*found, strict=True)
    ]


def _of_change(
    run: "Run", pixels: np.ndarray, originals: np.ndarray, before: np.ndarray, heads: np.ndarray
) -> Sequence[xr.DataArray]:
    axes = ("image", "feature")
    original = xr.DataArray(before, dims=axes)
    shift = xr.DataArray(run.model.encode(pixels).embedding - before, dims=axes)
    encode = run.model.encode_with_patched_heads
    left = [
        encode(pixels, originals, heads, every_token=every) - before
        for every in EVERY_TOKEN.values()
    ]
    return [
        causal.removed(xr.DataArray(own, dims=("choice", *axes)), shift, original) for own in left
    ]
