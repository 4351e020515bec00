"""What the figures of several models show."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers.analysis.comparison import rank_correlations
from helpers.figures import comparison, style

NAMES = ["noise", "blur", "elastic"]
MODELS = ["embedded model", "embedded model at step 304"]


@pytest.fixture(autouse=True)
def close_figures():
    with plt.rc_context():
        style.apply()
        yield
        plt.close("all")


@pytest.fixture
def similarities():
    rng = np.random.default_rng(0)
    means = {MODELS[0]: [0.4, 0.7, 0.9], MODELS[1]: [0.7, 0.4, 0.9]}
    return {
        model: xr.DataArray(
            np.array(mean) + rng.normal(0, 0.01, (9, 3)),
            dims=("image", "augmentation"),
            coords={"augmentation": NAMES},
        )
        for model, mean in means.items()
    }


def tidy(models=MODELS):
    rows = [
        {"model": model, "augmentation": name, "mean": place + 0.1 * number}
        for number, model in enumerate(models)
        for place, name in enumerate(NAMES)
    ]
    table = pd.DataFrame(rows)
    return table.assign(low=table["mean"] - 0.05, high=table["mean"] + 0.02)


def moved_by(similarities):
    means = {model: (1 - each).mean("image") for model, each in similarities.items()}
    return pd.DataFrame(means).set_index(pd.Index(NAMES))


def test_lines_cross_where_models_disagree(similarities):
    correlations = rank_correlations(similarities, n_resamples=20)
    orders = moved_by(similarities), correlations
    figure = comparison.ranking({"photos": orders, "scenes": orders})
    left, right, *below = figure.axes
    assert [list(line.get_ydata()) for line in left.lines] == [[1, 2], [2, 1], [3, 3]]
    assert left.get_ylim() == (3.5, 0.5)
    titles = [own.get_title(loc="left") for own in (left, below[0])]
    assert [title.split(": ")[1] for title in titles] == ["photos", "scenes"]
    np.testing.assert_allclose(right.images[0].get_array(), [[1, 0.5], [0.5, 1]])
    assert right.texts[0].get_text() == "1"
    assert right.texts[1].get_text().startswith("0.50\n")


def test_a_model_alone_can_be_ranked(similarities):
    alone = {MODELS[0]: similarities[MODELS[0]]}
    figure = comparison.ranking({"photos": (moved_by(alone), rank_correlations(alone))})
    assert [text.get_text() for text in figure.axes[1].texts] == ["1"]


def test_shifts_have_a_row_an_augmentation_and_a_marker_a_model():
    figure = comparison.shift_by_model({"photos": (tidy(), tidy()), "scenes": (tidy(), tidy())})
    assert [ax.get_title(loc="left").split(":")[0] for ax in figure.axes] == [
        *["photos"] * 2,
        *["scenes"] * 2,
    ]
    for ax in figure.axes:
        bars = ax.containers
        assert len(bars) == 2
        segments = bars[0].lines[2][0].get_segments()
        np.testing.assert_allclose(segments[0][:, 0], [1.95, 2.02])  # the largest mean on top
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert labels == ["Elastic", "Blur", "Noise"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == MODELS


def test_depth_has_a_line_a_model_from_start_to_end():
    curves = {
        model: xr.DataArray(
            np.linspace(0, 1, layers + 1)[None].repeat(3, 0),
            dims=("augmentation", "depth"),
            coords={"augmentation": NAMES, "depth": np.arange(layers + 1) / layers},
        )
        for model, layers in zip(MODELS, (6, 12), strict=True)
    }
    figure = comparison.depth_by_model(curves)
    assert len(figure.axes) == 3
    _, first, second = figure.axes[0].lines
    assert (len(first.get_xdata()), len(second.get_xdata())) == (7, 13)
    assert first.get_xdata()[-1] == second.get_xdata()[-1] == 1


def test_heads_are_correlated_only_where_there_are_the_same():
    few = pd.DataFrame(0.25, index=NAMES, columns=MODELS)
    same = tidy(MODELS[1:])
    figure = comparison.heads_by_model(few, same, same[["model", "augmentation", "mean"]])
    assert len(figure.axes) == 2
    full, light = figure.axes[1].containers
    np.testing.assert_allclose(full.lines[0].get_xdata().astype(float), same["mean"])
    assert light.lines[0].get_alpha() < 1
    none = pd.DataFrame(columns=["model", "augmentation", "mean", "low", "high"])
    alone = comparison.heads_by_model(few, none, none)
    assert len(alone.axes) == 1
    np.testing.assert_allclose(alone.axes[0].images[0].get_array(), few)
