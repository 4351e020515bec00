"""One look for all figures: a colour and a label for every name, and Matplotlib's settings."""

from collections.abc import Mapping
from types import MappingProxyType

import matplotlib as mpl

from helpers.analysis.scores import SCORES
from helpers.checks import one_of
from helpers.data import AUGMENTATIONS

# Paul Tol's "muted" scheme (personal.sron.nl/~pault), nine colours that remain apart for every
# kind of colour vision; similar augmentations have neighbouring hues.
COLORS: Mapping[str, str] = MappingProxyType(
    {
        "original": "#222222",
        "noise": "#882255",
        "blur": "#332288",
        "color_jitter": "#CC6677",
        "shift_scale_rotate": "#117733",
        "horizontal_flip": "#88CCEE",
        "elastic": "#44AA99",
        "perspective": "#999933",
        "random_brightness_contrast": "#DDCC77",
        "coarse_dropout": "#AA4499",
    }
)

LABELS: Mapping[str, str] = MappingProxyType(
    {"original": "Original"}
    | {name: row.label for name, row in AUGMENTATIONS.items()}
    | {name: row.label for name, row in SCORES.items()}
)

INK = "#222222"
REFERENCE = "#777777"
SEQUENTIAL = "cividis"
DIVERGING = "RdBu_r"
HEAT = "inferno"
WHISKER: Mapping[str, object] = MappingProxyType({"ecolor": INK, "elinewidth": 1.2, "capsize": 2.5})

SETTINGS: Mapping[str, object] = MappingProxyType(
    {
        "figure.constrained_layout.use": True,
        "figure.dpi": 100,
        "savefig.dpi": 150,
        "savefig.bbox": "tight",
        "font.size": 11,
        "axes.titlesize": 12,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.labelsize": 11,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
        "legend.fontsize": 10,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": REFERENCE,
        "axes.labelcolor": INK,
        "text.color": INK,
        "text.parse_math": False,  # a caption may hold dollars; no formula is drawn
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.axisbelow": True,
        "grid.color": "#DDDDDD",
        "grid.linewidth": 0.8,
        "image.interpolation": "nearest",
    }
)


def apply() -> None:
    """Set Matplotlib's defaults for the session, as every notebook does in its first cell."""
    mpl.rcParams.update(SETTINGS)


def color(view: str) -> str:
    """Colour of a view, the same in every figure of every notebook.

    Parameters
    ----------
    view : str
        A view's name.

    Returns
    -------
    str
        A hexadecimal colour.

    Raises
    ------
    WorkbookError
        If there is no view of that name.
    """
    return COLORS[one_of("view", view, COLORS)]


def label(name: str) -> str:
    """Label of a view or score in figures.

    Parameters
    ----------
    name : str
        A view's or score's name.

    Returns
    -------
    str
        The words to show.

    Raises
    ------
    WorkbookError
        If there is neither a view nor a score of that name.
    """
    return LABELS[one_of("name", name, LABELS)]
