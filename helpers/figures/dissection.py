"""Figures of what carries a shift, what it says, and what patching heads takes away."""

from collections.abc import Collection, Mapping, Sequence
from textwrap import fill
from types import MappingProxyType

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from helpers.analysis.clustering import Clustering
from helpers.analysis.dissection import POOL, REST
from helpers.figures import style
from helpers.figures.clustering import dendrogram
from helpers.figures.layout import (
    bare,
    few_ticks,
    panels,
    shortened,
    tall,
    tick_views,
    view_axes,
)

LABELLED = 0.035  # narrower segments of a bar have no room for their layer's name
VISIBLE = 0.002  # shares below this draw no bar that the legend would have to name
LONGEST_LINE = 34
OVERLAY_OPACITY = 0.85  # of the patches that moved most; those that didn't are clear
OVERLAY_QUANTILE = 0.99
KINDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"heads": ("Blues", "attention heads"), "MLP": ("Oranges", "MLPs")}
)
OTHERS: Mapping[str, str] = MappingProxyType({POOL: "#6A51A3", REST: "#BBBBBB"})
CURVES: Mapping[tuple[str, str], Mapping[str, object]] = MappingProxyType(
    {
        ("top", "direct"): {"linestyle": "-", "marker": "o", "label": "top heads, direct effect"},
        ("top", "total"): {"linestyle": "--", "marker": "s", "label": "top heads, total effect"},
        ("own", "total"): {
            "linestyle": ":",
            "marker": "^",
            "label": "chosen on the same image, total effect",
        },
        ("random", "direct"): {"linestyle": "-", "label": "random heads, direct effect"},
        ("random", "total"): {"linestyle": "--", "label": "random heads, total effect"},
    }
)


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
    for (source, own), ax in zip(parts.items(), axes.flat, strict=True):
        _layer_bars(ax, own)
        ax.set_title(source)
    figure.supxlabel("share of the shift, mean over images", fontsize=11)
    seen = {
        part
        for own in parts.values()
        for part in own["part"].values
        if abs(own.sel(part=part)).max() >= VISIBLE
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


def head_maps(heads: xr.DataArray) -> Figure:
    """Draw the layers × heads map of every augmentation on one scale.

    Parameters
    ----------
    heads : DataArray, (augmentation, layer, head)
        Mean shares.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per augmentation, the first layer at the bottom; red carries the shift, blue works
        against it.
    """
    reach = float(np.abs(heads).max()) or 1.0
    scale = Normalize(-reach, reach)
    count = heads.sizes["augmentation"]
    figure, axes = panels(count, size=(3.1, 2.7), sharex=True, sharey=True)
    for ax, own in zip(axes, heads.transpose("augmentation", "layer", "head"), strict=True):
        ax.imshow(own, cmap=style.DIVERGING, norm=scale, origin="lower", aspect="auto")
        ax.set_title(style.label(own["augmentation"].item()), fontsize=11)
        bare(ax)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(6, integer=True))
    figure.supxlabel("head", fontsize=11)
    figure.supylabel("layer", fontsize=11)
    colors = ScalarMappable(scale, style.DIVERGING)
    bar = figure.colorbar(colors, ax=axes, shrink=0.6, label="share of the shift, mean over images")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    return figure


def top_heads(table: pd.DataFrame, properties: Mapping[str, str]) -> Figure:
    """Draw the heads that carry most of each augmentation's shift.

    Parameters
    ----------
    table : DataFrame
        As of `helpers.analysis.dissection.top_components`.
    properties : mapping of str to str
        Head → property; heads that were not read have none.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per augmentation: mean shares with intervals.
    """
    names = table["augmentation"].unique()
    figure, axes = panels(len(names), size=(3.9, 2.3), sharex=True)
    for name, ax in zip(names, axes, strict=True):
        own = table[table["augmentation"] == name]
        _dots(ax, own, color=style.color(name))
        ax.set_yticks(range(len(own)), [_named(head, properties) for head in own["component"]])
        ax.axvline(0, color=style.REFERENCE, linewidth=0.8)
        ax.set_title(style.label(name), fontsize=11)
        ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        few_ticks(ax)
    figure.supxlabel("share of the shift, mean and 95 % interval over images", fontsize=11)
    return figure


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
            own = shares.isel(image=image, augmentation=view - 1).values
            _overlay(ax, pixels[image, view], own, scale)
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


def profile_trees(profiles: Clustering, embeddings: Clustering) -> Figure:
    """Draw the tree of head profiles beside the tree of embeddings.

    Parameters
    ----------
    profiles, embeddings : Clustering
        Of the same augmentations.

    Returns
    -------
    matplotlib.figure.Figure
    """
    titles = ("By which heads move", "By where embeddings go")
    figure, axes = plt.subplots(1, 2, figsize=tall((12.4, 4.2), len(profiles.names)))
    for clustering, title, ax in zip((profiles, embeddings), titles, axes, strict=True):
        dendrogram(clustering, title=title, ax=ax)
    return figure


def text_directions(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the texts towards which, and away from which, each augmentation moves images.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Source of images → as of `helpers.analysis.directions.text_table`.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per source and augmentation: mean cosines with intervals; within the grey band a
        random mixture of the texts could be, hollow dots are not beyond chance.
    """
    parts = [
        (source, own)
        for source, table in tables.items()
        for _, own in table.groupby("augmentation", sort=False)
    ]
    figure, axes = panels(len(parts), size=(4.7, 2.4), sharex=True)
    for (source, own), ax in zip(parts, axes, strict=True):
        _texts(ax, own)
        ax.set_title(f"{style.label(own['augmentation'].iloc[0])} ({source})", fontsize=11)
    figure.supxlabel("cosine of shift and text, mean and 95 % interval over images", fontsize=11)
    return figure


def _texts(ax: Axes, rows: pd.DataFrame) -> None:
    chance = rows["chance"].iloc[0]
    ax.axvspan(-chance, chance, color="#DDDDDD", linewidth=0)
    ax.axvline(0, color=style.REFERENCE, linewidth=0.8)
    color = style.color(rows["augmentation"].iloc[0])
    _dots(ax, rows, color=color, hollow=~rows["beyond_chance"].to_numpy())
    labels = rows["property"].str.cat(rows["text"], sep=": ")
    ax.set_yticks(range(len(rows)), [fill(text, LONGEST_LINE) for text in labels], fontsize=9)
    few_ticks(ax)


def patching_curves(curves: pd.DataFrame, heads: int) -> Figure:
    """Draw how much of the shift activation patching removes, of more and more heads.

    Parameters
    ----------
    curves : DataFrame
        As of `helpers.analysis.causal.effect_curves`.
    heads : int
        Number of heads of the model.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per augmentation: top heads in its colour, random ones in grey; direct effects
        solid, total effects dashed, and dotted for heads that were chosen on the very image; bands
        are intervals over images.
    """
    names = curves["augmentation"].unique()
    figure, axes = panels(len(names), size=(3.5, 2.6), sharex=True, sharey=True)
    for name, ax in zip(names, axes, strict=True):
        own = curves[curves["augmentation"] == name]
        for (choice, effect), look in CURVES.items():
            rows = own[(own["choice"] == choice) & (own["effect"] == effect)].sort_values("k")
            _band(
                ax,
                rows["k"] / heads,
                rows,
                style.REFERENCE if choice == "random" else style.color(name),
                look,
            )
        ax.axhline(0, color=style.REFERENCE, linewidth=0.8)
        ax.set_title(style.label(name), fontsize=11)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.supxlabel("heads patched", fontsize=11)
    figure.supylabel("share of the shift removed", fontsize=11)
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=3)
    return figure


def depth_lines(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw how similar original and augmented residual stream are, depth by depth.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Source of images → as of `helpers.analysis.dissection.by_depth`.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per source, a line per augmentation with its interval; the legend is in the order of
        the last depth in the last panel.
    """
    size = (2.4 + 4.6 * len(tables), 4.8)
    figure, axes = plt.subplots(1, len(tables), figsize=size, sharey=True, squeeze=False)
    for (source, table), ax in zip(tables.items(), axes.flat, strict=True):
        _depth_lines(ax, table)
        ax.set_title(source)
    axes.flat[0].set_ylabel("cosine similarity")
    figure.supxlabel("residual stream read out at the start and after each layer", fontsize=11)
    axes.flat[-1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def _depth_lines(ax: Axes, table: pd.DataFrame) -> None:
    depths = list(table["depth"].unique())
    last = table[table["depth"] == depths[-1]].sort_values("mean", ascending=False, kind="stable")
    for name in last["augmentation"]:
        rows = table[table["augmentation"] == name]
        look = {"label": style.label(name), **style.line(name)}
        _band(ax, range(len(depths)), rows, style.color(name), look)
    ax.set_xticks(range(len(depths)), depths)


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


def _dots(ax: Axes, rows: pd.DataFrame, *, color: str, hollow: np.ndarray | None = None) -> None:
    """Means from the top down, with intervals."""
    places = np.arange(len(rows))
    ax.hlines(places, rows["low"], rows["high"], color=color, linewidth=1.6)
    faces = [color] * len(rows) if hollow is None else np.where(hollow, "white", color)
    ax.scatter(rows["mean"], places, color=faces, edgecolor=color, s=34, zorder=3)
    ax.set_ylim(len(rows) - 0.4, -0.6)


def _named(head: str, properties: Mapping[str, str]) -> str:
    return f"{head} {properties.get(head, '')}".strip()


def _overlay(ax: Axes, pixels: np.ndarray, shares: np.ndarray, scale: Normalize) -> None:
    # In grey, so that the image's colours aren't taken for the map's.
    height, width = pixels.shape[:2]
    ax.imshow(pixels.mean(axis=-1), cmap="gray", vmin=0, vmax=255)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    opacity = OVERLAY_OPACITY * np.clip(np.abs(shares) / scale.vmax, 0, 1)
    ax.imshow(shares, cmap=style.DIVERGING, norm=scale, alpha=opacity, extent=extent)
    ax.set_xlabel(f"{shares.sum():.0%}", fontsize=9, labelpad=2)


def _band(
    ax: Axes, x: Sequence[float], rows: pd.DataFrame, color: str, look: Mapping[str, object]
) -> None:
    ax.plot(x, rows["mean"], color=color, markersize=4, linewidth=1.6, **look)
    ax.fill_between(x, rows["low"], rows["high"], color=color, alpha=0.15, linewidth=0)
