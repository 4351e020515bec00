"""Figures of what carries a shift: layers, heads, MLPs and patches."""

from collections.abc import Collection, Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from helpers.analysis.dissection import POOL, REST, on_grid
from helpers.figures import style
from helpers.figures.dots import SERIES
from helpers.figures.layout import bare, shortened, tall, tick_views, view_axes

LABELLED = 0.035  # narrower segments of a bar have no room for their layer's name
VISIBLE = 0.002  # shares below this draw no bar that the legend would have to name
LONGEST_TITLE = 12
MAP_QUANTILE = 0.995  # a single head of a single change would leave all others pale
MOST_COLUMNS = 10
FURTHEST = -1  # times the shift away from the original: baselines may lie anywhere below
OVERLAY_OPACITY = 0.85  # of the patches that moved most; those that didn't are clear
OVERLAY_QUANTILE = 0.99
KINDS: Mapping[str, tuple[str, str]] = {
    "heads": ("Blues", "attention heads"),
    "MLP": ("Oranges", "MLPs"),
}
OTHERS: Mapping[str, str] = {POOL: "#6A51A3", REST: "#BBBBBB"}


def layer_bars(parts: Mapping[str, xr.DataArray]) -> Figure:
    """Draw each augmentation's shift as a bar of what carries it, layer by layer.

    Parameters
    ----------
    parts : mapping of str to DataArray, (augmentation, part)
        Source of images → mean shares, as of `helpers.analysis.dissection.part_shares`.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per source. Heads in blue, then MLPs in orange, darker with depth, then the pool's
        own MLP, if any, and the rest in grey; what works against the shift lies left of zero.
    """
    size = tall((3.4 + 4.6 * len(parts), 5), next(iter(parts.values())).sizes["augmentation"])
    figure, axes = plt.subplots(
        1, len(parts), figsize=size, sharex=True, sharey=True, squeeze=False
    )
    for (source, shares), ax in zip(parts.items(), axes.flat, strict=True):
        _layer_bars(ax, shares)
        ax.set_title(source)
    figure.supxlabel("share of the shift, mean over images", fontsize=11)
    seen = {
        part
        for shares in parts.values()
        for part in shares["part"].values
        if abs(shares.sel(part=part)).max() >= VISIBLE
    }
    _kinds_legend(figure, seen)
    return figure


def _layer_bars(ax: Axes, parts: xr.DataArray) -> None:
    names = parts["augmentation"].values
    ends = {1: np.zeros(len(names)), -1: np.zeros(len(names))}
    for part in _heads_then_mlps(parts["part"].values):
        _stack(ax, parts.sel(part=part).values, ends, part, _part_color(part, parts["part"].values))
    tick_views(ax, names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.axvline(0, color=style.INK, linewidth=0.8)
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def excess_maps(excess: Mapping[str, xr.Dataset]) -> Figure:
    """Draw what heads and MLPs carry beyond their share in an ordinary difference.

    Parameters
    ----------
    excess : mapping of str to Dataset
        Source of images → as of `helpers.analysis.specificity.excess_shares`.

    Returns
    -------
    matplotlib.figure.Figure
        A row of panels per source and a column per change, in blocks of `MOST_COLUMNS`; in each the
        first layer at the bottom, heads and then the MLP. All on one scale: red carries more than
        ordinarily, blue less; a dot marks what is surely above 0.
    """
    names = next(iter(excess.values()))["augmentation"].values
    blocks = -(-len(names) // MOST_COLUMNS)
    columns = -(-len(names) // blocks)
    cells = [
        [(source, name) for name in names[block * columns : (block + 1) * columns]]
        for block in range(blocks)
        for source in excess
    ]
    size = (1.2 + 1.25 * columns, 0.5 + 1.75 * len(cells))
    figure, axes = plt.subplots(len(cells), columns, figsize=size, squeeze=False)
    scale = _scale_of(excess)
    for row, shown in zip(axes, cells, strict=True):
        for ax in row[len(shown) :]:
            ax.remove()
        for ax, (source, name) in zip(row, shown, strict=False):
            _excess_map(ax, excess[source].sel(augmentation=name), scale)
            ax.set_title(fill(style.label(name), LONGEST_TITLE), fontsize=9, loc="center")
        row[0].set_ylabel(f"{shown[0][0]}: layer")
    figure.supxlabel("head, and M, the layer's MLP", fontsize=11)
    colors = ScalarMappable(scale, style.DIVERGING)
    bar = figure.colorbar(
        colors, ax=figure.axes, label="excess share", extend="both", aspect=30, pad=0.01
    )
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    return figure


def _scale_of(excess: Mapping[str, xr.Dataset]) -> Normalize:
    values = np.concatenate(
        [np.abs(group["excess"]).fillna(0).values.ravel() for group in excess.values()]
    )
    reach = float(np.quantile(values, MAP_QUANTILE)) or 1.0
    return Normalize(-reach, reach)


def _excess_map(ax: Axes, excess: xr.Dataset, scale: Normalize) -> None:
    values = excess[["excess", "specific"]].astype(float)
    heads = on_grid(values)
    mlps = values.sel(component=[f"L{layer}.MLP" for layer in heads["layer"].values])
    grids = {}
    for name in values:
        grid, last = heads[name].transpose("layer", "head").values, mlps[name].values[:, None]
        grids[name] = np.hstack([grid, np.full_like(last, np.nan), last])
    ax.imshow(grids["excess"], cmap=style.DIVERGING, norm=scale, origin="lower", aspect="auto")
    layers, places = np.nonzero(grids["specific"] == 1)
    ax.scatter(places, layers, s=6, color=style.INK)
    bare(ax)
    count = heads.sizes["head"]
    ax.set_xticks([0, count - 1, count + 1], ["0", str(count - 1), "M"])
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def patch_overlays(pixels: np.ndarray, shares: xr.DataArray, *, titles: Sequence[str]) -> Figure:
    """Lay the patches that moved over the augmented views.

    Parameters
    ----------
    pixels : numpy.ndarray of uint8, (images, augmentations + 1, h, w, 3)
        The original and the augmented views.
    shares : DataArray, (image, augmentation, row, column)
        Share of the shift in what all heads read from each patch.
    titles : sequence of str
        A short title for every image.

    Returns
    -------
    matplotlib.figure.Figure
        A row per image: the original, then each view in grey under its map. Below each, what all
        its patches carry together.
    """
    names = shares["augmentation"].values
    rows = [shortened(title) for title in titles]
    figure, axes = view_axes(["original", *names], rows, size=(1.4, 1.75))
    # A single patch that carries half of a shift would leave all others pale.
    reach = float(np.quantile(np.abs(shares), OVERLAY_QUANTILE)) or 1.0
    scale = Normalize(-reach, reach, clip=True)
    for place, ax in np.ndenumerate(axes):
        image, view = place
        if view == 0:
            ax.imshow(pixels[image, 0])
        else:
            share = shares.isel(image=image, augmentation=view - 1).values
            _overlay(ax, pixels[image, view], share, scale)
    colors = ScalarMappable(scale, style.DIVERGING)
    label = "share of the shift in what heads read from a patch"
    bar = figure.colorbar(
        colors,
        ax=axes,
        location="bottom",
        label=label,
        aspect=60,
        shrink=0.5,
        pad=0.02,
        extend="both",
    )
    bar.ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def undone_by_layer(
    groups: Mapping[str, pd.DataFrame],
    *,
    columns: Sequence[Mapping[str, str]],
    baseline: str,
) -> Figure:
    """Draw how much of shifts is undone by what is patched in each layer.

    Parameters
    ----------
    groups : mapping of str to DataFrame
        Source of images → columns `choice`, `layer`, `mean`, `low`, `high`.
    columns : sequence of mappings of str to str
        Choice → words; a column of panels each.
    baseline : str
        What stands behind a choice's name where it is the choice's baseline, drawn dashed.

    Returns
    -------
    matplotlib.figure.Figure
        A row of panels per source. Bands are the intervals.
    """
    size = (5.6 * len(columns), 1.2 + 2.5 * len(groups))
    figure, axes = plt.subplots(
        len(groups), len(columns), figsize=size, squeeze=False, sharex=True, sharey=True
    )
    for row, (source, table) in zip(axes, groups.items(), strict=True):
        for ax, choices in zip(row, columns, strict=True):
            _lines_by_layer(ax, table, choices, baseline)
        row[0].set_title(source)
    for ax, choices in zip(axes[0], columns, strict=True):
        dashed = any(line.get_linestyle() == "--" for line in ax.lines)
        handles = [line for line in ax.lines if line.get_label() in choices.values()]
        more = [Line2D([], [], color=style.REFERENCE, linestyle="--", label=baseline)]
        ax.legend(
            handles=handles + more * dashed,
            loc="lower right",
            bbox_to_anchor=(1, 1.02),
            ncols=2,
            fontsize=9,
        )
    for ax in axes[-1]:
        ax.set_xlabel("patched after, or in, layer")
    low, _ = axes[0, 0].get_ylim()
    axes[0, 0].set_ylim(max(low, FURTHEST), 1.05)
    figure.supylabel("part of the way back to the original", fontsize=11)
    return figure


def _lines_by_layer(
    ax: Axes, table: pd.DataFrame, choices: Mapping[str, str], baseline: str
) -> None:
    for (choice, words), (color, marker) in zip(choices.items(), SERIES, strict=False):
        curve, other = (table[table["choice"] == name] for name in (choice, f"{choice} {baseline}"))
        if len(curve):
            ax.fill_between(
                curve["layer"], curve["low"], curve["high"], color=color, alpha=0.18, lw=0
            )
            ax.plot(curve["layer"], curve["mean"], marker, ls="-", color=color, ms=5, label=words)
        if other["mean"].notna().any():
            ax.plot(other["layer"], other["mean"], "--", color=color, linewidth=1.2)
    ax.axhline(0, color=style.INK, linewidth=0.8)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.grid(axis="y")


def _heads_then_mlps(parts: Sequence[str]) -> list[str]:
    return [part for kind in (*KINDS, *OTHERS) for part in parts if part.endswith(kind)]


def _part_color(part: str, parts: Sequence[str]) -> tuple | str:
    if part in OTHERS:
        return OTHERS[part]
    layer, kind = part.split()
    layers = max(sum(other.endswith(kind) for other in parts) - 1, 1)
    return plt.get_cmap(KINDS[kind][0])(0.2 + 0.7 * int(layer[1:]) / layers)


def _stack(
    ax: Axes, widths: np.ndarray, ends: dict[int, np.ndarray], part: str, color: tuple | str
) -> None:
    """Add a segment to every bar, at its positive or its negative end."""
    signs = np.where(widths < 0, -1, 1)
    starts = np.where(signs < 0, ends[-1], ends[1])
    bars = ax.barh(
        range(len(widths)), widths, left=starts, color=color, edgecolor="white", linewidth=0.5
    )
    bars.set_label(part)
    for sign in ends:
        ends[sign] = ends[sign] + np.where(signs == sign, widths, 0)
    if part not in OTHERS:
        texts = [part.split()[0] if abs(width) >= LABELLED else "" for width in widths]
        dark = np.dot(color[:3], (0.2126, 0.7152, 0.0722)) < 0.5
        ax.bar_label(
            bars, texts, label_type="center", fontsize=8, color="white" if dark else style.INK
        )


def _kinds_legend(figure: Figure, parts: Collection[str]) -> None:
    kinds = {
        f"{name}, darker with depth": plt.get_cmap(cmap)(0.65) for cmap, name in KINDS.values()
    }
    colors = kinds | {part: color for part, color in OTHERS.items() if part in parts}
    handles = [plt.Rectangle((0, 0), 1, 1, color=color) for color in colors.values()]
    figure.legend(handles, colors, loc="outside upper left", ncols=len(colors))


def _overlay(ax: Axes, pixels: np.ndarray, shares: np.ndarray, scale: Normalize) -> None:
    # In grey, so that the image's colours aren't taken for the map's.
    height, width = pixels.shape[:2]
    ax.imshow(pixels.mean(axis=-1), cmap="gray", vmin=0, vmax=255)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    opacity = OVERLAY_OPACITY * np.clip(np.abs(shares) / scale.vmax, 0, 1)
    ax.imshow(shares, cmap=style.DIVERGING, norm=scale, alpha=opacity, extent=extent)
    ax.set_xlabel(f"{shares.sum():.0%}", fontsize=9, labelpad=2)
