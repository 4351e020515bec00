"""How clear the roles of attention heads are, and whether answers need those that are clear.

The source (Madasu et al. 2024, arXiv 2409.06579) labels each head with a property and scores a
model by two ideas, property consistency within a head and disentanglement across heads, without
formulas in its abstract. The definitions here are this workbook's own operational ones:

- the *association* of a head is the share of its first `TOP` texts that belong to its property: the
  *concept consistency score* (CCS) of the same authors' sequel (arXiv 2503.11103), which counts how
  many of a head's five texts a judge matches to its label, divided by five, with the pool as the
  judge. *CCS@K* is the share of a model's heads with a score of K;
- its *clarity* is the share of the head's variance that the texts of its property explain;
- the *overlap* of a model is the mean, over pairs of heads, of the share of first texts that two
  heads have in common;
- its *heads per property* is the number of heads divided by the number of different properties that
  they have.

The last two say how entangled a model is: 0 and 1 would be a text, and a property, for every head.

Pruning repeats the sequel's experiment: heads of a high consistency score against heads of a low
one, and as many at random. Here a head is mean-ablated in the sum that an embedding is, over the
images of a source, and nothing else responds. What counts of heads by published label can say is
bounded by what they count: labels that were given in free text, one a head, and the heads that the
authors list for a property. They are no score of a model.

A head's *card* joins what is found in different ways, so that a reader can see where these
disagree: the texts that TEXTSPAN chose, the images in which the head says the first of them most,
what the head varies with, which zero-shot answers it sways, and how much of each augmentation's
shift it carries.
"""

from collections.abc import Callable, Sequence
from math import comb

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from helpers.analysis.labels import (
    TOP,
    UNKNOWN,
    readings_of,
    textspan,
    textspan_resampled,
    with_properties,
    written_labels,
)
from helpers.analysis.proximity import nearest, normalised
from helpers.analysis.statistics import (
    TAILS,
    false_discovery_rates,
    resample_counts,
    share_with_interval,
)
from helpers.checks import WorkbookError
from helpers.ties import first_largest

POOLS_DRAWN = 5
"""Of each kind of `POOLS_BY_CHANCE`."""
RESAMPLES = 60
SHUFFLES = 200
DRAWS = 2000
"""How often texts are drawn from the pool in place of a head's own."""
POOLS_BY_CHANCE = ("random mixtures of the texts", "random directions")
"""Pools that mean nothing; see `explained_by_chance`."""
HIGH, LOW, RANDOM = "consistent heads", "inconsistent heads", "random heads"
ALL = "all of these heads"
"""What answers would lose with all heads: a positive control."""
PRUNED_SHARE = 0.5
"""Of the heads are pruned."""
PRUNING_DRAWS = 100
TEXTS = 5
IMAGES = 4


# How clear roles are


def explained_by_chance(
    contributions: xr.DataArray, texts: xr.DataArray, k: int, rank: int | None = None
) -> xr.DataArray:
    """Explain heads' variance by directions that mean nothing, chosen as texts are.

    TEXTSPAN picks the best of a pool, again and again, and so explains much of anything. A pool of
    as many random mixtures of the texts lies in the same few dimensions as these; one of random
    directions lies anywhere.

    Parameters
    ----------
    contributions, texts, k, rank
        As for `read_heads`.

    Returns
    -------
    DataArray, (pool, draw, layer, head, choice)
        Share of each head's variance that each chosen direction explains; pools are named by
        `POOLS_BY_CHANCE`.
    """
    heads = contributions.transpose("layer", "head", "image", "feature")
    pool = texts.transpose("text", "feature").values
    rng = np.random.default_rng(0)
    k = min(k, len(pool))
    shapes = ((len(pool), len(pool)), pool.shape)
    result = []
    for shape, basis in zip(shapes, (pool - pool.mean(axis=0), None), strict=True):
        draws = (rng.normal(size=shape) for _ in range(POOLS_DRAWN))
        pools = (draw if basis is None else draw @ basis for draw in draws)
        result.append(
            [textspan(heads.values, normalised(each), k, rank).explained for each in pools]
        )
    coords = {"pool": list(POOLS_BY_CHANCE), "layer": heads["layer"], "head": heads["head"]}
    axes = ("pool", "draw", "layer", "head", "choice")
    return xr.DataArray(np.array(result), coords | {"choice": np.arange(1, k + 1)}, axes)


def resampled_heads(
    contributions: xr.DataArray, texts: xr.DataArray, rank: int | None = None
) -> xr.Dataset:
    """Read heads anew for bootstrap resamples of the images."""
    heads = contributions.transpose("layer", "head", "image", "feature")
    counts = resample_counts(heads.sizes["image"], RESAMPLES)
    k, pool = min(TOP, texts.sizes["text"]), texts.transpose("text", "feature").values
    span = textspan_resampled(heads.values, pool, counts, k, rank)
    return readings_of(span, heads, texts)


def head_scores(readings: xr.Dataset) -> xr.Dataset:
    """Score how clearly the heads of a model have roles, and roles of their own.

    Parameters
    ----------
    readings : Dataset
        Result of `read_heads` or `resampled_heads`.

    Returns
    -------
    Dataset
        ``clarity`` and ``association``, means over heads; ``overlap``; ``heads_per_property``.
        Scalars, or one per resample. NaN where no head varies, and overlap where there is one head.
    """
    flat = readings.stack(unit=("layer", "head")).isel(choice=slice(TOP))
    extra = [dim for dim in flat["property"].dims if dim != "unit"]
    return xr.Dataset(
        {
            "clarity": flat["clarity"].mean("unit"),
            "association": flat["association"].mean("unit"),
            "overlap": _over_units(_overlap, flat["text"], ["unit", "choice"], extra),
            "heads_per_property": _over_units(_per_property, flat["property"], ["unit"], extra),
        }
    )


def chance_scores(readings: xr.Dataset, properties: Sequence[str]) -> xr.Dataset:
    """Score heads whose texts have nothing to do with them.

    Parameters
    ----------
    readings : Dataset
        Result of `read_heads`.
    properties : sequence of str
        Property of each text of the pool. They are shuffled among the texts; for overlap every
        head draws its texts at random.

    Returns
    -------
    Dataset
        As of `head_scores`, with an axis ``draw``, and ``of_heads`` (draw, layer, head), the
        association of each head with shuffled properties.
    """
    rng = np.random.default_rng(0)
    first = readings[["text", "explained"]].isel(choice=slice(TOP))
    shuffles = [rng.permutation(np.asarray(properties, dtype=object)) for _ in range(SHUFFLES)]
    shuffled = xr.concat([with_properties(first, each) for each in shuffles], dim="draw")
    order = rng.random((SHUFFLES, *first["text"].shape[:-1], len(properties))).argsort(axis=-1)
    drawn = shuffled.assign(text=shuffled["text"].copy(data=order[..., : first.sizes["choice"]]))
    of_properties, of_texts = head_scores(shuffled), head_scores(drawn)
    return of_properties.assign(overlap=of_texts["overlap"], of_heads=shuffled["association"])


def consistency_at(readings: xr.Dataset) -> pd.Series:
    """Count the heads with each concept consistency score: CCS@K.

    Parameters
    ----------
    readings : Dataset
        Result of `read_heads`.

    Returns
    -------
    pandas.Series
        K, from 0 to the number of texts that it is read from → share of the heads that vary.
    """
    texts = min(TOP, readings.sizes["choice"])
    scores = np.rint(texts * readings["association"].values.ravel())
    scores = scores[~np.isnan(scores)]
    shares = [(scores == count).sum() / max(len(scores), 1) for count in range(texts + 1)]
    return pd.Series(shares, index=pd.RangeIndex(texts + 1, name="K"))


def association_tests(readings: xr.Dataset, properties: Sequence[str]) -> pd.DataFrame:
    """Test for each head whether its texts agree on a property more than random texts do.

    Parameters
    ----------
    readings : Dataset
        Result of `read_heads`.
    properties : sequence of str
        Property of each text of the pool.

    Returns
    -------
    pandas.DataFrame
        A row per head (layer, head): `association`; `p`, the share of draws (and the texts as they
        are) with as high an association; and `q`, the false discovery rate at which the head would
        be found (Benjamini and Hochberg 1995). NaN for a head that doesn't vary.
    """
    first = readings[["explained"]].isel(choice=slice(TOP))
    keys = np.random.default_rng(0).random((DRAWS, len(properties)))
    drawn = keys.argsort(axis=1)[:, : first.sizes["choice"]]
    texts = xr.DataArray(drawn, dims=("draw", "choice")).broadcast_like(first["explained"])
    texts = texts.transpose("draw", "layer", "head", "choice")
    by_chance = with_properties(first.assign(text=texts), properties)["association"]
    observed = readings["association"]
    p = (1 + (by_chance >= observed - 1e-9).sum("draw")) / (1 + DRAWS)
    table = xr.Dataset({"association": observed, "p": p.where(observed.notnull())}).to_dataframe()
    return table.assign(q=false_discovery_rates(table["p"]))


def summarise_scores(
    readings: xr.Dataset, resampled: xr.Dataset, chance: xr.Dataset
) -> pd.DataFrame:
    """Put a model's scores beside their uncertainty and their chance level.

    A resample repeats some images and so sees fewer different ones, for which scores tend to lie
    a little lower: a value may stand near the upper end of its interval. No correction is made,
    since corrections do harm here: of 40 samples of 118 scenes, these intervals held the value of
    2,400 scenes in 95 to 100 % (a score at a time), bias-corrected and accelerated ones in 78 to
    100 %, and reflected ones in 45 to 83 % (``python -m tests.interval_coverage``).

    Parameters
    ----------
    readings, resampled, chance : Dataset
        Results of `read_heads`, `resampled_heads` and `chance_scores`.

    Returns
    -------
    pandas.DataFrame
        A row per score: `value`, `low`, `high`, `chance`, `chance_low`, `chance_high`.
    """
    scores, again = head_scores(readings), head_scores(resampled)
    rows = {
        name: [
            float(scores[name]),
            *np.quantile(again[name].values, TAILS),
            float(chance[name].mean()),
            *np.quantile(chance[name].values, TAILS),
        ]
        for name in scores
    }
    columns = ["value", "low", "high", "chance", "chance_low", "chance_high"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("score")


def _over_units(
    function: Callable[[np.ndarray], float],
    values: xr.DataArray,
    axes: list[str],
    extra: list[str],
) -> xr.DataArray:
    values = values.transpose(*extra, *axes).reset_index("unit", drop=True)
    return xr.apply_ufunc(function, values, input_core_dims=[axes], vectorize=True)


def _overlap(texts: np.ndarray) -> float:
    """Mean share of texts (heads × choices) that two heads have in common."""
    if len(texts) < 2:
        return np.nan
    has = (texts[:, :, None] == np.unique(texts)).any(axis=1).astype(float)  # heads × texts
    common = has @ has.T / texts.shape[1]
    return common[~np.eye(len(texts), dtype=bool)].mean()


def _per_property(properties: np.ndarray) -> float:
    known = properties[properties != UNKNOWN]
    return len(known) / len(np.unique(known.astype(str))) if len(known) else np.nan


# Counts by published label


def shares_by_model(marks: pd.DataFrame) -> pd.DataFrame:
    """Say of each model which share of its heads has each mark.

    Parameters
    ----------
    marks : pandas.DataFrame of bool
        A column per mark, a row per head, indexed by (model, layer, head).

    Returns
    -------
    pandas.DataFrame
        Rows (mark, model), columns of `helpers.analysis.statistics.share_with_interval`.
    """
    rows = {
        (mark, model): share_with_interval(int(marked.sum()), len(marked))
        for mark in marks
        for model, marked in marks[mark].groupby("model", sort=False)
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["mark", "model"])


def rarefied(labels: Sequence[str], heads: int) -> float:
    """Return how many different labels a random choice of the heads has on average.

    Parameters
    ----------
    labels : sequence of str
        Of all heads of a model.
    heads : int
        How many are chosen, without replacement: as many as the smallest model has, so that a
        model isn't more diverse for having more heads (Hurlbert, Ecology 1971).

    Returns
    -------
    float

    Raises
    ------
    WorkbookError
        If there are fewer heads than are to be chosen.
    """
    total = len(labels)
    if not 1 <= heads <= total:
        raise WorkbookError(f"heads has no value {heads}; choose from 1 to {total}, all there are.")
    counts = pd.Series(labels).value_counts()
    return float(sum(1 - comb(total - count, heads) / comb(total, heads) for count in counts))


def compare_sizes(marks: pd.DataFrame, large: Sequence[str]) -> pd.DataFrame:
    """Test for each mark whether the heads of large models have it more or less often.

    Parameters
    ----------
    marks : pandas.DataFrame of bool
        As for `shares_by_model`.
    large : sequence of str
        The large models; the others are the small ones.

    Returns
    -------
    pandas.DataFrame
        A row per mark: `small` and `large`, shares of heads; `p` of Fisher's exact test, two-sided;
        and `q`, the false discovery rate over the marks.
    """
    is_large = marks.index.get_level_values("model").isin(large)
    rows = {name: _compared(marks[name].to_numpy(bool), is_large) for name in marks}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("mark")
    return table.assign(q=false_discovery_rates(table["p"]))


def _compared(mark: np.ndarray, is_large: np.ndarray) -> dict[str, float]:
    table = [
        [int((mark & side).sum()), int((~mark & side).sum())] for side in (~is_large, is_large)
    ]
    small, large = (row[0] / sum(row) for row in table)
    return {"small": small, "large": large, "p": float(stats.fisher_exact(table).pvalue)}


# Pruning


def chosen_heads(consistency: np.ndarray, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Choose the heads of highest and of lowest consistency, and random ones, many times.

    Parameters
    ----------
    consistency : ndarray, (heads,)
        NaN for a head that doesn't vary, which is in none. Heads of the same score, of which there
        are many, stand in random order.
    seed : int
        Of these orders.

    Returns
    -------
    dict of str to ndarray of bool, (draws, heads)
        `HIGH`, `LOW` and `RANDOM`: half of the heads that vary, and at least one; and `ALL`.
    """
    known = np.flatnonzero(~np.isnan(consistency))
    count = min(len(known), max(1, round(PRUNED_SHARE * len(known))))
    rng = np.random.default_rng(seed)
    orders = rng.permuted(np.tile(known, (PRUNING_DRAWS, 1)), axis=1)
    falling = np.argsort(-consistency[orders], axis=1, kind="stable")
    ordered = np.take_along_axis(orders, falling, axis=1)
    taken = {
        HIGH: ordered[:, :count],
        LOW: ordered[:, len(known) - count :],
        RANDOM: rng.permuted(orders, axis=1)[:, :count],
        ALL: known[None],
    }
    result = {name: np.zeros((len(heads), len(consistency)), bool) for name, heads in taken.items()}
    for name, heads in taken.items():
        np.put_along_axis(result[name], heads, True, axis=1)
    return result


def accuracy_lost(
    embeddings: xr.DataArray,
    heads: xr.DataArray,
    chosen: dict[str, np.ndarray],
    judge: Callable[[xr.DataArray], xr.DataArray],
) -> pd.DataFrame:
    """Measure how many right answers go with each choice of heads.

    Parameters
    ----------
    embeddings : DataArray, (image, view, feature)
        Of one source, with the view ``original`` alone.
    heads : DataArray, (image, layer, head, feature)
        What the heads add to these.
    chosen : dict of str to ndarray of bool, (draws, heads)
        As of `chosen_heads`; heads layer by layer.
    judge : callable
        From embeddings, (draw, image, view, feature), to which answers are right, (draw, image,
        view, property); see `helpers.analysis.predictions.judged`.

    Returns
    -------
    DataFrame
        A row per choice: `mean` accuracy lost over draws, with `low` and `high`, between which 95 %
        of the draws lie, and `n`, the number of images that are asked anything.
    """
    values = heads.transpose("layer", "head", "image", "feature").astype(np.float64)
    varying = (values - values.mean("image")).values.reshape(-1, *values.shape[2:])
    before = _accuracy(judge(embeddings.expand_dims("draw")))
    rows = {}
    for name, masks in chosen.items():
        taken = np.tensordot(masks.astype(float), varying, axes=1)[:, :, None]
        left = embeddings.expand_dims(draw=len(masks)).transpose("draw", "image", "view", "feature")
        after = _accuracy(judge(left - taken))
        lost = (before.values - after).values
        low, high = np.quantile(lost, TAILS)
        rows[name] = {"mean": lost.mean(), "low": low, "high": high}
    asked = judge(embeddings.expand_dims("draw")).notnull().any("property").sum()
    return pd.DataFrame.from_dict(rows, orient="index").assign(n=int(asked))


def _accuracy(right: xr.DataArray) -> xr.DataArray:
    """Average over each image's questions, then over images, draw by draw."""
    return right.mean("property").mean(["image", "view"])


# Cards


def head_cards(
    readings: xr.Dataset,
    images: xr.DataArray,
    *,
    variance: xr.DataArray,
    answers: xr.DataArray,
    shares: xr.DataArray,
) -> xr.Dataset:
    """Join what is known of each head.

    Parameters
    ----------
    readings : Dataset
        Result of `helpers.analysis.labels.read_heads`; its layers and heads get a card.
    images : DataArray of int, (layer, head, place)
        Result of `top_images`.
    variance, answers : DataArray, (layer, head, attribute)
        Results of `helpers.analysis.probes.variance_between` and `share_of_answers`.
    shares : DataArray, (augmentation, layer, head)
        Mean share of each augmentation's shift; see `helpers.analysis.dissection.on_grid`.

    Returns
    -------
    Dataset
        ``label`` (layer, head); ``text`` (layer, head, choice); ``image`` (layer, head, place);
        ``variance`` and ``answers`` (layer, head, attribute); ``share`` (layer, head,
        augmentation).
    """
    columns = {
        "label": written_labels(readings),
        "text": readings["text"].isel(choice=slice(TEXTS)),
        "image": images,
        "variance": variance,
        "answers": answers,
        "share": shares.transpose("layer", "head", "augmentation"),
    }
    plain = {name: column.reset_coords(drop=True) for name, column in columns.items()}
    # Variance and answers may be of more layers than were read; the label's decide.
    return xr.merge([column.rename(name) for name, column in plain.items()], join="left")


def top_images(heads: xr.DataArray, texts: xr.DataArray, first: xr.DataArray) -> xr.DataArray:
    """Find the images in which each head says its first text most.

    Parameters
    ----------
    heads : DataArray, (image, layer, head, feature)
        What each head added to embeddings of length 1; see `neighbours.to_unit_embeddings`.
    texts : DataArray, (text, feature)
        Normalised embeddings of the pool.
    first : DataArray of int, (layer, head)
        Position of each head's first text.

    Returns
    -------
    DataArray of int, (layer, head, place)
        Positions of the images with the largest inner products, the largest first.
    """
    pool = texts.transpose("text", "feature").values
    by_head = heads.transpose("layer", "head", "image", "feature").values
    result = np.empty((*by_head.shape[:2], min(IMAGES, by_head.shape[2])), int)
    for place in np.ndindex(result.shape[:2]):
        result[place] = nearest(by_head[place], pool[first.values[place]], IMAGES).indices
    coords = {"layer": first["layer"], "head": first["head"]}
    return xr.DataArray(result, coords, ("layer", "head", "place"))


def standing_out(card: xr.Dataset) -> dict[str, object]:
    """Say what stands out on a head's card; of tied ones the earlier.

    Parameters
    ----------
    card : Dataset
        One head's part of `head_cards`.

    Returns
    -------
    dict of str to str or float
        ``varies with``, the attribute with the largest ``variance``; ``sways``, that with the
        largest share of ``answers``; ``prefers``, the augmentation of whose shift it carries the
        largest ``share``.
    """
    result: dict[str, object] = {}
    for name, measure in (("varies with", "variance"), ("sways", "answers"), ("prefers", "share")):
        result[name], result[measure] = _largest(card[measure])
    return result


def _largest(values: xr.DataArray) -> tuple[str, float]:
    (axis,) = values.dims
    place = int(first_largest(values.values))
    return str(values[axis].values[place]), float(values.values[place])
