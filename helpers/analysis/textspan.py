"""TEXTSPAN: the few texts along which an attention head's contributions vary most.

Source: Gandelsman, Efros and Steinhardt, ICLR 2024 (arXiv 2310.05916), algorithm 1. There each
round multiplies all data by all texts. The same choices follow from a head's covariance in the
basis of its own span, which has no more dimensions than the head: a round then costs nothing that
grows with the number of images. The span itself is found by a random projection of the images
(Halko, Martinsson and Tropp, SIAM Review 2011), which loses nothing where the rank is that small.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg
from threadpoolctl import threadpool_limits

from helpers.checks import WorkbookError
from helpers.cores import cores
from helpers.ties import first_largest

REFERENCE_RANK = 80
"""Dimensions that the reference implementation keeps of a head's span, where it has as many."""

# More projections than dimensions wanted, so that none of these is missed by bad luck.
OVERSAMPLING = 8

# What products and sums in float32 leave of a matrix beside its span, relative.
SUMMED_ROUNDING = 1e-5


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
    found = _for_each_head(data, texts, rank, lambda *parts: _choose(*_within(*parts), k))
    indices, explained = (np.array(part) for part in zip(*found, strict=True))
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

    found = _for_each_head(data, texts, rank, one_head)
    pairs = np.array(found).reshape(*data.shape[:-2], len(counts), 2, k)
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
        own = inside - mean @ basis
        yield (own * row[:, None]).T @ own, square - row.sum() * float(mean @ mean)


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
