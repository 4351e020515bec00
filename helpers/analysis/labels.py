"""What attention heads are about, in the words of their TEXTSPAN texts, and how clearly.

The source (Madasu et al. 2024, arXiv 2409.06579) labels each head with a property and scores a
model by two ideas, property consistency within a head and disentanglement across heads, without
formulas in its abstract. The definitions here are this workbook's own operational ones:

- the *property* of a head is the one whose texts explain most of its variance, among its first
  `TOP` texts;
- the *association* of a head is the share of these texts that belong to its property: the *concept
  consistency score* (CCS) of the same authors' sequel (arXiv 2503.11103), which counts how many of
  a head's five texts a judge matches to its label, divided by five, with the pool as the judge.
  *CCS@K* is the share of a model's heads with a score of K;
- its *clarity* is the share of the head's variance that the texts of its property explain;
- the *overlap* of a model is the mean, over pairs of heads, of the share of first texts that two
  heads have in common;
- its *heads per property* is the number of heads divided by the number of different properties that
  they have.

The last two say how entangled a model is: 0 and 1 would be a text, and a property, for every head.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from helpers.analysis.directions import normalised
from helpers.analysis.statistics import TAILS, false_discovery_rates, resample_counts
from helpers.analysis.textspan import TextSpan, textspan, textspan_resampled
from helpers.checks import WorkbookError
from helpers.registry import Registry
from helpers.ties import first_largest

POOLS_DRAWN = 5
"""Of each kind of `POOLS_BY_CHANCE`."""
RESAMPLES = 60
SHUFFLES = 200
DRAWS = 2000
"""How often texts are drawn from the pool in place of a head's own."""
SHOWN = 3
"""Texts of a head that `head_table` writes out."""

TOP = 5
"""How many of a head's texts its property, association and overlap are read from."""

NEAR_TIE = 0.9
"""A label is a near-tie where its runner-up's texts explain this part of what its own do."""

POOLS_BY_CHANCE = ("random mixtures of the texts", "random directions")
"""Pools that mean nothing; see `explained_by_chance`."""

UNKNOWN = ""
"""Property of a text that has none, and of a head whose contributions don't vary."""

Labeller = Callable[[Sequence[str]], str]


@dataclass(frozen=True)
class NamedLabeller:
    """A row of the table of labellers.

    Attributes
    ----------
    name : str
    label : str
        The title of its column.
    function : callable
        From a head's texts, the most telling first, to a label.
    origin : str
        A hash of the user's code that it comes from.
    """

    name: str
    label: str
    function: Labeller
    origin: str


LABELLERS: Registry[NamedLabeller] = Registry("labeller")
"""Labellers that users registered (`helpers.extend`), beside the property of a head's texts."""


def read_heads(
    contributions: xr.DataArray, texts: xr.DataArray, k: int = TOP, rank: int | None = None
) -> xr.Dataset:
    """Choose every head's texts and say what property they are about."""
    heads = contributions.transpose("layer", "head", "image", "feature")
    k = min(k, texts.sizes["text"])
    span = textspan(heads.values, texts.transpose("text", "feature").values, k, rank)
    return _readings(span, heads, texts)


def _readings(span: TextSpan, heads: xr.DataArray, texts: xr.DataArray) -> xr.Dataset:
    axes = ("resample", "layer", "head", "choice")[-span.indices.ndim :]
    numbers = np.arange(1, span.indices.shape[-1] + 1)
    coords = {"layer": heads["layer"], "head": heads["head"], "choice": numbers}
    chosen = xr.Dataset({"text": (axes, span.indices), "explained": (axes, span.explained)}, coords)
    return with_properties(chosen, texts["property"].values)


def with_properties(chosen: xr.Dataset, properties: Sequence[str]) -> xr.Dataset:
    """Add the property of each head and its association."""
    first = chosen.isel(choice=slice(TOP))
    names, belongs = _belonging(first, properties)
    explained = first["explained"].values
    shares = np.einsum("...cp,...c->...p", belongs, np.nan_to_num(explained))
    best = first_largest(shares)
    others = np.where(np.arange(len(names)) == best[..., None], 0, shares)
    second, varies = first_largest(others), ~np.isnan(explained).any(axis=-1)
    columns = {
        "property": np.where(varies, names[best], UNKNOWN).astype(object),
        "association": np.where(varies, _taken(belongs.mean(axis=-2), best), np.nan),
        "clarity": np.where(varies, _taken(shares, best), np.nan),
        "runner_up": np.where(_taken(others, second) > 0, names[second], UNKNOWN).astype(object),
        "runner_up_share": _taken(others, second),
    }
    axes = first["text"].dims[:-1]
    return chosen.assign({name: (axes, values) for name, values in columns.items()})


def explained_by_property(chosen: xr.Dataset, properties: Sequence[str]) -> xr.DataArray:
    """Add up the variance of each head that the texts of each property explain.

    Of shape (layer, head, attribute).
    """
    first = chosen.isel(choice=slice(TOP))
    names, belongs = _belonging(first, properties)
    shares = np.einsum("...cp,...c->...p", belongs, first["explained"].values)
    axes = (*first["text"].dims[:-1], "attribute")
    coords = {"layer": first["layer"], "head": first["head"], "attribute": names}
    return xr.DataArray(shares, coords, axes)


def _belonging(chosen: xr.Dataset, properties: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the properties, and which chosen text is of which, (…, choice, property)."""
    names, numbers = np.unique(np.asarray(properties, dtype=str), return_inverse=True)
    return names, numbers[chosen["text"].values][..., None] == np.arange(len(names))


def _taken(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Take one value from the last axis at each place."""
    return np.take_along_axis(values, places[..., None], axis=-1)[..., 0]


def near_ties(readings: xr.Dataset) -> xr.DataArray:
    """Tell which heads' labels are decided by little.

    Parameters
    ----------
    readings : Dataset
        Result of `read_heads`.

    Returns
    -------
    DataArray of bool, (layer, head)
        Whether the runner-up's texts explain at least `NEAR_TIE` of what the label's do.
    """
    return readings["runner_up_share"] >= NEAR_TIE * readings["clarity"]


def written_labels(readings: xr.Dataset) -> xr.DataArray:
    """Write each head's label, with its runner-up where the two are nearly tied.

    Parameters
    ----------
    readings : Dataset
        Result of `read_heads`.

    Returns
    -------
    DataArray, (layer, head)
        Such as ``"colour"`` and ``"size or fill"``.
    """
    either = readings["property"] + " or " + readings["runner_up"]
    return xr.where(near_ties(readings), either, readings["property"])


def fill_properties(texts: xr.DataArray, vocabulary: xr.DataArray) -> xr.DataArray:
    """Give texts without a property that of the nearest text of a vocabulary: (text, feature)."""
    known = vocabulary[vocabulary["property"].values != UNKNOWN]
    if not known.sizes["text"]:
        raise WorkbookError("The vocabulary has no text with a property; give one that has.")
    nearest = first_largest(texts.values @ known.values.T)
    own = texts["property"].values
    filled = np.where(own == UNKNOWN, known["property"].values[nearest], own)
    return texts.assign_coords(property=("text", filled))


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
    found = []
    for shape, basis in zip(shapes, (pool - pool.mean(axis=0), None), strict=True):
        draws = (rng.normal(size=shape) for _ in range(POOLS_DRAWN))
        pools = (draw if basis is None else draw @ basis for draw in draws)
        found.append(
            [textspan(heads.values, normalised(each), k, rank).explained for each in pools]
        )
    coords = {"pool": list(POOLS_BY_CHANCE), "layer": heads["layer"], "head": heads["head"]}
    axes = ("pool", "draw", "layer", "head", "choice")
    return xr.DataArray(np.array(found), coords | {"choice": np.arange(1, k + 1)}, axes)


def label_heads(readings: xr.Dataset, texts: Sequence[str], labeller: Labeller) -> xr.DataArray:
    """Let any function name each head from its first texts.

    Parameters
    ----------
    readings : Dataset
        Result of `read_heads`.
    texts : sequence of str
        The pool.
    labeller : callable
        From a head's texts, the most telling first, to a label.

    Returns
    -------
    DataArray, (layer, head)
        Labels.

    Raises
    ------
    WorkbookError
        If the labeller returns no text.

    Examples
    --------
    A chat model can be asked, as the source does by in-context learning; `client` stands for any
    function of the reader's own from a question to an answer.

    >>> def ask(texts):
    ...     example = "a zebra; a lion in the wild: animals"
    ...     return client(f"Name what these have in common. {example}. {'; '.join(texts)}:")
    >>> label_heads(readings, run.texts.texts, labeller=ask)  # doctest: +SKIP
    """
    chosen = np.asarray(texts, dtype=object)[readings["text"].values]
    labels = np.empty(chosen.shape[:-1], dtype=object)
    for place in np.ndindex(labels.shape):
        labels[place] = _named(labeller, list(chosen[place]))
    return readings["property"].copy(data=labels).rename("label")


def own_labels(readings: xr.Dataset, texts: Sequence[str]) -> dict[str, xr.DataArray]:
    """Let all labellers that users registered name each head.

    Parameters
    ----------
    readings, texts
        As for `label_heads`.

    Returns
    -------
    dict of str to DataArray, (layer, head)
        The labeller's label → its labels of heads; empty where there are no labellers.
    """
    rows = LABELLERS.values()
    return {row.label: label_heads(readings, texts, row.function) for row in rows}


def _named(labeller: Labeller, texts: list[str]) -> str:
    label = labeller(texts)
    if not isinstance(label, str) or not label.strip():
        raise WorkbookError(
            f"The labeller gave {label!r} for {texts[0]!r} and {len(texts) - 1} more texts; it must"
            " return a text that is not empty."
        )
    return label.strip()


def resampled_heads(
    contributions: xr.DataArray, texts: xr.DataArray, rank: int | None = None
) -> xr.Dataset:
    """Read heads anew for bootstrap resamples of the images."""
    heads = contributions.transpose("layer", "head", "image", "feature")
    counts = resample_counts(heads.sizes["image"], RESAMPLES)
    k, pool = min(TOP, texts.sizes["text"]), texts.transpose("text", "feature").values
    span = textspan_resampled(heads.values, pool, counts, k, rank)
    return _readings(span, heads, texts)


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
    own = readings["association"]
    p = (1 + (by_chance >= own - 1e-9).sum("draw")) / (1 + DRAWS)
    table = xr.Dataset({"association": own, "p": p.where(own.notnull())}).to_dataframe()
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


def head_table(readings: xr.Dataset, resampled: xr.Dataset, texts: Sequence[str]) -> pd.DataFrame:
    """List every head with its property and texts.

    Parameters
    ----------
    readings, resampled : Dataset
        Results of `read_heads` and `resampled_heads`.
    texts : sequence of str
        The pool.

    Returns
    -------
    pandas.DataFrame
        A row per head (layer, head): `label`, two of them in a near-tie; `clarity`;
        `association`; `explained`, the share of variance that all chosen texts explain;
        `stability`, the share of resamples with the same label; and `texts`.
    """
    chosen = np.asarray(texts, dtype=object)[readings["text"].values[..., :SHOWN]]
    columns = {
        "label": written_labels(readings),
        "clarity": readings["clarity"],
        "association": readings["association"],
        "explained": readings["explained"].sum("choice", skipna=False),
        "stability": (resampled["property"] == readings["property"]).mean("resample"),
        "texts": readings["property"].copy(data=_joined(chosen)),
    }
    frame = xr.Dataset({name: column.reset_coords(drop=True) for name, column in columns.items()})
    return frame.to_dataframe(dim_order=["layer", "head"])[list(columns)]


def merge_spellings(labels: pd.Series) -> pd.Series:
    """Write labels that people gave in one way.

    Parameters
    ----------
    labels : pandas.Series
        Such as "Colors", "Color" and "color".

    Returns
    -------
    pandas.Series
        In lower case, and without a last "s" where the label also occurs without.
    """
    lower = labels.str.lower().str.strip()
    singular = lower.str.removesuffix("s")
    return singular.where(singular.isin(set(lower)), lower)


def _joined(chosen: np.ndarray) -> np.ndarray:
    rows = [" · ".join(row) for row in chosen.reshape(-1, chosen.shape[-1])]
    return np.array(rows, dtype=object).reshape(chosen.shape[:-1])


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
