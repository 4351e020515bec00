"""Activation patching and repair: what becomes of a shift when something is put back.

Patching a head gives it what it wrote for the original image. Three effects of that differ in what
may respond:

- *direct*: Δ loses the head's Δ_c, as the sum that an embedding is says, and nothing else changes;
- *direct path*: what the head writes to the tokens that the pool reads, the class token say, is
  exchanged in the forward pass, and later layers respond there;
- *total*: all that it writes is exchanged, so that other tokens carry the patch on, too. Where the
  pool reads every token, the last two are the same.

Heads are chosen on some images, and their effect is measured on others: otherwise heads that are
at the top by chance would seem to matter.

A repair is learned on half of the images and measured on the other half: how many more questions
are answered rightly after a change, and how many fewer without any. Each stands beside a control
that knows less.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import scipy
import xarray as xr

from helpers import ties
from helpers.analysis.dissection import along_shift
from helpers.analysis.statistics import (
    FALSE_DISCOVERY_RATE,
    false_discovery_rates,
    mean_with_interval,
)
from helpers.data.changes import ORIGINAL

OWN, OTHERS, GENERIC, RANDOM = "own", "others", "generic", "random"
CHOICES = {
    OWN: "this change's heads",
    OTHERS: "another change's",
    GENERIC: "ordinary differences'",
    RANDOM: "random heads",
}
"""What heads carry most of, in words."""
EFFECTS = ("direct", "direct path", "total")
PARTS = {"read": "residual stream, tokens read out", "heads": "all heads", "mlps": "all MLPs"}
"""What is patched of a layer, in words."""
POSITIONS = {
    "carrying": "patches that carry most",
    "changed": "patches whose pixels change most",
    "anywhere": "random patches",
}
"""Where the residual stream is patched, in words."""
OF_ANOTHER = "of another image"
PATCHES = 0.25  # of all, where the residual stream is patched
TOP_SHARE = 0.1  # of the heads are patched
DIRECTIONS = 4
"""How many directions are projected out."""
PLAIN = "no repair"
MEAN_SHIFT, OTHERS_MEAN = "change's mean shift", "another change's mean shift"
SHIFTS, DIFFERENCES = "directions of shifts", "directions between images"
SPECIFIC_HEADS, GENERIC_HEADS, RANDOM_HEADS = "specific heads", "generic heads", "random heads"
MILD = "mean of mild views"
CONTROL = {
    MEAN_SHIFT: OTHERS_MEAN,
    SHIFTS: DIFFERENCES,
    SPECIFIC_HEADS: GENERIC_HEADS,
    GENERIC_HEADS: RANDOM_HEADS,
    MILD: PLAIN,
}
"""Each repair, and the control that it has to surpass."""
REPAIR_CONFIDENCE = 1 - 0.05 / len(CONTROL)
"""Of an interval: those of all repairs hold together with at least 95 % (Bonferroni)."""


# Patching


def split(images: int, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the images on which effects are measured; the others choose the heads.

    Parameters
    ----------
    images : int
        How many there are.
    most : int
        Largest number to measure on; never more than half of the images.
    seed : int

    Returns
    -------
    choosing, measuring : ndarray of int
        Positions, sorted, with none in common. A single image is in both: its heads are chosen on
        itself, and its effects are no test.
    """
    if images == 1:
        return np.zeros(1, int), np.zeros(1, int)
    order = np.random.default_rng(seed).permutation(images)
    count = min(most, images // 2)
    return np.sort(order[count:]), np.sort(order[:count])


def top_count(heads: int) -> int:
    """Return how many heads the top 10 % are, rounded up."""
    return int(np.ceil(TOP_SHARE * heads))


def choose_heads(
    choosing: xr.DataArray, reference: xr.DataArray, images: int, *, draws: int, seed: int
) -> xr.DataArray:
    """Choose heads to patch under every change: (choice, image, augmentation, layer, head)."""
    mean = choosing.mean("image").transpose("augmentation", "layer", "head")
    changes, heads = mean.sizes["augmentation"], mean[0].size
    count = top_count(heads)
    largest = _largest(mean.values.reshape(changes, heads), count)  # changes × heads
    chosen = [(OWN, np.broadcast_to(largest, (images, changes, heads)))]
    if changes > 1:
        chosen += [(OTHERS, _of_others(largest, images, draws, each)) for each in range(draws)]
    if not np.isnan(reference).any():
        generic = _largest(reference.transpose("layer", "head").values.ravel(), count)
        chosen += [(GENERIC, np.broadcast_to(generic, (images, changes, heads)))]
    rng, first = np.random.default_rng(seed), np.arange(heads) < count
    every = np.broadcast_to(first, (images, changes, heads))
    chosen += [(RANDOM, rng.permuted(every, axis=-1)) for _ in range(draws)]
    names, values = zip(*chosen, strict=True)
    return xr.DataArray(
        np.reshape(values, (len(values), images, *mean.shape)),
        dims=("choice", "image", *mean.dims),
        coords={"choice": list(names), "augmentation": mean["augmentation"].values},
    )


def choose_patches(
    shares: np.ndarray, difference: np.ndarray, *, seed: int
) -> dict[str, np.ndarray]:
    """Choose a quarter of each image's patches in the ways of `POSITIONS`: (images, patches) each.

    By what they carry of the shift, by how much their pixels change, and at random.
    """
    count = int(np.ceil(PATCHES * shares.shape[1]))
    first = np.broadcast_to(np.arange(shares.shape[1]) < count, shares.shape)
    drawn = np.random.default_rng(seed).permuted(first, axis=1)
    chosen = [_largest(values, count) for values in (shares, difference)]
    return dict(zip(POSITIONS, [*chosen, drawn], strict=True))


def layer_table(undone: xr.DataArray) -> pd.DataFrame:
    """Average what patching undoes at each layer, with intervals over images.

    Parameters
    ----------
    undone : DataArray, (choice, layer, image)
        Of one source; see `helpers.runs.derived.patching.patched_layers`.

    Returns
    -------
    DataFrame
        Columns `choice`, `layer`, `mean`, `low` and `high`.
    """
    tables = {
        choice: mean_with_interval(
            undone.sel(choice=choice, drop=True).transpose("image", "layer").values
        ).set_axis(undone["layer"].values)
        for choice in undone["choice"].values
    }
    table = pd.concat(tables, names=["choice", "layer"]).reset_index()
    return table[["choice", "layer", "mean", "low", "high"]]


def _largest(shares: np.ndarray, count: int) -> np.ndarray:
    return np.argsort(ties.largest_first(shares), axis=-1) < count


def _of_others(largest: np.ndarray, images: int, draws: int, draw: int) -> np.ndarray:
    """Give each image the heads of another change, all others in turn."""
    changes = len(largest)
    steps = 1 + (np.arange(images) * draws + draw) % (changes - 1)
    return largest[(np.arange(changes) + steps[:, None]) % changes]


def removed(left: xr.DataArray, shift: xr.DataArray, original: xr.DataArray) -> xr.DataArray:
    """Say what share of a shift patching took away.

    Parameters
    ----------
    left : DataArray, (…, image, feature)
        What is left of the shift, Δ', in the units of the embedding.
    shift, original : DataArray, (image, feature)
        Δ without patching, and the originals' embeddings, which say how short a shift is none.

    Returns
    -------
    DataArray, (…, image)
        1 - ⟨Δ', Δ⟩ / ‖Δ‖², which for the direct effect is the sum of the patched heads' shares; 0
        where there is no shift.
    """
    left, shift, original = xr.broadcast(left, shift, original)
    axes = [name for name in left.dims if name != "feature"]
    sides = [side.transpose(*axes, "feature").values for side in (left, shift, original)]
    share = along_shift((sides[1] - sides[0])[..., None, :], *sides[1:])[..., 0]
    return left.isel(feature=0, drop=True).transpose(*axes).copy(data=share)


def undone(left: xr.DataArray, shift: xr.DataArray) -> xr.DataArray:
    """Say which part of the way back to the original an embedding goes.

    Parameters
    ----------
    left, shift : DataArray, (…, feature)
        What is left of the shift, Δ', and the shift Δ, in the units of the embedding.

    Returns
    -------
    DataArray, (…)
        1 - ‖Δ'‖ / ‖Δ‖: 1 at the original, below 0 further away than without patching; 0 where there
        is no shift.
    """
    before, after = (np.sqrt(np.square(side).sum("feature")) for side in (shift, left))
    return (1 - after / before.where(before > 0)).fillna(0)


def effect_table(removed: xr.DataArray) -> pd.DataFrame:
    """Average effects over images, with intervals.

    Parameters
    ----------
    removed : DataArray, (effect, choice, image, augmentation)
        As `removed` says; of one source.

    Returns
    -------
    DataFrame
        Columns `mean`, `low`, `high`, `sd` and `n`, indexed by `effect`, `choice` and
        `augmentation`.
    """
    tables = {
        (effect, choice): mean_with_interval(removed.sel(effect=effect, choice=choice, drop=True))
        for effect in removed["effect"].values
        for choice in removed["choice"].values
    }
    return pd.concat(tables, names=["effect", "choice", "augmentation"])


def beyond(removed: xr.DataArray) -> pd.DataFrame:
    """Test where a change's own heads remove more than heads that were chosen otherwise.

    One-sided t tests over images, paired. The false discovery rate is held over all changes and
    choices (Benjamini and Hochberg).

    Parameters
    ----------
    removed : DataArray, (effect, choice, image, augmentation)
        As for `effect_table`.

    Returns
    -------
    DataFrame
        Indexed by `choice` (all but the own) and `augmentation`: `mean`, `low`, `high` of own less
        chosen, `q`, and `more`: q of at most 5 %. No q, and none is more, below three images.
    """
    values = removed.sel(effect=EFFECTS[-1], drop=True).transpose("choice", "image", "augmentation")
    others = [choice for choice in values["choice"].values if choice != OWN]
    differences = {
        choice: values.sel(choice=OWN, drop=True) - values.sel(choice=choice, drop=True)
        for choice in others
    }
    table = pd.concat(
        {choice: mean_with_interval(difference) for choice, difference in differences.items()},
        names=["choice", "augmentation"],
    )[["mean", "low", "high"]]
    p = np.concatenate([_p_of_more(difference.values) for difference in differences.values()])
    q = false_discovery_rates(p)
    return table.assign(q=q, more=q <= FALSE_DISCOVERY_RATE)


def _p_of_more(differences: np.ndarray) -> np.ndarray:
    """Test that means over images, (images, augmentations), are above 0."""
    if len(differences) < 3:
        return np.full(differences.shape[1], np.nan)
    varies = np.ptp(differences, axis=0) > 0
    p = (differences.mean(axis=0) <= 0).astype(float)
    p[varies] = scipy.stats.ttest_1samp(differences[:, varies], 0, alternative="greater").pvalue
    return p


# Repair


def repaired(learning: xr.DataArray, measuring: xr.DataArray) -> xr.DataArray:
    """Repair embeddings by what was learned on others, without a forward pass.

    Of shape (repair, choice, image, view, feature).
    """
    names = [name for name in measuring["view"].values if name != ORIGINAL]
    before = learning.sel(view=ORIGINAL)
    shifts = (learning.sel(view=names) - before.drop_vars("view")).mean("image").values
    pooled = (learning.sel(view=names) - before.drop_vars("view")).transpose("image", "view", ...)
    plain = measuring.sel(view=[ORIGINAL, *names]).transpose("image", "view", "feature")
    values = plain.values.astype(np.float64)
    centre = before.values.astype(np.float64).mean(axis=0)
    unit = pooled.values.reshape(-1, pooled.shape[-1]).astype(np.float64)
    lengths = np.linalg.norm(unit, axis=1, keepdims=True)
    unit = unit / np.where(lengths > 0, lengths, 1)
    choices = range(len(names))
    following = np.roll(shifts, -1, axis=0)
    result = {
        PLAIN: [values for _ in choices],
        MEAN_SHIFT: [_subtracted(values, shifts, shifts[n]) for n in choices],
        OTHERS_MEAN: [_subtracted(values, following, following[n]) for n in choices],
        SHIFTS: [_projected(values, unit, centre) for _ in choices],
        DIFFERENCES: [_projected(values, before.values - centre, centre) for _ in choices],
    }
    return xr.DataArray(
        np.stack([np.stack(parts) for parts in result.values()]),
        dims=("repair", "choice", *plain.dims),
        coords={"repair": list(result), "image": plain["image"], "view": plain["view"]},
    )


def _subtracted(values: np.ndarray, shifts: np.ndarray, suspected: np.ndarray) -> np.ndarray:
    return values - np.concatenate([suspected[None], shifts])


def _projected(values: np.ndarray, rows: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Take the leading directions of rows out of what differs from a centre."""
    directions = np.linalg.svd(rows, full_matrices=False)[2][:DIRECTIONS]
    return values - (values - centre) @ directions.T @ directions


def repair_gains(right: xr.DataArray, *, seed: int = 0) -> pd.DataFrame:
    """Say what repairs gain on changed images, and cost on clean ones.

    Parameters
    ----------
    right : DataArray, (repair, image, view, property)
        1 where the answer is right, 0 where wrong, NaN where nothing is asked, of one source; mean
        over choices. With `PLAIN`.
    seed : int
        Of the resamples.

    Returns
    -------
    DataFrame
        A row per repair, `PLAIN` first: ``changed`` and ``clean``, the accuracies; `gain` and
        `gain_low`, `gain_high`, on changed images, beyond no repair; `cost`, …, likewise on clean
        ones, below 0 where answers are lost; `beyond`, …, what the gain has beyond that of the
        control; `helps`: gain and beyond are surely above 0; NaN where there is no control.
    """
    by_image = right.mean("property")
    changed = by_image.drop_sel(view=ORIGINAL).mean("view").to_pandas().T
    clean = by_image.sel(view=ORIGINAL).to_pandas().T
    known = changed.notna().all(axis=1)
    changed, clean = changed[known], clean[known]
    against = pd.DataFrame({n: changed[CONTROL.get(n, PLAIN)] for n in changed.columns})
    measures = {
        "gain": changed.sub(changed[PLAIN], axis=0),
        "cost": clean.sub(clean[PLAIN], axis=0),
        "beyond": changed - against,
    }
    table = pd.DataFrame({"changed": changed.mean(), "clean": clean.mean()})
    for name, measure in measures.items():
        summary = mean_with_interval(measure, confidence=REPAIR_CONFIDENCE, seed=seed)
        table[[name, f"{name}_low", f"{name}_high"]] = summary[["mean", "low", "high"]]
    table["helps"] = (table["gain_low"] > 0) & (table["beyond_low"] > 0)
    table["helps"] &= table.index.isin(list(CONTROL))
    order = [PLAIN, *(name for pair in CONTROL.items() for name in pair)]
    return table.loc[[name for name in dict.fromkeys(order) if name in table.index]]


def gains_by_change(right: xr.DataArray) -> pd.DataFrame:
    """Return what each repair gains under each change, repairs × changes."""
    changed = right.mean("property").drop_sel(view=ORIGINAL).mean("image").to_pandas()
    return changed.sub(changed.loc[PLAIN]).drop(index=PLAIN)


def helping_repairs(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """List the repairs that help on every source that was asked anything."""
    helping = [set(table.index[table["helps"]]) for table in tables.values()]
    return [name for name in CONTROL if helping and all(name in names for names in helping)]


def with_known_shift(embeddings: xr.DataArray) -> xr.DataArray:
    """Replace changes by one that a repair must undo: every image moves by the same known shift.

    Of shape (image, view, feature).
    """
    before = embeddings.sel(view=ORIGINAL, drop=True)
    shifts = (embeddings - before).mean("image")
    return (before + 2 * shifts).transpose(*embeddings.dims)
