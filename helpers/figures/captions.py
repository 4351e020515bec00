"""Figures of images with texts."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.figures.layout import panels
from helpers.figures.style import INK, REFERENCE

RIGHT = "#117733"


def captioned_images(
    images: Sequence[np.ndarray],
    captions: Sequence[str],
    nearest: Sequence[Sequence[str]],
    similarities: np.ndarray,
) -> Figure:
    """Images with their own caption and the captions that a model puts first.

    Parameters
    ----------
    images : sequence of ndarray, (height, width, 3)
    captions : sequence of str
        What each image shows.
    nearest : sequence of sequence of str
        Each image's most similar captions, best first.
    similarities : ndarray, (images, nearest)
        Their cosine similarities.

    Returns
    -------
    Figure
        A panel per image; its own caption is green where the model names it.
    """
    figure, axes = panels(len(images), columns=2, size=(6.6, 2.2))
    for ax, image, caption, texts, row in zip(
        axes, images, captions, nearest, similarities, strict=True
    ):
        ax.imshow(image, extent=(0, 1, 0, 1))
        ax.set(xlim=(0, 3.1), ylim=(0, 1))
        ax.axis("off")
        _write_captions(ax, caption, texts, row)
    return figure


def _write_captions(ax: Axes, caption: str, texts: Sequence[str], similarities: np.ndarray) -> None:
    ax.text(1.08, 0.99, fill(caption, 48), va="top", color=INK, weight="bold", fontsize=9)
    for place, (text, similarity) in enumerate(zip(texts, similarities, strict=True)):
        color = RIGHT if text == caption else REFERENCE
        line = fill(f"{similarity:.2f}  {text}", 52, subsequent_indent="          ")
        ax.text(1.08, 0.66 - 0.24 * place, line, va="top", color=color, fontsize=9)
