"""Figures in words, for those who can't see them."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

MOST = 12


def describe(figure: Figure) -> str:
    """Say what a figure shows: its titles, axes and series, as it names them itself."""
    shown = [ax for ax in figure.axes if ax.get_visible()]
    titles = [figure.get_suptitle(), *(ax.get_title(at) for ax in shown for at in SIDES)]
    labels = {
        "Panels": titles,
        "Horizontal axis": [ax.get_xlabel() for ax in shown],
        "Vertical axis": [ax.get_ylabel() for ax in shown],
        "Rows": [text for ax in shown for text in _ticks(ax)],
        "Series": [text for holder in (figure, *shown) for text in _legend(holder)],
    }
    return " ".join(
        f"{name}: {_listed(texts)}." for name, texts in labels.items() if any(map(str.strip, texts))
    )


SIDES = ("left", "center", "right")


def _ticks(ax: Axes) -> list[str]:
    """Return the names along the vertical axis, top first; numbers are no names."""
    texts = [label.get_text() for label in ax.get_yticklabels()]
    named = [text for text in texts if any(map(str.isalpha, text))]
    return named if ax.yaxis_inverted() else named[::-1]


def _legend(holder: Figure | Axes) -> list[str]:
    legends = holder.legends if isinstance(holder, Figure) else [holder.get_legend()]
    return [text.get_text() for legend in legends if legend for text in legend.get_texts()]


def _listed(texts: list[str]) -> str:
    """List each text once, on one line, and say how many are left out."""
    different = list(dict.fromkeys(" ".join(text.split()) for text in texts if text.strip()))
    more = len(different) - MOST
    return "; ".join(different[:MOST]) + (f" and {more} more" if more > 0 else "")
