"""Figures of the six scores.

Most take the tidy table of `helpers.analysis.statistics.summarise`. Similarities share the scale
from 0 to 1; the L2 distance has no upper limit and is lower where less has changed, so it always
gets a scale of its own.
"""

from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde

from helpers.analysis.order import Ranking
from helpers.analysis.scores import SCORES
from helpers.figures import style
from helpers.figures.clustering import draw_tree, leaf_order
from helpers.figures.layout import (
    MADE_FOR,
    annotate_cells,
    bare,
    few_ticks,
    panels,
    sample_note,
    shortened,
    tall,
    tick_views,
)

IMAGE_SCORE = "embedding_similarity"
"""Of figures that show single images."""
BINS = 30

RANGE_OF = {"interval": "95 % bootstrap interval", "sd": "standard deviation over images"}
MOST_STROKES = 200


def score_heatmap(
    summary: pd.DataFrame, *, order: Sequence[str] | None = None, linkage: np.ndarray | None = None
) -> Figure:
    """Mean of every score and augmentation (figures 3, 4c and 8a of the study).

    Parameters
    ----------
    summary : pandas.DataFrame
        Result of `summarise`.
    order : sequence of str, optional
        Augmentations from top to bottom; by default as in the summary.
    linkage : numpy.ndarray, optional
        SciPy's linkage matrix of the augmentations in that order: draws its tree and sorts by it.

    Returns
    -------
    matplotlib.figure.Figure
        Brighter is closer to the original, in both parts.
    """
    means = _pivot(summary, "mean")
    means = means.loc[list(order)] if order is not None else means
    figure, (left, middle, right) = plt.subplots(
        1,
        3,
        figsize=tall((11 if linkage is None else 12.5, 5), len(means)),
        width_ratios=_heatmap_widths(linkage),
    )
    if linkage is None:
        left.remove()
    else:
        means = means.iloc[leaf_order(linkage)]
        draw_tree(left, linkage)
        left.set_axis_off()
    similarity, distance = means[_among(_scores(True), means)], means[_among(_scores(False), means)]
    floor = np.nan_to_num(np.floor(10 * similarity.min(axis=None)) / 10)
    _heatmap(middle, similarity, style.SEQUENTIAL, "similarity (1: unchanged)", vmin=floor, vmax=1)
    _heatmap(right, distance, f"{style.SEQUENTIAL}_r", "distance (0: unchanged)", vmin=0)
    right.set_yticks([])
    figure.suptitle(f"Mean scores ({sample_note(summary['n'])})", x=0.01, ha="left", weight="bold")
    return figure


def l2_density(distances: xr.DataArray) -> Axes:
    """Distribution of the L2 distance, a ridge per augmentation (figure 4b of the study).

    The curves are Gaussian kernel estimates with SciPy's default bandwidth, each scaled to the same
    height; the strokes below them are the images (at most 200 of them). Values that don't vary have
    no curve.

    Parameters
    ----------
    distances : xarray.DataArray, (image, augmentation)
        L2 distances.

    Returns
    -------
    matplotlib.axes.Axes
        Largest median on top.
    """
    table = distances.transpose("image", "augmentation").to_pandas()
    _, ax = plt.subplots(figsize=tall((9, 6), table.shape[1]))
    names = list(table.median().sort_values().index)
    positions = np.linspace(0, np.nan_to_num(1.1 * table.max(axis=None)) or 1, 400)
    for height, name in enumerate(names):
        _ridge(ax, table[name].dropna().to_numpy(), positions, height, style.color(name))
    tick_views(ax, names)
    ax.set_ylim(-0.4, len(names) + 0.5)
    ax.set_xlim(0, positions[-1])
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")
    ax.set_xlabel("L2 distance from the original's embedding")
    ax.set_title(f"How far each image moves ({sample_note(table.count())})")
    return ax


def profiles(summary: pd.DataFrame) -> Figure:
    """Ranked similarities of each augmentation, a panel each (figure 6 of the study).

    Parameters
    ----------
    summary : pandas.DataFrame
        Result of `summarise`.

    Returns
    -------
    matplotlib.figure.Figure
        Bars with intervals, the most similar on top; the L2 distance stands in the title.
    """
    names = list(_pivot(summary, "mean").index)
    figure, axes = panels(len(names), size=(3.9, 2.5), sharex=True)
    for name, ax in zip(names, axes, strict=True):
        rows = summary[summary["augmentation"] == name].set_index("score")
        ranked = rows.loc[_among(_scores(True), rows.index)].sort_values("mean")
        labels = [_short(score) for score in ranked.index]
        _bars(ax, ranked, labels, [style.color(name)] * len(ranked))
        ax.set_title(f"{style.label(name)}, L2 {rows.loc['l2_distance', 'mean']:.2f}", fontsize=11)
        ax.set_xlim(0, 1.22)
        ax.set_xticks([0, 0.5, 1])
    figure.supxlabel(f"mean similarity, {RANGE_OF['interval']}, {sample_note(summary['n'])}")
    return figure


def mean_bars(
    summary: pd.DataFrame, *, score: str = "l2_distance", whisker: str = "interval"
) -> Axes:
    """Mean of one score per augmentation, sorted (figure 7 of the study).

    Parameters
    ----------
    summary : pandas.DataFrame
        Result of `summarise`.
    score : str
        Which score.
    whisker : {"interval", "sd"}
        Show the uncertainty of the mean, or the deviation between images.

    Returns
    -------
    matplotlib.axes.Axes
        The augmentation that moves images furthest on top.
    """
    rows = summary[summary["score"] == score].set_index("augmentation")
    _, ax = plt.subplots(figsize=tall((8, 4.2), len(rows)))
    rows = rows.sort_values("mean", ascending=not SCORES[score].higher_is_closer)
    names = list(rows.index)
    labels, colors = [style.label(name) for name in names], [style.color(name) for name in names]
    _bars(ax, rows, labels, colors, whisker=whisker)
    ax.set_xlabel(f"{style.label(score)}: mean and {RANGE_OF[whisker]}")
    ax.set_title(f"{style.label(score)} ({sample_note(rows['n'])})")
    return ax


def comparison_bars(summary: pd.DataFrame) -> Figure:
    """Every augmentation beside the others, a panel per score (figure 8b of the study).

    Parameters
    ----------
    summary : pandas.DataFrame
        Result of `summarise`.

    Returns
    -------
    matplotlib.figure.Figure
        Bars with intervals; the dashed line is the score's mean over augmentations.
    """
    scores = [name for name in SCORES if name in set(summary["score"])]
    names = list(_pivot(summary, "mean").index)[::-1]
    figure, axes = panels(len(scores), size=tall((4.1, 3.3), len(names)), sharey=True)
    for score, ax in zip(scores, axes, strict=True):
        rows = summary[summary["score"] == score].set_index("augmentation").loc[names]
        colors = [style.color(name) for name in names]
        _bars(ax, rows, [style.label(name) for name in names], colors)
        mean = rows["mean"].mean()
        ax.axvline(mean, color=style.INK, linestyle="--", linewidth=1)
        ax.set_title(f"{style.label(score)}, mean {mean:.2f}", fontsize=11)
    figure.supxlabel(f"mean, {RANGE_OF['interval']}, {sample_note(summary['n'])}")
    return figure


def image_heatmap(values: xr.DataArray) -> Axes:
    """One score of single images (figure 9 of the study: 50 random images).

    Parameters
    ----------
    values : xarray.DataArray, (image, augmentation)
        The score; undefined values stay white.

    Returns
    -------
    matplotlib.axes.Axes
        A column per image, a row per augmentation.
    """
    table = values.transpose("augmentation", "image").to_pandas()
    _, ax = plt.subplots(figsize=tall((max(7, 2.6 + 0.24 * table.shape[1]), 5), len(table)))
    is_distance = not SCORES[IMAGE_SCORE].higher_is_closer
    cmap = f"{style.SEQUENTIAL}_r" if is_distance else style.SEQUENTIAL
    image = ax.imshow(table, cmap=cmap, aspect="auto", vmax=None if is_distance else 1)
    tick_views(ax, list(table.index))
    ax.set_xticks(range(table.shape[1]), [shortened(name) for name in table.columns])
    ax.tick_params(axis="x", rotation=90, labelsize=8)
    bare(ax)
    ax.figure.colorbar(image, ax=ax, pad=0.01, label=style.label(IMAGE_SCORE))
    ax.set_title(f"{style.label(IMAGE_SCORE)} of {table.shape[1]} images")
    return ax


def histograms(values: xr.DataArray) -> Figure:
    """Distribution of one score over images, a panel per augmentation.

    Parameters
    ----------
    values : xarray.DataArray, (image, augmentation)
        The score; undefined values are left out.

    Returns
    -------
    matplotlib.figure.Figure
        Grey: all augmentations together, scaled to the panel's number of images; line: the mean.
    """
    table = values.transpose("image", "augmentation").to_pandas()
    everything = table.to_numpy()[np.isfinite(table)]
    edges = _bin_edges(everything)
    figure, axes = panels(table.shape[1], sharex=True, sharey=True)
    for name, ax in zip(table.columns, axes, strict=True):
        column = table[name].dropna()
        share = np.full(len(everything), len(column) / max(1, len(everything)))
        ax.hist(everything, edges, weights=share, color="#DDDDDD")
        ax.hist(column, edges, color=style.color(name), alpha=0.85)
        ax.axvline(column.mean(), color=style.INK, linestyle="--", linewidth=1)
        mean = f"mean {column.mean():.2f}" if len(column) else "undefined"
        ax.set_title(f"{style.label(name)}, {mean}", fontsize=11)
        few_ticks(ax)
    figure.supxlabel(f"{style.label(IMAGE_SCORE)} ({sample_note(table.count())})")
    figure.supylabel("images")
    return figure


def radar_grid(summary: pd.DataFrame) -> Figure:
    """Draw the similarities of each augmentation as a polygon, a panel each.

    Parameters
    ----------
    summary : pandas.DataFrame
        Result of `summarise`.

    Returns
    -------
    matplotlib.figure.Figure
        The grey outline is the mean over augmentations. Radius 0 to 1.
    """
    means = _pivot(summary, "mean")
    means = means[_among(_scores(True), means)]
    angles = np.linspace(0, 2 * np.pi, means.shape[1], endpoint=False)
    figure, axes = panels(len(means), size=(4, 3.3), subplot_kw={"projection": "polar"})
    for (name, row), ax in zip(means.iterrows(), axes, strict=True):
        ax.set_theta_zero_location("N")
        _polygon(ax, angles, means.mean(), color=style.REFERENCE, linestyle="--", linewidth=1.2)
        _polygon(ax, angles, row, color=style.color(name), linewidth=2)
        ax.fill(angles, row, color=style.color(name), alpha=0.25)
        ax.set_xticks(angles, [_short(score) for score in means], fontsize=9)
        ax.tick_params(axis="x", pad=14)
        ax.set_ylim(0, 1)
        ax.set_yticks([0.25, 0.5, 0.75, 1], ["", "0.5", "", "1"], fontsize=8)
        ax.set_title(style.label(name), loc="center", fontsize=11)
    return figure


def rank_heatmap(ranking: Ranking, *, title: str) -> Axes:
    """How often each augmentation takes each rank in bootstrap resamples of the images.

    Parameters
    ----------
    ranking : Ranking
        Result of `rank_augmentations`.
    title : str
        By which score the ranks are.

    Returns
    -------
    matplotlib.axes.Axes
        Rank 1 moves images furthest. Shares up to 0.5 % stay empty.
    """
    shares = ranking.distribution.to_numpy()
    width = 8 * max(1.0, len(shares) / MADE_FOR)
    _, ax = plt.subplots(figsize=tall((width, 4.6), len(shares)))
    image = ax.imshow(shares, cmap="Greys", vmin=0, vmax=1, aspect="auto")
    texts = [[f"{share:.0%}" if share > 0.005 else "" for share in row] for row in shares]
    annotate_cells(image, texts)
    tick_views(ax, list(ranking.distribution.index))
    ax.set_xticks(range(shares.shape[1]), ranking.distribution.columns)
    bare(ax)
    ax.set_xlabel("rank (1: moves images furthest)")
    ax.set_title(f"{title}: whole order in {ranking.order_agreement:.0%} of resamples")
    return ax


def _scores(higher_is_closer: bool) -> list[str]:
    """Names of all scores that are similarities, or of those that are distances."""
    return [name for name, row in SCORES.items() if row.higher_is_closer == higher_is_closer]


def _among(scores: Sequence[str], there: Iterable[str]) -> list[str]:
    """Return the scores that a model has: without attention, there is one less."""
    return [score for score in scores if score in there]


def _pivot(summary: pd.DataFrame, value: str) -> pd.DataFrame:
    """Table (augmentations, scores), both in the order of the summary."""
    table = summary.pivot(index="augmentation", columns="score", values=value)
    return table.loc[summary["augmentation"].unique(), summary["score"].unique()]


def _heatmap_widths(linkage: np.ndarray | None) -> list[float]:
    tree = 0.01 if linkage is None else 1.2
    return [tree, *(len(_scores(closer)) + 0.6 for closer in (True, False))]


def _heatmap(ax: Axes, table: pd.DataFrame, cmap: str, bar_label: str, **limits: float) -> None:
    image = ax.imshow(table, cmap=cmap, aspect="auto", **limits)
    annotate_cells(image, [[f"{value:.2f}" for value in row] for row in table.to_numpy()])
    tick_views(ax, list(table.index))
    ax.set_xticks(range(table.shape[1]), [_wrapped(name) for name in table.columns])
    ax.xaxis.tick_top()
    bare(ax)
    # As wide beside few rows as beside many, so that it is as high as the table everywhere.
    aspect = 2 + 1.8 * len(table)
    ax.figure.colorbar(image, ax=ax, pad=0.02, aspect=aspect, label=bar_label)


def _ridge(ax: Axes, values: np.ndarray, positions: np.ndarray, height: int, color: str) -> None:
    strokes = values[:: max(1, -(-len(values) // MOST_STROKES))]  # of all sources, not the first
    ax.plot(
        strokes, np.full(len(strokes), height - 0.12), "|", color=color, markersize=7, alpha=0.7
    )
    if len(values) > 1 and np.ptp(values) > 0:
        curve = gaussian_kde(values)(positions)
        top = height + 1.3 * curve / curve.max()
        # Lower ridges lie in front of the ones that they overlap.
        ax.fill_between(positions, height, top, color=color, alpha=0.75, zorder=2 - 0.01 * height)
        ax.plot(positions, top, color="white", linewidth=1, zorder=2 - 0.01 * height)


def _bin_edges(values: np.ndarray) -> np.ndarray:
    low, high = (values.min(), values.max()) if len(values) else (0, 0)
    if np.isclose(low, high):
        # Equal up to rounding; NumPy widens the range of exactly equal values in the same way.
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, BINS + 1)


def _bars(
    ax: Axes,
    rows: pd.DataFrame,
    labels: Sequence[str],
    colors: Sequence[str],
    *,
    whisker: str = "interval",
) -> None:
    """Horizontal bars with whiskers and their values written beyond them."""
    means = rows["mean"].to_numpy()
    low, high = {
        "interval": (means - rows["low"], rows["high"] - means),
        "sd": (rows["sd"], rows["sd"]),
    }[whisker]
    lengths = np.clip(np.nan_to_num([low, high]), 0, None)
    heights = np.arange(len(rows))
    ax.barh(heights, means, color=colors, height=0.72, xerr=lengths, error_kw=style.WHISKER)
    reach = np.nan_to_num(means + lengths[1]).max()
    for height, mean, beyond in zip(heights, means, lengths[1], strict=True):
        ax.annotate(
            f"{mean:.2f}",
            (mean + beyond, height),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            bbox={"color": "white", "pad": 0.6},
        )
    ax.set_yticks(heights, labels)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(1.15 * np.nan_to_num(means).clip(max=0).min(), 1.17 * reach or 1)


def _polygon(ax: Axes, angles: np.ndarray, values: pd.Series, **options: object) -> None:
    ax.plot(np.append(angles, angles[0]), np.append(values, values.iloc[0]), **options)


def _short(score: str) -> str:
    return style.label(score).split()[0]


def _wrapped(score: str) -> str:
    return style.label(score).replace(" ", "\n")
