"""Models side by side: where each writes a shift, and where any difference."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from helpers.figures import style
from helpers.figures.layout import panels

LOOKS = {"shift": ("-", "o", style.INK), "ordinary": ("--", "s", style.REFERENCE)}
WORDS = {"shift": "shifts, mean over changes", "ordinary": "two different images"}


def layer_profiles(profiles: Mapping[str, pd.DataFrame], *, columns: int = 3) -> Figure:
    """Draw what each layer carries of shifts, and of ordinary differences.

    Parameters
    ----------
    profiles : mapping of str to DataFrame
        Title of a panel → columns ``shift`` and ``ordinary``: the share of each layer, its index.
    columns : int
        Panels side by side.

    Returns
    -------
    Figure
    """
    figure, axes = panels(len(profiles), columns=columns, size=(4.2, 2.6), sharey=True)
    for ax, (title, own) in zip(axes, profiles.items(), strict=True):
        for name, (line, marker, color) in LOOKS.items():
            ax.plot(own.index, own[name], line, marker=marker, color=color, label=WORDS[name])
        ax.set_xticks(own.index)
        ax.set_title(title, fontsize=11)
        ax.grid(axis="y")
    axes[0].set_ylim(bottom=min(0, *(own.min(axis=None) for own in profiles.values())))
    figure.supxlabel("layer", fontsize=11)
    figure.supylabel("share", fontsize=11)
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=2)
    return figure
