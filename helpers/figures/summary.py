"""The study's answer in one figure: a row for each change."""

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.figures import style

MARKERS = "●■▲◆"
"""Of the sources of images, in all columns."""
NOTHING = "–"
ROW, HEAD = 1.25, 0.9  # inches
PICTURES, SHIFT = (1.25, 1.25), 2.4  # inches across
LETTER = 0.077  # inches
ANOTHER_IMAGE = 1.0


def summary(
    pictures: Mapping[str, Sequence[np.ndarray]],
    moved: Mapping[str, pd.DataFrame],
    notes: Mapping[str, tuple[int, Mapping[str, pd.Series]]],
) -> Figure:
    """Draw what each change does to a picture and to the model.

    Parameters
    ----------
    pictures : mapping of str to sequence of two ndarrays of uint8, h × w × 3
        Change → a picture before and after; rows have this order, from the top.
    moved : mapping of str to DataFrame
        Source of images → by change, `mean`, `low` and `high` of how far it moves embeddings, in
        units of the distance between two different images.
    notes : mapping of str to (int, mapping of str to Series of str)
        Heading of a column → its width in letters, and source → by change, what to write. A column
        that has nothing to say is left out.

    Returns
    -------
    Figure
    """
    notes = {name: column for name, column in notes.items() if _speaks(column[1])}
    widths = [*PICTURES, SHIFT, *(LETTER * letters for letters, _ in notes.values())]
    figure, axes = plt.subplots(
        1 + len(pictures),
        len(widths),
        figsize=(sum(widths) + 1.6, HEAD + ROW * len(pictures)),
        width_ratios=widths,
        height_ratios=[HEAD, *[ROW] * len(pictures)],
        squeeze=False,
    )
    longest = max(np.nan_to_num(group[["mean", "high"]]).max() for group in moved.values())
    reach = 1.08 * max(longest, ANOTHER_IMAGE)
    headings = ["before", "after", "how far it moves", *notes]
    for ax, heading in zip(axes[0], headings, strict=True):
        _write(ax, heading, 0, weight="bold", va="bottom")
    _write(axes[0, 2], _key(moved), -0.02, va="top")
    for (name, pair), row in zip(pictures.items(), axes[1:], strict=True):
        for ax, pixels in zip(row, pair, strict=False):
            ax.imshow(pixels)
            ax.set(xticks=[], yticks=[])
        label = "\n".join(textwrap.wrap(style.label(name), 12))
        row[0].set_ylabel(label, rotation=0, ha="right", va="center", weight="bold")
        _shift(row[2], {source: group.loc[name] for source, group in moved.items()}, reach)
        for ax, (letters, by_source) in zip(row[3:], notes.values(), strict=True):
            _note(ax, letters, {source: group[name] for source, group in by_source.items()})
    axes[-1, 2].tick_params(axis="x", labelbottom=True)
    axes[-1, 2].set_xlabel("1: as far as another image")
    return figure


def _speaks(by_source: Mapping[str, pd.Series]) -> bool:
    return any((words != NOTHING).any() for words in by_source.values())


def _key(sources: Mapping[str, object]) -> str:
    if len(sources) == 1:
        return ""
    return "   ".join(
        f"{marker} {source}" for marker, source in zip(MARKERS, sources, strict=False)
    )


def _shift(ax: Axes, moved: Mapping[str, pd.Series], reach: float) -> None:
    """Draw a dot with its interval for each source, one below the other."""
    for place, row in enumerate(moved.values()):
        arms = np.clip(
            np.nan_to_num([[row["mean"] - row["low"]], [row["high"] - row["mean"]]]), 0, None
        )
        look = {"fmt": "os^D"[place], "color": style.INK, "markersize": 8, **style.WHISKER}
        ax.errorbar(row["mean"], -place, xerr=arms, **look)
    ax.axvline(ANOTHER_IMAGE, color=style.REFERENCE, linestyle=":")
    ax.set(xlim=(0, reach), ylim=(0.7 - len(moved), 0.7 - 0.4 * (len(moved) == 1)), yticks=[])
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="x", labelbottom=False)
    ax.grid(axis="x")


def _note(ax: Axes, letters: int, by_source: Mapping[str, str]) -> None:
    lines = []
    for marker, text in zip(MARKERS, by_source.values(), strict=False):
        first, *others = textwrap.wrap(text, letters - 3) or [NOTHING]
        mark = f"{marker} " if len(by_source) > 1 else ""
        lines += [f"{mark}{first}", *(f"   {line}" for line in others)]
    _write(ax, "\n".join(lines), 0.5, va="center", fontsize=9.5, linespacing=1.25)


def _write(ax: Axes, text: str, height: float, **look: object) -> None:
    ax.set_axis_off()
    ax.text(0, height, text, transform=ax.transAxes, **look)
