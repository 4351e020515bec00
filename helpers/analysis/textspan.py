"""TEXTSPAN: the few texts along which an attention head's contributions vary most.

Source: Gandelsman, Efros and Steinhardt, ICLR 2024 (arXiv 2310.05916), algorithm 1. There each
round multiplies all data by all texts. The same choices follow from a head's covariance in the
basis of its own span, which has no more dimensions than the head: a round then costs nothing that
grows with the number of images.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from helpers.checks import WorkbookError

REFERENCE_RANK = 80
"""Dimensions that the reference implementation keeps of a head's span, where it has as many."""


@dataclass(frozen=True)
class TextSpan:
    """Texts chosen for one or several heads, the most telling first.

    Attributes
    ----------
    indices : ndarray of int, (..., k)
        Chosen texts, as positions in the pool.
    explained : ndarray, (..., k)
        Share of the head's variance over images that each text explains; the shares add up.
    """

    indices: np.ndarray
    explained: np.ndarray


def textspan(
    contributions: ArrayLike, text_embeddings: ArrayLike, k: int, rank: int | None = None
) -> TextSpan:
    """Choose, head by head, the k texts that explain most of its contributions' variance.

    Texts are projected onto the span of the first `rank` right singular vectors of a head's
    contributions. Then, k times: the text along whose projection the centred contributions have the
    largest standard deviation is chosen, and its direction removed from contributions and texts.

    Parameters
    ----------
    contributions : array_like, (..., images, features)
        What each head added to the embeddings; leading axes are heads.
    text_embeddings : array_like, (texts, features)
        Normalised embeddings of the pool of texts.
    k : int
        Number of texts to choose.
    rank : int, optional
        Dimensions kept of a head's span; by default `REFERENCE_RANK`. Never more than the
        numerical rank of the contributions, since further directions are rounding.

    Returns
    -------
    TextSpan
        A head whose contributions don't vary explains NaN.

    Raises
    ------
    WorkbookError
        If shapes don't match, or k or rank is not between 1 and what there is.
    """
    data, texts = (np.asarray(side, np.float64) for side in (contributions, text_embeddings))
    _check(data, texts, k, rank)
    heads = data.reshape(-1, *data.shape[-2:])
    found = [_one_head(head, texts, k, rank or REFERENCE_RANK) for head in heads]
    indices, explained = (np.array(part) for part in zip(*found, strict=True))
    shape = (*data.shape[:-2], k)
    return TextSpan(indices.reshape(shape), explained.reshape(shape))


def _one_head(data: np.ndarray, texts: np.ndarray, k: int, rank: int) -> tuple[list, list]:
    basis = _span(data, rank)  # features × dimensions
    projected = texts @ basis  # texts × dimensions
    centred = data - data.mean(axis=0)
    inside = centred @ basis
    covariance = inside.T @ inside
    variance = np.square(centred).sum()
    indices, explained = [], []
    for _ in range(k):
        spread = np.einsum("td,td->t", projected @ covariance, projected)
        chosen = int(spread.argmax())
        direction = projected[chosen]
        length = direction @ direction
        indices.append(chosen)
        explained.append(spread[chosen] / length / variance if length and variance else np.nan)
        projected, covariance = _without(direction, length, projected, covariance)
    return indices, explained


def _span(data: np.ndarray, rank: int) -> np.ndarray:
    """Return the first right singular vectors (features × dimensions), without rounding noise."""
    # Squaring halves the digits of small singular values: those are left out all the same.
    features = data.shape[1]
    largest = (max(0, features - rank), features - 1)
    squares, vectors = linalg.eigh(data.T @ data, subset_by_index=largest)
    keep = squares > squares[-1] * np.finfo(np.float32).eps ** 2 * len(data)
    return vectors[:, keep]


def _without(
    direction: np.ndarray, length: float, projected: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Remove a direction from the texts and from the covariance of the data."""
    if not length:
        return projected, covariance
    along = projected @ direction / length
    remover = np.eye(len(direction)) - np.outer(direction, direction) / length
    return projected - np.outer(along, direction), remover @ covariance @ remover


def _check(data: np.ndarray, texts: np.ndarray, k: int, rank: int | None) -> None:
    if data.ndim < 2 or texts.ndim != 2 or data.shape[-1] != texts.shape[-1]:
        raise WorkbookError(
            f"Contributions of shape {data.shape} and texts of shape {texts.shape} don't match;"
            " give (..., images, features) and (texts, features)."
        )
    for name, value, most in (("k", k, len(texts)), ("rank", rank, data.shape[-1])):
        if value is not None and not 1 <= value <= most:
            raise WorkbookError(f"{name} has no value {value!r}; choose a number from 1 to {most}.")
