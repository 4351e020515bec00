"""Figures that hold several models beside each other."""

from collections.abc import Iterable, Mapping, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.analysis import ties
from helpers.figures import style
from helpers.figures.layout import MADE_FOR, annotate_cells, bare, panels, tall, tick_views

MARKERS = "osD^vPX"
MODELS = "viridis"


def ranking(orders: Mapping[str, tuple[pd.DataFrame, xr.Dataset]]) -> Figure:
    """Augmentations in the order of each model and baseline, and how well the orders agree.

    Parameters
    ----------
    orders : mapping of str to (DataFrame, Dataset)
        Source of images → how far images are moved, (augmentations, orders), and `estimate`, `low`,
        `high` (score, other) over the same orders, as of
        `helpers.analysis.comparison.rank_correlations`.

    Returns
    -------
    Figure
        A row per source. Left a line per augmentation, rank 1 (moves furthest) on top; right
        Spearman's correlations.
    """
    changes, count = next(iter(orders.values()))[0].shape
    figure, axes = plt.subplots(
        len(orders),
        2,
        figsize=tall((5.8 + 2.1 * count, 5 * len(orders)), max(MADE_FOR, changes)),
        width_ratios=[4 + count, 2 + count],
        squeeze=False,
    )
    for (source, (moved, correlations)), (left, right) in zip(orders.items(), axes, strict=True):
        _ranks(left, moved)
        left.set_title(f"Order of the changes: {source}")
        _correlations(right, correlations)
    return figure


def _ranks(ax: Axes, moved: pd.DataFrame) -> None:
    names = list(moved.columns)
    ranks = (-moved.apply(ties.merged)).rank(method="first")
    for name, row in ranks.iterrows():
        ax.plot(
            range(len(names)), row, color=style.color(name), linewidth=2.5, ms=8, **style.line(name)
        )
    ax.set_xticks(range(len(names)), [_wrapped(name) for name in names])
    last = ranks[names[-1]].sort_values()
    ax.set_yticks(range(1, len(last) + 1))
    for name, rank in last.items():
        ax.annotate(
            style.label(name),
            (len(names) - 1, rank),
            xytext=(10, 0),
            textcoords="offset points",
            va="center",
        )
    ax.set_ylim(len(last) + 0.5, 0.5)
    ax.set(ylabel="rank (1 moves furthest)")


def shift_by_model(tables: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]]) -> Figure:
    """How far each augmentation moves each model, absolute and relative.

    Parameters
    ----------
    tables : mapping of str to (DataFrame, DataFrame)
        Source of images → columns `model`, `augmentation`, `mean`, `low`, `high` of embedding
        similarity, and the same of `helpers.analysis.comparison.relative_shift`.

    Returns
    -------
    Figure
        Two panels a source, a row per augmentation and a marker per model.
    """
    changes = next(iter(tables.values()))[0]["augmentation"].nunique()
    figure, axes = panels(2 * len(tables), columns=2, size=tall((5.6, 4.6), changes))
    measures = ("embedding similarity", "shift, in distances between images")
    for place, (source, pair) in enumerate(tables.items()):
        means = pair[0].groupby("augmentation")["mean"].mean()
        order = list(means.sort_values(ascending=False, kind="stable").index)
        for ax, table, measure in zip(axes[2 * place :], pair, measures, strict=False):
            _dots(ax, table, order, _looks(table["model"].unique()))
            ax.set_title(f"{source}: {measure}", fontsize=11)
            ax.grid(axis="x")
        axes[2 * place + 1].axvline(1, color=style.REFERENCE, linestyle=":", linewidth=1.4)
    models = len(pair[0]["model"].unique())
    figure.legend(*_named(axes[0], models), loc="outside lower center", ncols=min(3, models))
    return figure


def depth_by_model(curves: Mapping[str, xr.DataArray]) -> Figure:
    """How much of each shift has been written up to a depth, a line per model.

    Parameters
    ----------
    curves : mapping of str to DataArray, (augmentation, depth)
        Model → result of `helpers.analysis.comparison.share_up_to_depth`.

    Returns
    -------
    Figure
        A panel per augmentation; the grey diagonal is an equal share of every layer.
    """
    augmentations = list(next(iter(curves.values()))["augmentation"].values)
    figure, axes = panels(len(augmentations), size=(3.3, 2.5), sharex=True, sharey=True)
    for name, ax in zip(augmentations, axes, strict=True):
        ax.plot([0, 1], [0, 1], color="#CCCCCC", linewidth=1.2)
        for model, look in _looks(curves).items():
            row = curves[model].sel(augmentation=name)
            ax.plot(row["depth"], row, label=model, markersize=4, linewidth=1.6, **look)
        ax.set_title(style.label(name), fontsize=11)
    few = min(3, len(curves))
    figure.legend(*_named(axes[0], len(curves)), loc="outside lower center", ncols=few)
    for ax in axes[-3:]:
        ax.set_xlabel("depth (part of the layers)")
    figure.supylabel("share of the shift up to there")
    return figure


def heads_by_model(few: pd.DataFrame, same: pd.DataFrame, by_layer: pd.DataFrame) -> Figure:
    """How few heads carry a shift, and whether they are the same as in the run's model.

    Parameters
    ----------
    few : DataFrame, (augmentations, models)
        As of `helpers.analysis.comparison.heads_for_half`.
    same : DataFrame
        Columns `model`, `augmentation`, `mean`, `low`, `high`: correlation of head profiles with
        those of the run's model. Empty where no model has the same heads.
    by_layer : DataFrame
        Columns `model`, `augmentation`, `mean`: what is left with heads exchanged within layers.

    Returns
    -------
    Figure
        The second panel is there only where a model has the same heads; its light markers are
        `by_layer`.
    """
    width = 1.9 + 1.1 * few.shape[1]
    count = 1 if same.empty else 2
    size = tall((3 + width + 5 * (count - 1), 4.8), len(few))
    figure, axes = plt.subplots(1, count, figsize=size, squeeze=False, sharey=True)
    left = axes[0, 0]
    image = left.imshow(few, cmap=f"{style.SEQUENTIAL}_r", aspect="auto", vmin=0, vmax=0.5)
    annotate_cells(image, [[f"{part:.2f}" for part in row] for row in few.to_numpy()], size=9)
    tick_views(left, list(few.index))
    left.set_xticks(range(few.shape[1]), [_wrapped(model) for model in few.columns], fontsize=9)
    bare(left)
    left.set_title("Part of the heads that carry half", fontsize=11)
    if count == 2:
        right = axes[0, 1]
        looks, order = _looks(few.columns), list(few.index)
        _dots(right, same, order, looks)
        _dots(right, by_layer.assign(low=np.nan, high=np.nan), order, looks, alpha=0.3)
        right.tick_params(labelleft=False)
        right.grid(axis="x")
        right.set_title("Correlation of heads' shares with the run's model", fontsize=11)
        right.set_xlabel("correlation; light: with heads exchanged within their layers")
        figure.legend(
            *_named(right, len(same["model"].unique())), loc="outside lower center", ncols=2
        )
    return figure


def _correlations(ax: Axes, correlations: xr.Dataset) -> None:
    models = list(correlations["score"].values)
    # As wide as the panel: a cell has an interval to hold.
    looks = {"cmap": style.DIVERGING, "vmin": -1, "vmax": 1, "aspect": "auto"}
    image = ax.imshow(correlations["estimate"], **looks)
    values = [correlations[name].to_numpy() for name in ("estimate", "low", "high")]
    texts = [
        ["1" if row == column else _estimate(*cell) for column, cell in enumerate(cells)]
        for row, cells in enumerate(np.stack(values, axis=-1))
    ]
    annotate_cells(image, texts, size=8.5)
    ax.set_xticks(range(len(models)), [_wrapped(model) for model in models], fontsize=9)
    ax.set_yticks(range(len(models)), [_wrapped(model) for model in models], fontsize=9)
    bare(ax)
    ax.set_title("Rank correlation")


def _estimate(estimate: float, low: float, high: float) -> str:
    return f"{estimate:.2f}" if np.isnan(low) else f"{estimate:.2f}\n{low:.2f} to {high:.2f}"


def _dots(
    ax: Axes,
    table: pd.DataFrame,
    order: Sequence[str],
    looks: Mapping[str, Mapping[str, object]],
    *,
    alpha: float = 1.0,
) -> None:
    """Draw a row per augmentation, with the models' means and intervals slightly apart."""
    models = [model for model in looks if model in set(table["model"])]
    steps = np.linspace(-0.28, 0.28, len(models)) if len(models) > 1 else [0]
    for model, step in zip(models, steps, strict=True):
        rows = table[table["model"] == model].set_index("augmentation").loc[list(order)]
        lengths = [rows["mean"] - rows["low"], rows["high"] - rows["mean"]]
        ax.errorbar(
            rows["mean"],
            np.arange(len(rows)) + step,
            xerr=np.clip(np.nan_to_num(lengths), 0, None),
            linestyle="none",
            label=model,
            markersize=5,
            alpha=alpha,
            elinewidth=1.4,
            **looks[model],
        )
    tick_views(ax, list(order))
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(order) - 0.5, -0.5)


def _looks(models: Iterable[str]) -> dict[str, dict[str, object]]:
    """Colour and marker of each model, the last and longest trained the darkest."""
    models = list(models)
    colors = mpl.colormaps[MODELS](np.linspace(0.85, 0, len(models)))
    return {
        model: {"color": color, "marker": MARKERS[place % len(MARKERS)]}
        for place, (model, color) in enumerate(zip(models, colors, strict=True))
    }


def _named(ax: Axes, count: int) -> tuple[list, list[str]]:
    """Return handles and labels of the first artists, one per model."""
    handles, labels = ax.get_legend_handles_labels()
    return handles[:count], labels[:count]


def _wrapped(model: str) -> str:
    return model.replace(", ", ",\n").replace(" at ", "\nat ").replace(" model", "")
