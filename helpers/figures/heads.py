"""Figures of attention heads: what they are about, how clearly, what they carry; their cards."""

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

from helpers.analysis.dissection import head_name
from helpers.figures import style
from helpers.figures.layout import annotate_cells, bare, panels

# Paul Tol's "bright" scheme (personal.sron.nl/~pault), apart for every kind of colour vision.
LINES = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377")
SHEET_COLUMNS = 3
SHEET_CELL = (4.6, 2.6)
LETTERS_IN_CELL = 64


def head_map(labels: xr.DataArray, association: xr.DataArray) -> Axes:
    """Label of every head, layers by heads.

    Parameters
    ----------
    labels : DataArray, (layer, head)
        What stands in the cells.
    association : DataArray, (layer, head)
        The cells' colour, 0 to 1.

    Returns
    -------
    matplotlib.axes.Axes
        The last layer on top.
    """
    association = association.transpose("layer", "head")[::-1]
    texts = labels.transpose("layer", "head")[::-1].values
    layers, heads = texts.shape
    width = 1.15 if heads <= 8 else 0.95
    _, ax = plt.subplots(figsize=(1.8 + width * heads, 1.2 + 0.62 * layers))
    image = ax.imshow(association, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    wrapped = [[fill(text, 10, break_long_words=False) for text in row] for row in texts]
    annotate_cells(image, wrapped, size=_cell_size(texts, width))
    ax.set_xticks(range(heads), [f"H{head}" for head in association["head"].values])
    ax.set_yticks(range(layers), [f"L{layer}" for layer in association["layer"].values])
    bare(ax)
    ax.figure.colorbar(image, ax=ax, label="texts that agree (CCS / 5)", fraction=0.05, pad=0.02)
    ax.set_title("What each head is about")
    return ax


def _cell_size(texts: np.ndarray, width: float) -> float:
    longest = max((len(word) for text in texts.flat for word in text.split()), default=1)
    # A letter is about 0.55 of its font size wide, and an inch has 72 points.
    return float(np.clip(0.92 * width * 72 / (0.55 * longest), 5, 10))


def explained_curves(explained: xr.DataArray, by_chance: xr.DataArray, *, ax: Axes) -> Axes:
    """Variance that each head's first texts explain together, beside directions that mean nothing.

    Parameters
    ----------
    explained : DataArray, (layer, head, choice)
        Share that each text adds.
    by_chance : DataArray, (pool, draw, layer, head, choice)
        The same of directions from pools that mean nothing.
    ax : matplotlib.axes.Axes
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        A grey line per head, and a bold one for the mean of heads, for texts and for every pool.
    """
    of_heads = explained.stack(unit=("layer", "head")).transpose("choice", "unit").cumsum("choice")
    ax.plot(explained["choice"], of_heads, color="#CCCCCC", linewidth=0.8, zorder=1)
    pools = {str(pool): by_chance.sel(pool=pool) for pool in by_chance["pool"].values}
    for (name, values), color in zip(({"texts": explained} | pools).items(), LINES, strict=False):
        mean = values.mean([axis for axis in values.dims if axis != "choice"]).cumsum("choice")
        ax.plot(values["choice"], mean, color=color, linewidth=2.2, label=name)
    ax.set_ylim(0, 1.02)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.grid(axis="y")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("number of texts")
    ax.set_ylabel("variance of the head explained")
    ax.legend(title="mean of heads, by", loc="lower right")
    ax.set_title("How much of a head its texts explain")
    return ax


def association_histogram(
    association: Mapping[str, xr.DataArray],
    chance: xr.DataArray,
    *,
    top: int,
    ax: Axes,
) -> Axes:
    """Count the heads with each concept consistency score, the share of which is CCS@K.

    Parameters
    ----------
    association : mapping of str to DataArray, (layer, head)
        Model → of its heads, all models having as many; heads without one are left out.
    chance : DataArray, (draw, layer, head)
        Of the first model's heads, with shuffled properties.
    top : int
        Number of texts that it is a share of.
    ax : matplotlib.axes.Axes
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        Bars side by side: heads of each model; black steps: mean number by chance.
    """
    places = np.arange(1, top + 1)
    width = 0.8 / len(association)
    for number, (name, values) in enumerate(association.items()):
        at = places + (number - (len(association) - 1) / 2) * width
        color = style.REFERENCE if number else LINES[0]
        ax.bar(at, _heads_at(values, top), color=color, width=width, label=name)
    expected = np.array(_heads_at(chance, top)) / chance.sizes["draw"]
    ax.hlines(expected, places - 0.45, places + 0.45, color=style.INK, linewidth=2, label="chance")
    ax.set_xticks(places, [f"{place} of {top}" for place in places])
    ax.set_xlabel("first texts that belong to the head's label (CCS)")
    ax.set_ylabel("heads")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()
    ax.set_title("How far a head's texts agree on its label")
    return ax


def _heads_at(association: xr.DataArray, top: int) -> list[int]:
    counts = np.rint(top * association)
    return [int((counts == place).sum()) for place in range(1, top + 1)]


def labels_and_truth(variance: xr.DataArray, answers: xr.DataArray, labels: xr.DataArray) -> Figure:
    """Hold heads' labels against what they vary with and which answers they sway.

    Parameters
    ----------
    variance : DataArray, (layer, head, attribute)
        Share of a head's variance that lies between an attribute's values.
    answers : DataArray, (layer, head, attribute)
        Share of the spread of zero-shot answers that a head accounts for.
    labels : DataArray, (layer, head)
        Names of attributes, or others, which have no square.

    Returns
    -------
    matplotlib.figure.Figure
        Heads sorted by label. A square marks each head's label, a dot its largest value: the two
        agree where the dot is in the square.
    """
    names = list(variance["attribute"].values)
    flat = labels.stack(unit=("layer", "head"))
    places = [names.index(label) if label in names else len(names) for label in flat.values]
    order = np.argsort(places, kind="stable")
    figure, axes = panels(2, columns=2, size=(5.2, 1.4 + 0.21 * len(order)), sharey=True)
    sides = (("share of the head's variance", variance), ("head's share of the answers", answers))
    for ax, (title, values) in zip(axes, sides, strict=True):
        table = values.stack(unit=("layer", "head")).transpose("unit", "attribute")[order]
        image = ax.imshow(table.clip(0), cmap="Greys", vmin=0, aspect="auto")
        ax.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        ax.plot(table.fillna(-1).argmax("attribute"), range(len(order)), "o", color=LINES[1], ms=5)
        _squares(ax, [(row, places[unit]) for row, unit in enumerate(order)], len(names))
        bare(ax)
        figure.colorbar(image, ax=ax, fraction=0.05, pad=0.02)
        ax.set_title(title, fontsize=11)
    axes[0].set_yticks(range(len(order)), [_row_name(flat[unit]) for unit in order], fontsize=9)
    marks = [
        Line2D([], [], marker="s", markersize=9, color=LINES[0], markerfacecolor="none", lw=0),
        Line2D([], [], marker="o", markersize=5, color=LINES[1], lw=0),
    ]
    figure.legend(marks, ["label of the head", "largest value"], loc="outside upper right", ncols=2)
    return figure


def _squares(ax: Axes, cells: list[tuple[int, int]], columns: int) -> None:
    for row, column in cells:
        if column < columns:
            corner = (column - 0.5, row - 0.5)
            ax.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=LINES[0], linewidth=1.8))


def _row_name(label: xr.DataArray) -> str:
    return f"{label.item()}  {head_name(label['layer'].item(), label['head'].item())}"


def model_shares(shares: pd.DataFrame) -> Figure:
    """Draw which share of each model's heads has a mark, a panel per mark.

    Parameters
    ----------
    shares : pandas.DataFrame
        Rows (mark, model) with `share`, `low` and `high`.

    Returns
    -------
    matplotlib.figure.Figure
        Dots with intervals; models in their order, the first on top.
    """
    marks = shares.index.unique("mark")
    figure, axes = panels(len(marks), size=(3.9, 2.9), sharey=True, sharex=True)
    for mark, ax in zip(marks, axes, strict=True):
        rows = shares.loc[mark]
        ax.hlines(range(len(rows)), rows["low"], rows["high"], color=LINES[0], linewidth=2)
        ax.plot(rows["share"], range(len(rows)), "o", color=LINES[0])
        ax.set_title(fill(mark, 34), fontsize=11)
        ax.grid(axis="x")
    axes[0].set_yticks(range(len(rows)), rows.index)
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    axes[0].set_xlim(0, None)
    axes[0].xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.supxlabel("share of the heads", fontsize=11)
    return figure


# Cards


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
    for cell, card, shown, fact in zip(cells, cards, images, facts, strict=False):
        lines = [fill(texts[place], LETTERS_IN_CELL) for place in card["text"].values[:2]]
        _sheet_cell(cell, card_title(card), shown, [*lines, _written(fact)])
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
