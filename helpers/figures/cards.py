"""A card per attention head, and sheets of them: all that is known of a head on one line."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from helpers.figures import style
from helpers.figures.heads import LINES
from helpers.figures.layout import bare

Facts = Mapping[str, tuple[str, float]]

BARS = "#BBD3E8"
# Inches: texts, images, three panels of attributes, shares with their names.
WIDTHS = (3.3, 2.2, 1.9, 1.25, 1.25, 2.5)
HEIGHT = 2.9
SHEET_COLUMNS = 3
SHEET_CELL = (4.6, 2.5)
LETTERS_IN_ROW = 42
LOST = "accuracy without\nthe head (points)"


def head_card(card: xr.Dataset, *, texts: Sequence[str], images: Sequence[np.ndarray]) -> Figure:
    """Draw all that is known of one head.

    Parameters
    ----------
    card : Dataset
        One head's part of `helpers.analysis.cards.head_cards`.
    texts : sequence of str
        The pool.
    images : sequence of ndarray of uint8, (h, w, 3)
        The head's top images, the first first.

    Returns
    -------
    matplotlib.figure.Figure
        Texts with the variance that they explain; top images; by attribute the share of variance,
        the skill of a linear probe and the accuracy lost without the head; and the share of each
        augmentation's shift.
    """
    figure, axes = plt.subplots(1, len(WIDTHS), figsize=(sum(WIDTHS), HEIGHT), width_ratios=WIDTHS)
    said, shown, varies, reads, lost, carried = axes
    _texts(said, card, texts)
    _thumbnails(figure, shown, images)
    attributes = card["attribute"].values
    _bars(varies, card["variance"].clip(0).values, attributes, "share of\nvariance", LINES[0])
    _bars(reads, card["skill"].clip(0).values, attributes, "skill of a\nlinear probe", LINES[2])
    _bars(lost, 100 * card["without"].values, attributes, LOST, LINES[1])
    for ax in (varies, reads):
        ax.set_xlim(0, 1)
        ax.set_xticks([0, 0.5, 1])
    for ax in (reads, lost):
        ax.set_yticklabels([])
    names = [style.label(name) for name in card["augmentation"].values]
    _bars(carried, 100 * card["share"].values, names, "share of the\nshift (%)", LINES[5])
    figure.suptitle(card_title(card), x=0, ha="left", weight="bold", fontsize=12)
    return figure


def card_title(card: xr.Dataset) -> str:
    """Write a head's name and label, such as ``L5.H2: size or fill (nearly tied)``."""
    name = f"L{card['layer'].item()}.H{card['head'].item()}"
    label = card["label"].item() or "no label"
    return f"{name}: {label}{' (nearly tied)' if card['near_tie'] else ''}"


def contact_sheet(
    cards: xr.Dataset,
    *,
    texts: Sequence[str],
    images: Sequence[Sequence[np.ndarray]],
    facts: Sequence[Facts],
) -> Figure:
    """Draw the heads of a layer on one sheet: label, first texts, top images and a line of facts.

    Parameters
    ----------
    cards : Dataset
        One layer's part of `helpers.analysis.cards.head_cards`.
    texts : sequence of str
        The pool.
    images : sequence of sequence of ndarray
        Each head's top images.
    facts : sequence of dict
        What stands out on each card; results of `helpers.analysis.cards.strongest`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = -(-cards.sizes["head"] // SHEET_COLUMNS)
    size = SHEET_CELL[0] * SHEET_COLUMNS, SHEET_CELL[1] * rows
    figure = plt.figure(figsize=size)
    cells = figure.subfigures(rows, SHEET_COLUMNS, squeeze=False).flat
    for number, (cell, shown, own) in enumerate(zip(cells, images, facts, strict=False)):
        _sheet_cell(cell, cards.isel(head=number), texts, shown, own)
    return figure


def _texts(ax: Axes, card: xr.Dataset, texts: Sequence[str]) -> None:
    explained = card["explained"].values
    rows = range(len(explained))
    ax.barh(rows, np.nan_to_num(explained), color=BARS, height=0.85)
    for row, (place, share) in enumerate(zip(card["text"].values, explained, strict=True)):
        ax.text(0.01, row, fill(texts[place], LETTERS_IN_ROW), va="center", fontsize=8)
        ax.text(1, row, f"{share:.0%}", va="center", ha="right", fontsize=8)
    ax.set(xlim=(0, 1), yticks=[], xticks=[])
    ax.invert_yaxis()
    bare(ax)
    ax.set_title("texts, variance explained", fontsize=9, weight="normal")


def _thumbnails(figure: Figure | SubFigure, ax: Axes, images: Sequence[np.ndarray]) -> None:
    ax.set_axis_off()
    ax.set_title("says the first text most", fontsize=9, weight="normal")
    for number, image in enumerate(images):
        row, column = divmod(number, 2)
        inset = ax.inset_axes((0.51 * column, 0.51 * (1 - row), 0.48, 0.48))
        inset.imshow(image)
        inset.set_axis_off()


def _bars(ax: Axes, values: np.ndarray, names: Sequence[str], title: str, color: str) -> None:
    ax.barh(range(len(values)), np.nan_to_num(values), color=color, height=0.75)
    ax.axvline(0, color=style.REFERENCE, linewidth=0.8)
    ax.set_yticks(range(len(values)), names, fontsize=8)
    ax.invert_yaxis()
    ax.tick_params(axis="both", length=0, labelsize=8)
    ax.spines[:].set_visible(False)
    ax.grid(axis="x")
    ax.set_title(title, fontsize=9, weight="normal")


def _sheet_cell(
    cell: SubFigure,
    card: xr.Dataset,
    texts: Sequence[str],
    images: Sequence[np.ndarray],
    facts: Facts,
) -> None:
    axes = cell.subplots(1, len(images), squeeze=False)[0]
    for ax, image in zip(axes, images, strict=True):
        ax.imshow(image)
        ax.set_axis_off()
    lines = [fill(texts[place], 64) for place in card["text"].values[:2]]
    cell.suptitle(card_title(card), x=0.02, ha="left", fontsize=11, weight="bold")
    cell.supxlabel("\n".join([*lines, _written(facts)]), x=0.02, ha="left", fontsize=8)


def _written(facts: Facts) -> str:
    (varies, share), (reads, skill) = facts["variance"], facts["skill"]
    (needs, change), (carries, carried) = facts["without"], facts["share"]
    return (
        f"varies with {varies} ({share:.2f}), probe reads {reads} ({skill:.2f})\n"
        f"without it {needs} {100 * change:+.1f} points; carries {carried:.1%} of"
        f" {style.label(carries)}"
    )
