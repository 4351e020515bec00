"""Sheets of cards, one per attention head: all that is known of a head in one place."""

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure, SubFigure

from helpers.analysis.dissection import head_name
from helpers.figures import style

SHEET_COLUMNS = 3
SHEET_CELL = (4.6, 2.6)
LETTERS_IN_CELL = 64


def card_title(card: xr.Dataset) -> str:
    """Write a head's name and label, such as ``L5.H2: size or fill``."""
    name = head_name(card["layer"].item(), card["head"].item())
    label = card["label"].item() or "no label"
    return f"{name}: {label}"


def contact_sheet(
    cards: Sequence[xr.Dataset],
    *,
    texts: Sequence[str],
    images: Iterable[Sequence[np.ndarray]],
    facts: Iterable[Mapping[str, object]],
) -> Figure:
    """Draw several heads on one sheet: label, top images, first texts and three lines of facts.

    Parameters
    ----------
    cards : sequence of Dataset
        Parts of `helpers.analysis.roles.head_cards`, such as the heads of a layer.
    texts : sequence of str
        The pool.
    images : iterable of sequence of ndarray
        Each head's top images.
    facts : iterable of mapping
        What stands out on each card: results of `helpers.analysis.roles.standing_out`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = -(-len(cards) // SHEET_COLUMNS)
    figure = plt.figure(figsize=(SHEET_CELL[0] * SHEET_COLUMNS, SHEET_CELL[1] * rows))
    cells = figure.subfigures(rows, SHEET_COLUMNS, squeeze=False).flat
    for cell, card, shown, own in zip(cells, cards, images, facts, strict=False):
        lines = [fill(texts[place], LETTERS_IN_CELL) for place in card["text"].values[:2]]
        _sheet_cell(cell, card_title(card), shown, [*lines, _written(own)])
    return figure


def _sheet_cell(
    cell: SubFigure, title: str, images: Sequence[np.ndarray], lines: Sequence[str]
) -> None:
    for ax, image in zip(cell.subplots(1, len(images), squeeze=False)[0], images, strict=True):
        ax.imshow(image)
        ax.set_axis_off()
    cell.suptitle(title, x=0.02, ha="left", fontsize=11, weight="bold")
    cell.supxlabel("\n".join(lines), x=0.02, ha="left", fontsize=8)


def _written(facts: Mapping[str, object]) -> str:
    return (
        f"varies with {facts['varies with']} ({facts['variance']:.0%} of its variance)\n"
        f"sways answers about {facts['sways']} most ({facts['answers']:.0%} of their spread)\n"
        f"carries {facts['share']:.1%} of {style.in_words(facts['prefers'])}"
    )
