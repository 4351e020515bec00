"""What attention heads are about: the texts that TEXTSPAN chooses, and the labels read from them.

TEXTSPAN finds the few texts along which a head's contributions vary most (Gandelsman, Efros and
Steinhardt, ICLR 2024, arXiv 2310.05916, algorithm 1). There each round multiplies all data by all
texts. The same choices follow from a head's covariance in the basis of its own span, which has no
more dimensions than the head: a round then costs nothing that grows with the number of images. The
span itself is found by a random projection of the images (Halko, Martinsson and Tropp, SIAM Review
2011), which loses nothing where the rank is that small.

The *property* of a head is the one whose texts explain most of its variance, among its first `TOP`
texts. How clear it is, `helpers.analysis.roles` scores.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from scipy import linalg
from threadpoolctl import threadpool_limits

from helpers.checks import WorkbookError
from helpers.cores import cores
from helpers.registry import Registry
from helpers.ties import first_largest

REFERENCE_RANK = 80
"""Dimensions that the reference implementation keeps of a head's span, where it has as many."""
# More projections than dimensions wanted, so that none of these is missed by bad luck.
OVERSAMPLING = 8
# What products and sums in float32 leave of a matrix beside its span, relative.
SUMMED_ROUNDING = 1e-5
SHOWN = 3
"""Texts of a head that `head_table` writes out."""
TOP = 5
"""How many of a head's texts its property, association and overlap are read from."""
NEAR_TIE = 0.9
"""A label is a near-tie where its runner-up's texts explain this part of what its own do."""
UNKNOWN = ""
"""Property of a text that has none, and of a head whose contributions don't vary."""
Labeller = Callable[[Sequence[str]], str]


# TEXTSPAN


@dataclass(frozen=True)
class TextSpan:
    """Texts chosen for one or several heads, the most telling first."""

    indices: np.ndarray  # (..., k): chosen texts, as positions in the pool; each is chosen once
    # (..., k): share of the head's variance over images that each text explains; the shares add up
    explained: np.ndarray


def textspan(
    contributions: ArrayLike, text_embeddings: ArrayLike, k: int, rank: int | None = None
) -> TextSpan:
    """Choose, head by head, the k texts that explain most of its contributions' variance.

    Texts are projected onto the span of the first `rank` right singular vectors of a head's
    contributions. Then, k times: the text along whose projection the centred contributions have the
    largest standard deviation is chosen (of tied ones the first, see `helpers.ties`), and
    its direction removed from contributions and texts.
    """
    data, texts = np.asarray(contributions), np.asarray(text_embeddings)
    _check(data, texts, k, rank)
    chosen = _for_each_head(data, texts, rank, lambda *parts: _choose(*_within(*parts), k))
    indices, explained = (np.array(part) for part in zip(*chosen, strict=True))
    shape = (*data.shape[:-2], k)
    return TextSpan(indices.reshape(shape), explained.reshape(shape))


def textspan_resampled(
    contributions: ArrayLike,
    text_embeddings: ArrayLike,
    counts: ArrayLike,
    k: int,
    rank: int | None = None,
) -> TextSpan:
    """Choose the texts anew for each resample of the images.

    A head's span is taken from all images, since what it can write doesn't depend on which images
    a resample holds; the covariance is the resample's. So a resample costs little.
    """
    data, texts, counts = (np.asarray(each) for each in (contributions, text_embeddings, counts))
    _check(data, texts, k, rank)
    if counts.ndim != 2 or counts.shape[1] != data.shape[-2]:
        raise WorkbookError(
            f"Counts of shape {counts.shape} don't fit {data.shape[-2]} images; give (resamples,"
            " images)."
        )

    def one_head(head: np.ndarray, texts: np.ndarray, basis: np.ndarray) -> list[tuple]:
        inside = (texts @ basis).astype(np.float64)
        return [_choose(inside, *spread, k) for spread in _resampled_spread(head, basis, counts)]

    chosen = _for_each_head(data, texts, rank, one_head)
    pairs = np.array(chosen).reshape(*data.shape[:-2], len(counts), 2, k)
    indices, explained = np.moveaxis(pairs, (-3, -2), (1, 0))
    return TextSpan(indices.astype(int), explained)


def _for_each_head(
    data: np.ndarray, texts: np.ndarray, rank: int | None, function: Callable[..., object]
) -> list:
    """Call a function with every head's contributions, the texts, and the head's span."""
    digits, precision = _digits(data), np.result_type(data, np.float32)
    texts = texts.astype(precision, copy=False)
    heads = data.reshape(-1, *data.shape[-2:])
    draws = _draws(*heads.shape[1:], rank or REFERENCE_RANK, precision)

    def one_head(head: np.ndarray) -> object:
        head = head.astype(precision, copy=False)
        return function(head, texts, _span(head, draws, rank or REFERENCE_RANK, digits))

    # A head's matrices are too small to be shared by threads: each thread takes heads of its own.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(one_head, heads))


def _digits(data: np.ndarray) -> float:
    """Return the data's relative rounding; covariances in float64 leave at least float32's."""
    return max(np.finfo(np.float32).eps, np.finfo(np.result_type(data, np.float16)).eps)


def _draws(images: int, features: int, rank: int, precision: np.dtype) -> np.ndarray:
    size = min(rank + OVERSAMPLING, images, features)
    return np.random.default_rng(0).standard_normal((images, size)).astype(precision)


def _span(data: np.ndarray, draws: np.ndarray, rank: int, digits: float) -> np.ndarray:
    """Return the first right singular vectors (features × dimensions), without rounding noise."""
    basis = linalg.qr(data.T @ draws, mode="economic", check_finite=False)[0]
    inside = data @ basis
    if _norm(data - inside @ basis.T) > max(digits, SUMMED_ROUNDING) * _norm(data):
        basis, inside = np.eye(data.shape[1], dtype=data.dtype), data  # of higher rank: all of it
    gram = inside.astype(np.float64).T @ inside
    size = len(gram)
    kept = (max(0, size - rank), size - 1)
    squares, vectors = linalg.eigh(gram, subset_by_index=kept, check_finite=False)
    return basis @ vectors[:, squares > digits**2 * np.trace(gram)].astype(basis.dtype)


def _norm(matrix: np.ndarray) -> float:
    return float(np.linalg.norm(matrix))


def _within(
    data: np.ndarray, texts: np.ndarray, basis: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return texts and covariance in a head's span, and all its variance; times images, float64."""
    centred = data - data.mean(axis=0)
    inside = (centred @ basis).astype(np.float64)
    return (texts @ basis).astype(np.float64), inside.T @ inside, float(np.vdot(centred, centred))


def _resampled_spread(
    data: np.ndarray, basis: np.ndarray, counts: np.ndarray
) -> Iterator[tuple[np.ndarray, float]]:
    """Yield the covariance within the span, and all variance, of each resample of the images."""
    centred = data.astype(np.float64) - data.mean(axis=0, dtype=np.float64)
    inside = centred @ basis
    squares = counts @ np.square(centred).sum(axis=1)
    means = counts @ centred / counts.sum(axis=1, keepdims=True)
    for row, mean, square in zip(counts, means, squares, strict=True):
        resampled = inside - mean @ basis
        yield (resampled * row[:, None]).T @ resampled, square - row.sum() * float(mean @ mean)


def _choose(
    texts: np.ndarray, covariance: np.ndarray, variance: float, k: int
) -> tuple[list[int], list[float]]:
    """Choose k of the texts (texts × dimensions), removing the direction of each from the others.

    With u a chosen direction, a = ⟨t, u⟩ and C the covariance, what remains of a text t has the
    variance tᵀCt - 2a tᵀCu + a² uᵀCu: the data need not be touched.
    """
    spread = np.einsum("td,td->t", texts @ covariance, texts)
    nothing = spread.max() * np.finfo(np.float32).eps ** 2
    indices, explained = [], []
    for _ in range(k):
        chosen = int(first_largest(spread))
        # Where nothing is left to explain, what remains of a text is rounding, and no direction.
        length = np.linalg.norm(texts[chosen]) if spread[chosen] > nothing else np.inf
        unit = texts[chosen] / length
        pull = covariance @ unit
        indices.append(chosen)
        explained.append(unit @ pull / variance if variance else np.nan)
        along = texts @ unit
        spread += along * (along * (unit @ pull) - 2 * (texts @ pull))
        spread[chosen] = -np.inf
        texts = texts - np.outer(along, unit)
    return indices, explained


def _check(data: np.ndarray, texts: np.ndarray, k: int, rank: int | None) -> None:
    if data.ndim < 2 or texts.ndim != 2 or data.shape[-1] != texts.shape[-1]:
        raise WorkbookError(
            f"Contributions of shape {data.shape} and texts of shape {texts.shape} don't match;"
            " give (..., images, features) and (texts, features)."
        )
    for name, value, most in (("k", k, len(texts)), ("rank", rank, data.shape[-1])):
        if value is not None and not (_is_whole(value) and 1 <= value <= most):
            raise WorkbookError(
                f"{name} has no value {value!r}; choose a whole number from 1 to {most}."
            )


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


# Labels


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
    return readings_of(span, heads, texts)


def readings_of(span: TextSpan, heads: xr.DataArray, texts: xr.DataArray) -> xr.Dataset:
    """Return what spans of heads say: texts, what they explain, and the property of each head."""
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
    """Find the heads whose labels are decided by little.

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
    properties = texts["property"].values
    filled = np.where(properties == UNKNOWN, known["property"].values[nearest], properties)
    return texts.assign_coords(property=("text", filled))


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
    A chat model can be asked as well, as the source does by in-context learning.

    >>> import xarray as xr
    >>> texts, axes = ["red", "round", "green"], ("layer", "head")
    >>> chosen = {"text": ((*axes, "choice"), [[[0, 2]]]), "property": (axes, [["colour"]])}
    >>> label_heads(xr.Dataset(chosen), texts, labeller=" or ".join).values
    array([['red or green']], dtype=object)
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
