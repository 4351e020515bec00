"""One look for all figures: a colour and a label for every name, and Matplotlib's settings."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle

import matplotlib as mpl
from matplotlib import font_manager

from helpers.analysis.scores import SCORES
from helpers.checks import one_of
from helpers.data import CHANGES, STUDY
from helpers.data.changes import ORIGINAL

# Paul Tol's "muted" scheme (personal.sron.nl/~pault), nine colours that remain apart for every
# kind of colour vision; similar augmentations of the study have neighbouring hues.
STUDY_COLORS: Mapping[str, str] = {
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

# What other changes get, in this order, so far as they are free: the first nine hues, then eleven
# more that differ from them in lightness; none is the grey of what stands for comparison. Lines and
# markers distinguish what colours of more than ten changes don't.
PALETTE: tuple[str, ...] = (
    *STUDY_COLORS.values(),
    *("#E69F00", "#0072B2", "#D55E00", "#A6D854", "#8C564B", "#5B9E2D"),
    *("#F7A8C4", "#4D3A00", "#6A5ACD", "#B8B89A", "#00C2D1"),
)
STYLES: tuple[tuple[str, str], ...] = (("-", "o"), ("--", "s"), (":", "^"))
"""Lines and markers of the first ten changes, the second ten, and so on."""
STYLED = 10


class _Labels(Mapping[str, str]):
    """The labels of views and scores, of those too that users register."""

    def __getitem__(self, name: str) -> str:
        row = CHANGES.get(name) or SCORES.get(name)
        if row is None and name != ORIGINAL:
            raise KeyError(name)
        return "Original" if row is None else row.label

    def __iter__(self) -> Iterator[str]:
        return iter((ORIGINAL, *CHANGES, *SCORES))

    def __len__(self) -> int:
        return 1 + len(CHANGES) + len(SCORES)


LABELS: Mapping[str, str] = _Labels()

INK = "#222222"
REFERENCE = "#777777"
SEQUENTIAL = "cividis"
DIVERGING = "RdBu_r"
HEAT = "inferno"
WHISKER: Mapping[str, object] = {"ecolor": INK, "elinewidth": 1.2, "capsize": 2.5}

# Matplotlib's own font has no such signs as those of a Chinese, Korean or Thai caption, and no
# emoji. Those of these that are installed draw them.
FONTS: tuple[str, ...] = (
    "DejaVu Sans",
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans JP", "Noto Sans KR"),
    *("Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback"),
    *("PingFang SC", "Hiragino Sans GB", "Apple SD Gothic Neo", "Thonburi", "Arial Unicode MS"),
    *("Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Leelawadee UI", "Segoe UI Emoji"),
    *("Noto Sans Thai", "Noto Sans Devanagari", "Noto Sans Arabic", "Noto Emoji", "Symbola"),
    *("NanumGothic", "Baekmuk Gulim", "Garuda", "Loma", "Unifont"),
)

SETTINGS: Mapping[str, object] = {
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
    "axes.formatter.useoffset": False,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.8,
    "image.interpolation": "nearest",
}


# The changes that have colours of their own now, in the order of the run that figures are of.
_shown: list[str] = list(STUDY)


def apply(changes: Sequence[str] = STUDY) -> None:
    """Set Matplotlib's defaults for the session, as every notebook does in its first cell.

    Parameters
    ----------
    changes : sequence of str
        The run's changes: up to twenty get a colour of their own each, more a line and marker.
    """
    installed = set(font_manager.get_font_names())
    mpl.rcParams.update(SETTINGS, **{"font.family": [name for name in FONTS if name in installed]})
    _shown[:] = changes


def colors() -> dict[str, str]:
    """Return a colour for every change: first for those that `apply` was given, then for others.

    The study's augmentations keep theirs; others take what is free of `PALETTE`, in their order.
    """
    shown = [name for name in _shown if name not in STUDY_COLORS]
    taken = {STUDY_COLORS[name] for name in _shown if name in STUDY_COLORS}
    free = [color for color in PALETTE if color not in taken]
    rest = [name for name in CHANGES if name not in STUDY_COLORS and name not in shown]
    return {**STUDY_COLORS, **dict(zip([*shown, *rest], cycle(free), strict=False))}


def line(change: str) -> dict[str, str]:
    """Return line style and marker of a change, which distinguish what colours of many don't.

    Parameters
    ----------
    change : str
        Name of a change.

    Returns
    -------
    dict
        Options ``linestyle`` and ``marker`` of Matplotlib's.
    """
    place = _shown.index(change) if change in _shown else 0
    linestyle, marker = STYLES[place // STYLED % len(STYLES)]
    return {"linestyle": linestyle, "marker": marker}


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
    return INK if view == ORIGINAL else colors()[one_of("view", view, [ORIGINAL, *CHANGES])]


def label(name: str) -> str:
    """Label of a view or score in figures.

    Parameters
    ----------
    name : str
        A view's or score's name.

    Returns
    -------
    str
        The words to show; of a user's row that isn't registered here, such as one that a stored run
        has, those of its name.
    """
    return LABELS.get(name) or name.replace("_", " ").capitalize()


def in_words(name: str) -> str:
    """Label of a view or score within a sentence.

    Parameters
    ----------
    name : str
        The view's or score's name.

    Returns
    -------
    str
        Begins with a small letter, but for an abbreviation such as JPEG; other capitals stay.

    Raises
    ------
    WorkbookError
        If there is neither a view nor a score of that name.
    """
    words = label(name)
    return words if words[:2].isupper() else words[:1].lower() + words[1:]
