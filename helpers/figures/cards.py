"""A card per attention head, and sheets of them: all that is known of a head on one line."""

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from helpers.analysis.head_names import head_name
from helpers.figures import style
from helpers.figures.heads import LINES
from helpers.figures.layout import bare

BARS = "#BBD3E8"
# Inches: texts, images, three panels of attributes, shares with their names.
WIDTHS = (2.9, 2.0, 1.2, 1.2, 1.2, 1.5)
HEIGHT = 2.9
ROW = 0.15  # a change's; many need more height
MARGIN = 2.6  # for the names of attributes and augmentations
SHEET_COLUMNS = 3
SHEET_CELL = (4.6, 2.5)
LETTERS_IN_ROW = 38
LETTERS_IN_CELL = 64
LOST = "accuracy without\nthe head (points)"


def head_card(
    card: xr.Dataset, *, texts: Sequence[str], images: Sequence[np.ndarray], why: str = ""
) -> Figure:
    """Draw all that is known of one head.

    Parameters
    ----------
    card : Dataset
        One head's part of `helpers.analysis.cards.head_cards`.
    texts : sequence of str
        The pool.
    images : sequence of ndarray of uint8, (h, w, 3)
        The head's top images, the first first.
    why : str
        Why this head is shown, which its title then says.

    Returns
    -------
    matplotlib.figure.Figure
        Texts with the variance that they explain; top images; by attribute the share of variance,
        the skill of a linear probe and the accuracy lost without the head; and the share of each
        augmentation's shift.
    """
    changes = card["augmentation"].values
    height = max(HEIGHT, 1 + ROW * len(changes))
    figure, axes = plt.subplots(
        1, len(WIDTHS), figsize=(sum(WIDTHS) + MARGIN, height), width_ratios=WIDTHS
    )
    said, shown, varies, reads, lost, carried = axes
    _texts(said, card, texts)
    _thumbnails(figure, shown, images)
    _attributes(card, varies, reads, lost)
    names, colors = ([look(each) for each in changes] for look in (style.label, style.color))
    _bars(carried, 100 * card["share"].values, names, "share of the\nshift (%)", colors)
    title = f"{card_title(card)} ({why})" if why else card_title(card)
    figure.suptitle(title, x=0, ha="left", weight="bold", fontsize=12)
    return figure


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
    """Draw several heads on one sheet: label, top images, first texts and two lines of facts.

    Parameters
    ----------
    cards : sequence of Dataset
        Parts of `helpers.analysis.cards.head_cards`, such as the heads of a layer.
    texts : sequence of str
        The pool.
    images : iterable of sequence of ndarray
        Each head's top images.
    facts : iterable of mapping
        What stands out on each card: results of `helpers.analysis.cards.strongest`.

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
        f"varies with {facts['varies with']} ({facts['variance']:.2f}),"
        f" probe reads {facts['probe reads']} ({facts['skill']:.2f})\n"
        f"without it {facts['needed for'] or 'at most'} {100 * facts['change']:+.1f} points;"
        f" carries {facts['share']:.1%} of {style.in_words(facts['prefers'])}"
    )


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


def _attributes(card: xr.Dataset, varies: Axes, reads: Axes, lost: Axes) -> None:
    names = card["attribute"].values
    _bars(varies, card["variance"].clip(0).values, names, "share of\nvariance", LINES[0])
    _bars(reads, card["skill"].clip(0).values, names, "skill of a\nlinear probe", LINES[2])
    _bars(lost, 100 * card["without"].values, names, LOST, LINES[1])
    for ax in (varies, reads):
        ax.set_xlim(0, 1)
        ax.set_xticks([0, 0.5, 1])
    for ax in (reads, lost):
        ax.set_yticklabels([])


def _thumbnails(figure: Figure | SubFigure, ax: Axes, images: Sequence[np.ndarray]) -> None:
    ax.set_axis_off()
    ax.set_title("says the first text most", fontsize=9, weight="normal")
    for number, image in enumerate(images):
        row, column = divmod(number, 2)
        inset = ax.inset_axes((0.51 * column, 0.51 * (1 - row), 0.48, 0.48))
        inset.imshow(image)
        inset.set_axis_off()


def _bars(
    ax: Axes, values: np.ndarray, names: Sequence[str], title: str, color: str | Sequence[str]
) -> None:
    ax.barh(range(len(values)), np.nan_to_num(values), color=color, height=0.75)
    ax.axvline(0, color=style.REFERENCE, linewidth=0.8)
    ax.set_yticks(range(len(values)), names, fontsize=8)
    ax.invert_yaxis()
    ax.tick_params(axis="both", length=0, labelsize=8)
    ax.spines[:].set_visible(False)
    ax.grid(axis="x")
    ax.set_title(title, fontsize=9, weight="normal")
