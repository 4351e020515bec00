"""Figures of images with texts."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.figures.layout import panels
from helpers.figures.style import INK, REFERENCE

RIGHT = "#117733"
WIDTH = 58  # characters
LINE, GAP = 0.083, 0.05  # heights, as a part of the image's


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
    blocks = [(fill(caption, WIDTH), INK, "bold")]
    for text, similarity in zip(texts, similarities, strict=True):
        color = RIGHT if text == caption else REFERENCE
        line = f"{similarity:.2f}  {text}"
        blocks.append((fill(line, WIDTH, subsequent_indent=" " * 10), color, "normal"))
    # Each block starts below the lines of those before it, however many they are.
    top = 0.99
    for text, color, weight in blocks:
        ax.text(1.06, top, text, va="top", color=color, weight=weight, fontsize=9)
        top -= LINE * (text.count("\n") + 1) + GAP
