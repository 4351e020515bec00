"""Several models side by side: how far they are moved, at which depth, and by which heads.

Models differ in width, depth and number of heads, so they are compared by augmentation or by depth
as a part of the whole. Head by head makes sense only between states of one training: elsewhere the
number of a head means nothing.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from helpers.analysis import ties
from helpers.analysis.dissection import POOL
from helpers.analysis.head_names import is_head
from helpers.analysis.statistics import correlate_scores, resample_counts
from helpers.checks import WorkbookError

TAILS = (0.025, 0.975)
ONE_DIRECTION = 1e-9
"""Images whose mean cosine distance is below this have one direction, up to rounding."""
LAYER = re.compile(r"L(\d+)\.")
TOGETHER = "together"
REST = ("rest", "")
QUARTERS = ("first", "second", "third", "last")


def head_components(shares: xr.DataArray) -> xr.DataArray:
    """Keep the heads of an account of shifts.

    Parameters
    ----------
    shares : DataArray, (…, component)
        As of `helpers.analysis.dissection.shares`.

    Returns
    -------
    DataArray, (…, component)
        The components ``L0.H0``, ``L0.H1``, …
    """
    return shares.isel(component=[is_head(name) for name in _labels(shares)])


def relative_shift(
    similarity: xr.DataArray, originals: xr.DataArray, *, n_resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Mean cosine distance of each shift, in units of that between two different images.

    A model that gives all images nearly the same embedding has a high similarity under every
    augmentation, and is no more robust for it. This measure takes that into account: 1 is as far
    as another image.

    Parameters
    ----------
    similarity : DataArray, (image, augmentation)
        Embedding similarity.
    originals : DataArray, (image, feature)
        Embeddings of the original images.
    n_resamples, seed : int
        Number of bootstrap resamples of the images, and their seed.

    Returns
    -------
    DataFrame
        By augmentation: `mean`, `low`, `high` (95 %). NaN for a single image, which has no other
        to compare with, or where all originals have one direction; no interval where a resample of
        a few images holds one image alone.
    """
    shift = 1 - similarity.transpose("image", "augmentation").to_numpy().astype(np.float64)
    units = originals.transpose("image", "feature").to_numpy().astype(np.float64)
    units = units / np.linalg.norm(units, axis=1, keepdims=True)
    counts = resample_counts(len(units), n_resamples, seed)
    estimate = _relative(np.ones((1, len(units))), shift, units)[0]
    # A resample of few images may hold one image alone, which is apart from no other. It leaves no
    # interval: one over the other resamples would be too narrow.
    low, high = np.quantile(_relative(counts, shift, units), TAILS, axis=0)
    index = pd.Index(similarity["augmentation"].values, name="augmentation")
    return pd.DataFrame({"mean": estimate, "low": low, "high": high}, index=index)


def share_up_to_depth(shares: xr.DataArray) -> xr.DataArray:
    """Sum mean shares from the first layer to the last.

    Parameters
    ----------
    shares : DataArray, (image, augmentation, component)
        As of `helpers.analysis.dissection.shares`.

    Returns
    -------
    DataArray, (augmentation, depth)
        Share of the shift that the class token at the start and all layers up to a depth carry;
        `depth` is the part of the layers, from 0 (before the first) to 1. A pool's own MLP, which
        reads what the last layer leaves, counts as one more layer. The constant, which no image
        changes, is left out.
    """
    means = shares.mean("image").transpose("augmentation", "component")
    layers = _number_of_layers(_labels(shares))
    layer = np.array([_layer_of(name, layers) for name in _labels(shares)])
    last = int(layer.max())
    by_layer = [means.values[:, layer == at].sum(axis=1) for at in range(-1, last + 1)]
    return xr.DataArray(
        np.cumsum(by_layer, axis=0).T,
        dims=("augmentation", "depth"),
        coords={
            "augmentation": shares["augmentation"].values,
            "depth": np.arange(last + 2) / (last + 1),
        },
    )


def shares_by_half(shares: xr.DataArray) -> pd.DataFrame:
    """Add up mean shares by kind of part and half of the depth.

    Parameters
    ----------
    shares : DataArray, (image, augmentation, component)
        As of `helpers.analysis.dissection.shares`.

    Returns
    -------
    DataFrame
        By augmentation: ``heads, first half``, ``heads, second half``, ``MLPs, first half``,
        ``MLPs, second half``, ``pool`` where that has an MLP of its own, and ``rest``. A middle
        layer belongs to the first half.
    """
    means = shares.mean("image").transpose("augmentation", "component").to_pandas()
    parts = _by_kind_and_part(means, ("first half", "second half"))
    return parts.set_axis([", ".join(filter(None, name)) for name in parts.columns], axis=1)


def shares_by_quarter(shares: xr.DataArray) -> pd.Series:
    """Add up shares by kind of part and quarter of the depth, mean over images and augmentations.

    Parameters
    ----------
    shares : DataArray, (image, augmentation, component)
        As of `helpers.analysis.dissection.shares`.

    Returns
    -------
    Series
        By `kind` (``heads``, ``MLPs``, ``pool`` where that has an MLP of its own, and ``rest``) and
        `quarter`, "" for the last two. A layer belongs to the quarter that it begins in.
    """
    means = shares.mean("image").transpose("augmentation", "component").to_pandas()
    found = _by_kind_and_part(means, QUARTERS).mean()
    return found.rename_axis(["kind", "quarter"])


def depth_of_half(up_to_depth: xr.DataArray) -> pd.Series:
    """Find the depth by which half of the shift has been written.

    Parameters
    ----------
    up_to_depth : DataArray, (augmentation, depth)
        Result of `share_up_to_depth`.

    Returns
    -------
    Series
        By augmentation: the first crossing of 0.5, interpolated between layers; NaN where there
        is none, as without a shift.
    """
    depth = up_to_depth["depth"].values
    rows = up_to_depth.transpose("augmentation", "depth").to_series().unstack("depth")
    return rows.apply(lambda row: _first_at_half(row.to_numpy(), depth), axis=1)


def heads_for_half(shares: xr.DataArray) -> pd.Series:
    """Say how few heads carry half of what all heads carry of a mean shift.

    Parameters
    ----------
    shares : DataArray, (image, augmentation, component)
        As of `helpers.analysis.dissection.shares`.

    Returns
    -------
    Series
        By augmentation: that number as a part of all heads, up to 0.5 for equal shares; NaN where
        heads carry nothing together.
    """
    means = head_components(shares).mean("image").transpose("augmentation", "component")
    ranked = -np.sort(-means.values, axis=1)
    total = ranked.sum(axis=1, keepdims=True)
    needed = 1 + (np.cumsum(ranked, axis=1) >= (0.5 - ties.TOLERANCE) * total).argmax(axis=1)
    part = np.where(total[:, 0] > 0, needed / ranked.shape[1], np.nan)
    return pd.Series(part, index=pd.Index(means["augmentation"].values, name="augmentation"))


def profile_correlation(
    first: xr.DataArray, second: xr.DataArray, *, n_resamples: int = 500, seed: int = 0
) -> pd.DataFrame:
    """Ask whether the same heads carry a shift in two accounts of the same images.

    Parameters
    ----------
    first, second : DataArray, (image, augmentation, component)
        Shares of the same images, augmentations and components, such as at two severities or of
        two states of a training.
    n_resamples, seed : int
        Number of bootstrap resamples of the images, and their seed.

    Returns
    -------
    DataFrame
        By augmentation: `estimate`, Spearman's correlation over heads of the mean shares, with the
        95 % interval `low` to `high` (NaN for one image). NaN where an account has no shift.

    Raises
    ------
    WorkbookError
        If the two are of other images, augmentations or heads.
    """
    rows = _paired_heads(first, second)
    counts = resample_counts(rows[0].shape[0], n_resamples, seed)
    estimate = _profile_correlation(*(each.mean(axis=0) for each in rows))
    resampled = _profile_correlation(
        *(np.tensordot(counts / counts.shape[1], each, axes=1) for each in rows)
    )
    known = 1 if counts.shape[1] > 1 else np.nan
    low, high = known * np.quantile(resampled, TAILS, axis=0)
    index = pd.Index(first["augmentation"].values, name="augmentation")
    return pd.DataFrame({"estimate": estimate, "low": low, "high": high}, index=index)


def correlation_by_layer_alone(
    first: xr.DataArray, second: xr.DataArray, *, n_permutations: int = 200, seed: int = 0
) -> pd.Series:
    """Correlate head profiles when heads are exchanged at random within their layers.

    What remains is due to the layers. `profile_correlation` is evidence of the same heads only
    above this.

    Parameters
    ----------
    first, second : DataArray, (image, augmentation, component)
        As for `profile_correlation`.
    n_permutations, seed : int
        Number of random exchanges, and their seed.

    Returns
    -------
    Series
        By augmentation, the mean over exchanges.

    Raises
    ------
    WorkbookError
        As for `profile_correlation`.
    """
    means = [each.mean(axis=0) for each in _paired_heads(first, second)]
    names = list(_labels(head_components(second)))
    layer = np.array([_layer_of(name, _number_of_layers(names)) for name in names])
    rng = np.random.default_rng(seed)
    # Heads come sorted by layer; this sorts them by layer and, within it, by chance.
    orders = np.stack([np.lexsort((rng.random(len(layer)), layer)) for _ in range(n_permutations)])
    exchanged = means[1][:, orders].swapaxes(0, 1)  # permutations × augmentations × heads
    found = _profile_correlation(means[0][None], exchanged).mean(axis=0)
    return pd.Series(found, index=pd.Index(first["augmentation"].values, name="augmentation"))


def rank_correlations(
    similarities: Mapping[str, xr.DataArray], *, n_resamples: int = 500, seed: int = 0
) -> xr.Dataset:
    """Ask whether models put augmentations in the same order.

    Parameters
    ----------
    similarities : mapping of str to DataArray, (image, augmentation)
        Model → embedding similarity of the same images.
    n_resamples, seed : int
        Number of bootstrap resamples of the images, and their seed.

    Returns
    -------
    Dataset
        `estimate`, `low`, `high` (score, other) over models, and `n`, as of
        `helpers.analysis.statistics.correlate_scores`: Spearman's correlation across the
        augmentations' means. A model alone agrees with itself.
    """
    if len(similarities) == 1:
        (model, own) = next(iter(similarities.items()))
        axes = ("score", "other")
        values = {"estimate": [[1.0]], "low": [[np.nan]], "high": [[np.nan]]}
        matrices = {name: (axes, value) for name, value in values.items()}
        coords = {axis: [model] for axis in axes}
        return xr.Dataset(matrices | {"n": own.sizes["augmentation"]}, coords=coords)
    scores = xr.Dataset(dict(similarities))
    return correlate_scores(scores, across="means", n_resamples=n_resamples, seed=seed)


def explained_order(
    moved: pd.Series, baselines: Mapping[str, pd.Series], *, draws: int = 5000, seed: int = 0
) -> pd.DataFrame:
    """Say how much of an order of augmentations other orders explain.

    Ranks are regressed on ranks, with an intercept, by least squares. With nine augmentations even
    random orders explain some: one explains 1/8 of another on average, and two 2/8.

    Parameters
    ----------
    moved : Series
        By augmentation, how far it moves a model; tied values (`helpers.analysis.ties`) share a
        rank.
    baselines : mapping of str to Series
        Name → the same of what might explain it, such as pixel change and an untrained network.
    draws, seed : int
        Number of random orders, and their seed.

    Returns
    -------
    DataFrame
        A row per baseline and a last one, `TOGETHER`: `explained`, the share of the ranks'
        variance (R²); `chance`, that of random orders on average; `p`, the share of random orders,
        the data counted in, that are explained as well.
    """
    ranks = _centred_ranks(moved)
    others = np.stack([_centred_ranks(own[moved.index]) for own in baselines.values()])
    rng = np.random.default_rng(seed)
    random = rng.permuted(np.tile(ranks, (draws, 1)), axis=1)
    sets = {name: others[[at]] for at, name in enumerate(baselines)} | {TOGETHER: others}
    rows = {}
    for name, own in sets.items():
        found, by_chance = (_explained(side, own) for side in (ranks[None], random))
        p = (1 + (by_chance >= found - 1e-12).sum()) / (1 + draws)
        rows[name] = {"explained": float(found[0]), "chance": float(by_chance.mean()), "p": p}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("order")


def _centred_ranks(values: pd.Series) -> np.ndarray:
    ranks = stats.rankdata(ties.merged(values.to_numpy(np.float64)))
    return ranks - ranks.mean()


def _explained(ranks: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Share of the variance of each row that lies in the span of `by`; NaN where none varies."""
    basis, sizes, _ = np.linalg.svd(by.T, full_matrices=False)
    basis = basis[:, sizes > 1e-9 * max(sizes.max(), 1)]
    total = np.square(ranks).sum(axis=1)
    return np.square(ranks @ basis).sum(axis=1) / np.where(total > 0, total, np.nan)


def label_agreement(first: xr.DataArray, second: xr.DataArray) -> tuple[float, float]:
    """Count heads that have the same label in two models of the same heads.

    Parameters
    ----------
    first, second : DataArray of str, (layer, head)
        Properties, as of `helpers.analysis.labels.read_heads`.

    Returns
    -------
    agreement : float
        Share of heads with the same label.
    chance : float
        Its expectation when the labels of one model are shuffled among its heads.

    Raises
    ------
    WorkbookError
        If the models have other layers or heads.
    """
    if first.sizes != second.sizes:
        raise WorkbookError(
            f"Labels of {dict(first.sizes)} and {dict(second.sizes)} can't be compared head by"
            " head; both models must have the same layers and heads."
        )
    names = np.unique(np.concatenate([first.values.ravel(), second.values.ravel()]).astype(str))
    shares = [[np.mean(each.values == name) for name in names] for each in (first, second)]
    return float(np.mean(first.values == second.values)), float(np.dot(*shares))


def _relative(counts: np.ndarray, shift: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Relative shifts (resamples, augmentations); pairs of one image with itself don't count."""
    same = np.square(counts).sum(axis=1)
    together = np.square(counts @ units).sum(axis=1) - same
    pairs = np.square(counts.sum(axis=1)) - same
    apart = 1 - together / np.where(pairs > 0, pairs, np.nan)
    apart = np.where(apart > ONE_DIRECTION, apart, np.nan)
    return counts @ shift / counts.sum(axis=1, keepdims=True) / apart[:, None]


def _first_at_half(row: np.ndarray, depth: np.ndarray) -> float:
    if row.max() < 0.5:
        return np.nan
    after = int((row >= 0.5).argmax())
    around = slice(max(after - 1, 0), after + 1)
    return float(np.interp(0.5, row[around], depth[around]))


def _paired_heads(first: xr.DataArray, second: xr.DataArray) -> list[np.ndarray]:
    """Head shares of both, (images, augmentations, heads) float64."""
    sides = [head_components(each) for each in (first, second)]
    for axis in ("image", "augmentation", "component"):
        if not np.array_equal(sides[0][axis], sides[1][axis]):
            raise WorkbookError(
                f"Two accounts with {sides[0].sizes[axis]} and {sides[1].sizes[axis]} entries of"
                f" {axis} can't be compared head by head; both must be of the same images,"
                " augmentations and heads."
            )
    axes = ("image", "augmentation", "component")
    return [each.transpose(*axes).to_numpy().astype(np.float64) for each in sides]


def _profile_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's correlation over the last axis; NaN where a side doesn't vary."""
    ranks = [stats.rankdata(each, axis=-1) for each in (first, second)]
    centred = [each - each.mean(axis=-1, keepdims=True) for each in ranks]
    lengths = [np.linalg.norm(each, axis=-1) for each in centred]
    with np.errstate(invalid="ignore"):
        return (centred[0] * centred[1]).sum(axis=-1) / (lengths[0] * lengths[1])


def _labels(shares: xr.DataArray) -> Iterable[str]:
    return shares["component"].values


def _number_of_layers(components: Iterable[str]) -> int:
    return 1 + max(int(found[1]) for found in map(LAYER.match, components) if found)


def _layer_of(component: str, layers: int) -> int:
    """Layer of a component; -1 for what enters the first, and -2 for the constant."""
    found = LAYER.match(component)
    return int(found[1]) if found else {"class token": -1, POOL: layers}.get(component, -2)


def _by_kind_and_part(means: pd.DataFrame, parts: Sequence[str]) -> pd.DataFrame:
    """Add up shares (…, components) by kind and equal parts of the depth, the first parts first."""
    layers = _number_of_layers(means.columns)
    groups = [_group_of(component, layers, parts) for component in means.columns]
    order = [*((kind, part) for kind in ("heads", "MLPs") for part in parts), (POOL, ""), REST]
    index = pd.MultiIndex.from_tuples(groups)
    return (
        means.T.set_axis(index)
        .groupby(level=[0, 1])
        .sum()
        .T[[group for group in order if group in groups]]
    )


def _group_of(component: str, layers: int, parts: Sequence[str]) -> tuple[str, str]:
    if component == POOL:
        return POOL, ""
    kind = "heads" if is_head(component) else "MLPs" if component.endswith("MLP") else None
    if kind is None:
        return REST
    return kind, parts[len(parts) * _layer_of(component, layers) // layers]
