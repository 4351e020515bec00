"""Activation patching on some images of a run: of heads, and of whole layers and positions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from helpers.analysis import patching
from helpers.analysis.dissection import on_grid
from helpers.analysis.sources import by_source, few_of_each
from helpers.data.changes import ORIGINAL
from helpers.runs.derived.cache import derived
from helpers.runs.derived.ordinary import ordinary_differences

if TYPE_CHECKING:
    from helpers.clip import Model
    from helpers.runs.run import Run

MEASURED = 24
"""Images of a source on which effects are measured, at most."""

DRAWS = 2
"""Of random heads, and of other changes, for each image and change."""

PASS = 32
"""Images in a forward pass: always as many, as another number rounds differently."""

EXAMINED = 9
"""Images of a source in which layers and positions are patched, at most, under one change each."""

LAYERS = 6
"""Layers in which they are patched, at most, evenly among all."""


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
        original, mean over draws. `helpers.analysis.patching` says what the effects are, and
        `helpers.analysis.patching.choose_heads` the choices; NaN where a source has no such choice.

    Raises
    ------
    WorkbookError
        If the model gives no exact account.
    """
    heads = on_grid(run.dissection("shares")["shares"])
    reference = on_grid(ordinary_differences(run)["shares"])
    return derived(
        run, "patching", lambda: _patched(run, heads, reference), measured=MEASURED, draws=DRAWS
    )


def _patched(run: "Run", heads: xr.DataArray, reference: xr.DataArray) -> xr.Dataset:
    by_name = [
        _of_source(run, group, reference.isel(image=np.isin(reference["image"], group["image"])))
        for group in by_source(heads).values()
    ]
    return xr.concat(by_name, "image").to_dataset(name="removed")


def _of_source(run: "Run", heads: xr.DataArray, reference: xr.DataArray) -> xr.DataArray:
    seed = run.parameters.seed
    choosing, measuring = patching.split(heads.sizes["image"], MEASURED, seed)
    measured = heads.isel(image=measuring)
    chosen = patching.choose_heads(
        heads.isel(image=choosing), reference.mean("image"), len(measuring), draws=DRAWS, seed=seed
    ).assign_coords(image=measured["image"])
    parts = [
        xr.concat(
            [
                (batch * measured).sum(["layer", "head"]),
                *_in_passes(run, batch),
            ],
            "effect",
        )
        for batch in _batches(chosen)
    ]
    effects = xr.concat(parts, "image").assign_coords(effect=list(patching.EFFECTS))
    return effects.groupby("choice").mean().astype(np.float32)


def _batches(chosen: xr.DataArray) -> list[xr.DataArray]:
    starts = range(0, chosen.sizes["image"], PASS)
    return [chosen.isel(image=slice(start, start + PASS)) for start in starts]


def _in_passes(run: "Run", chosen: xr.DataArray) -> list[xr.DataArray]:
    """Return what is removed along the direct path, and in all, (choice, image, augmentation)."""
    views = [run.views(image) for image in chosen["image"].values]
    originals = np.stack([of_image[ORIGINAL] for of_image in views])
    before = run.model.encode(originals).embedding
    names = chosen["augmentation"].values
    by_change = []
    for name in names:
        pixels = np.stack([of_image[name] for of_image in views])
        heads = chosen.sel(augmentation=name).transpose("choice", "image", "layer", "head").values
        by_change.append(_of_change(run, pixels, originals, before, heads))
    coords = {name: chosen[name] for name in ("choice", "image", "source")}
    return [
        xr.concat(effect, xr.Variable("augmentation", names)).assign_coords(coords)
        for effect in zip(*by_change, strict=True)
    ]


def _of_change(
    run: "Run", pixels: np.ndarray, originals: np.ndarray, before: np.ndarray, heads: np.ndarray
) -> Sequence[xr.DataArray]:
    axes = ("image", "feature")
    original = xr.DataArray(before, dims=axes)
    shift = xr.DataArray(run.model.encode(pixels).embedding - before, dims=axes)
    # Along the direct path, and in all; in the order of `patching.EFFECTS`.
    left = [
        run.model.encode_patched(pixels, originals, heads=heads, tokens=tokens) - before
        for tokens in (run.model.read_tokens, None)
    ]
    return [
        patching.removed(xr.DataArray(each, dims=("choice", *axes)), shift, original)
        for each in left
    ]


def patched_layers(run: "Run") -> xr.Dataset:
    """Return what patching whole layers, and positions, undoes of some shifts.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Dataset
        ``undone`` (choice, layer, image), float32, as of `helpers.analysis.patching.undone`, with
        the coordinates ``source`` and ``augmentation`` (image): each image is seen under one
        change, all in turn. A choice is one of `helpers.analysis.patching.PARTS`, put back to what
        it was for the original or, with ``of another image`` behind its name, to what it is for
        another image of the source; or one of `helpers.analysis.patching.POSITIONS`, where the
        residual stream after the layer is put back. No ``read`` where a tower reads every token.

    Raises
    ------
    WorkbookError
        If the model gives no exact account.
    """

    def compute() -> xr.Dataset:
        patches = few_of_each(run.dissection("patch_shares")["patch_shares"], EXAMINED)
        by_name = [_layers_of_source(run, group) for group in by_source(patches).values()]
        return xr.concat(by_name, "image").to_dataset(name="undone")

    return derived(run, "patched_layers", compute, images=EXAMINED, layers=LAYERS)


def _layers_of_source(run: "Run", patches: xr.DataArray) -> xr.DataArray:
    images, model, axes = patches["image"], run.model, ("image", "feature")
    names = np.resize(patches["augmentation"].values, len(images))
    views = [run.views(*each) for each in zip(images.values, names[:, None], strict=True)]
    originals = np.stack([of_image[ORIGINAL] for of_image in views])
    pixels = np.stack([of_image[name] for of_image, name in zip(views, names, strict=True)])
    shares = patches.sel(image=images, augmentation=xr.DataArray(names, dims="image"))
    chosen = patching.choose_patches(
        shares.transpose("image", "row", "column").values.reshape(len(images), -1),
        np.array([_by_patch(*pair, model.grid) for pair in zip(originals, pixels, strict=True)]),
        seed=run.parameters.seed,
    )
    before, after = model.encode(originals).embedding, model.encode(pixels).embedding
    shift = xr.DataArray(after - before, dims=axes)
    layers = np.unique(np.linspace(0, model.layers - 1, LAYERS).round().astype(int))
    by_choice = {}
    for name, (step, parts) in _given(model, layers, chosen).items():
        left = model.encode_patched(pixels, np.roll(originals, step, axis=0), **parts) - before
        undone = patching.undone(xr.DataArray(left, dims=("layer", *axes)), shift)
        by_choice[name] = undone if len(images) > step else undone * np.nan
    coords = {"layer": layers, "image": images.values, "augmentation": ("image", names)}
    coords["source"] = ("image", images["source"].values)
    choices = xr.Variable("choice", list(by_choice))
    return xr.concat(by_choice.values(), choices).assign_coords(coords).astype(np.float32)


def _given(
    model: "Model", layers: np.ndarray, chosen: Mapping[str, np.ndarray]
) -> dict[str, tuple[int, dict[str, np.ndarray]]]:
    """Choice → how many images further the activations come from, and what is exchanged."""
    layer = np.eye(model.layers, dtype=bool)[layers][:, None]  # layers patched × 1 × layers
    parts = {
        "read": {"stream": layer, "tokens": model.read_tokens},
        "heads": {"heads": np.repeat(layer[..., None], model.heads, axis=-1)},
        "mlps": {"mlps": layer},
    }
    if model.read_tokens.all():
        parts.pop("read")  # all that there is
    before = ((0, 0), (model.tower.prefix, 0))
    positions = {
        name: {"stream": layer, "tokens": np.pad(patches, before)}
        for name, patches in chosen.items()
    }
    return (
        {name: (0, part) for name, part in parts.items()}
        | {f"{name} {patching.OF_ANOTHER}": (1, part) for name, part in parts.items()}
        | {name: (0, position) for name, position in positions.items()}
    )


def _by_patch(original: np.ndarray, changed: np.ndarray, grid: tuple[int, int]) -> list[float]:
    """Mean absolute difference of the pixels of every patch, row by row."""
    difference = np.abs(changed.astype(float) - original).mean(axis=-1)
    rows = np.array_split(difference, grid[0])
    return [each.mean() for row in rows for each in np.array_split(row, grid[1], axis=1)]
