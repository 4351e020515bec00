"""What the score figures show: heights, orders, labels and limits."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from scipy.cluster import hierarchy
from scipy.stats import gaussian_kde

from helpers.analysis import order, statistics
from helpers.analysis.scores import SCORES
from helpers.data import AUGMENTATIONS
from helpers.figures import scores, style

pytestmark = pytest.mark.usefixtures("styled")

NAMES = list(AUGMENTATIONS)


@pytest.fixture
def dataset():
    rng = np.random.default_rng(5)
    similarity = np.clip(np.linspace(0.2, 0.9, 9) + rng.normal(0, 0.05, (12, 9)), 0, 1)
    values = {
        name: similarity**power if row.higher_is_closer else 20 * (1 - similarity)
        for power, (name, row) in enumerate(SCORES.items(), start=1)
    }
    coords = {"image": [f"image-{i}" for i in range(12)], "augmentation": NAMES}
    axes = ("image", "augmentation")
    return xr.Dataset({name: (axes, value) for name, value in values.items()}, coords=coords)


@pytest.fixture
def summary(dataset):
    return statistics.summarise(dataset)


def ticks(ax, axis="y"):
    return [label.get_text() for label in getattr(ax, f"get_{axis}ticklabels")()]


def means(summary, score):
    return summary[summary["score"] == score].set_index("augmentation")["mean"]


def test_heatmap_separates_similarities_from_the_distance(summary):
    figure = scores.score_heatmap(summary, order=NAMES[::-1])
    similarity, distance = [ax for ax in figure.axes if ax.images]
    values = similarity.images[0].get_array()
    assert values.shape == (9, 5)
    np.testing.assert_allclose(values[:, 0], means(summary, "embedding_similarity")[::-1])
    np.testing.assert_allclose(
        distance.images[0].get_array()[:, 0], means(summary, "l2_distance")[::-1]
    )
    assert ticks(similarity) == [style.label(name) for name in NAMES[::-1]]
    assert similarity.texts[0].get_text() == f"{values[0, 0]:.2f}"
    assert distance.images[0].cmap.name == f"{similarity.images[0].cmap.name}_r"
    assert "n = 12 images" in figure.get_suptitle()


def test_clustered_heatmap_is_in_the_order_of_its_tree(summary):
    linkage = hierarchy.linkage(np.random.default_rng(0).random((9, 2)))
    figure = scores.score_heatmap(summary, linkage=linkage)
    leaves = hierarchy.leaves_list(linkage)
    tree = next(ax for ax in figure.axes if len(ax.lines) == 8)
    similarity = next(ax for ax in figure.axes if ax.images)
    assert ticks(similarity) == [style.label(NAMES[leaf]) for leaf in leaves]
    assert tree.get_ylim() == similarity.get_ylim() == (8.5, -0.5)


def test_ridges_are_sorted_and_are_kernel_densities(dataset):
    ax = scores.l2_density(dataset["l2_distance"])
    medians = dataset["l2_distance"].median("image").to_series()
    assert ticks(ax) == [style.label(name) for name in medians.sort_values().index]
    top = medians.idxmax()
    curve = max((line for line in ax.lines if len(line.get_xdata()) == 400), key=peak)
    positions, heights = curve.get_data()
    density = gaussian_kde(dataset["l2_distance"].sel(augmentation=top))(positions)
    np.testing.assert_allclose(heights - 8, 1.3 * density / density.max(), atol=1e-12)
    strokes = [line for line in ax.lines if line.get_marker() == "|"]
    assert [len(line.get_xdata()) for line in strokes] == [12] * 9


def peak(line):
    return line.get_ydata().max()


def test_strokes_are_taken_from_all_images():
    ax = plt.subplots()[1]
    scores._ridge(ax, np.arange(700.0), np.linspace(0, 700, 50), 0, "black")
    drawn = ax.lines[0].get_xdata()
    assert len(drawn) <= scores.MOST_STROKES and drawn[-1] > 690


def test_values_that_do_not_vary_have_strokes_and_no_ridge(dataset):
    dataset["l2_distance"][:, 0] = 3.0
    ax = scores.l2_density(dataset["l2_distance"])
    assert sum(len(line.get_xdata()) == 400 for line in ax.lines) == 8
    assert any((line.get_xdata() == 3).all() for line in ax.lines)


def test_profiles_rank_the_similarities(summary):
    figure = scores.profiles(summary)
    assert len(figure.axes) == 9
    for name, ax in zip(NAMES, figure.axes, strict=True):
        own = summary.query("augmentation == @name and score != 'l2_distance'")
        widths = [bar.get_width() for bar in ax.patches]
        np.testing.assert_allclose(widths, np.sort(own["mean"]))
        assert {to_hex(bar.get_facecolor()) for bar in ax.patches} == {style.color(name).lower()}
        assert f"L2 {means(summary, 'l2_distance')[name]:.2f}" in ax.get_title(loc="left")


@pytest.mark.parametrize("score", ["l2_distance", "edge_similarity"])
def test_mean_bars_put_the_furthest_on_top(summary, score):
    ax = scores.mean_bars(summary, score=score)
    widths = [bar.get_width() for bar in ax.patches]
    assert widths == sorted(widths, reverse=SCORES[score].higher_is_closer)
    assert ticks(ax)[-1] == "Noise"
    assert to_hex(ax.patches[-1].get_facecolor()) == style.color("noise").lower()


def whiskers(ax):
    (container,) = [each for each in ax.containers if isinstance(each, ErrorbarContainer)]
    segments = container.lines[2][0].get_segments()
    return np.array([segment[:, 0] for segment in segments])


def test_whiskers_are_intervals_or_deviations(summary):
    rows = summary[summary["score"] == "l2_distance"].sort_values("mean")
    interval = whiskers(scores.mean_bars(summary))
    np.testing.assert_allclose(interval, rows[["low", "high"]])
    deviation = whiskers(scores.mean_bars(summary, whisker="sd"))
    np.testing.assert_allclose(deviation[:, 1] - deviation[:, 0], 2 * rows["sd"])


def test_bars_without_an_interval_have_no_whisker(dataset):
    single = statistics.summarise(dataset.isel(image=[0]))
    interval = whiskers(scores.mean_bars(single))
    np.testing.assert_array_equal(interval[:, 0], interval[:, 1])


def test_comparison_marks_each_mean(summary):
    figure = scores.comparison_bars(summary)
    assert [ax.get_title(loc="left").split(",")[0] for ax in figure.axes] == [
        row.label for row in SCORES.values()
    ]
    for score, ax in zip(SCORES, figure.axes, strict=True):
        line = next(line for line in ax.lines if line.get_linestyle() == "--")
        assert line.get_xdata()[0] == pytest.approx(means(summary, score).mean())
        np.testing.assert_allclose([b.get_width() for b in ax.patches], means(summary, score)[::-1])


def test_image_heatmap_shows_each_image(dataset):
    ax = scores.image_heatmap(dataset["embedding_similarity"])
    values = dataset["embedding_similarity"].transpose("augmentation", "image")
    np.testing.assert_allclose(ax.images[0].get_array(), values)
    assert ticks(ax, "x") == list(dataset["image"].values)
    assert ticks(ax) == [style.label(name) for name in NAMES]
    long = dataset.assign_coords(image=["a" * 30] * 12)
    assert all(
        len(text) == 18 for text in ticks(scores.image_heatmap(long["edge_similarity"]), "x")
    )


def test_histograms_count_every_defined_value(dataset):
    dataset["embedding_similarity"][0, 0] = np.nan
    figure = scores.histograms(dataset["embedding_similarity"])
    for name, ax in zip(NAMES, figure.axes, strict=True):
        everything, own = ([bar.get_height() for bar in bars] for bars in ax.containers)
        defined = 11 if name == "noise" else 12
        assert sum(own) == defined
        assert sum(everything) == pytest.approx(defined)
        assert len(own) == scores.BINS


def test_radar_closes_every_polygon(summary):
    figure = scores.radar_grid(summary)
    assert len(figure.axes) == 9
    for name, ax in zip(NAMES, figure.axes, strict=True):
        own = summary.query("score != 'l2_distance'").set_index("augmentation")["mean"][name]
        reference, polygon = (line.get_ydata() for line in ax.lines)
        np.testing.assert_allclose(polygon, [*own, own.iloc[0]])
        assert polygon[0] == polygon[-1] and reference[0] == reference[-1]
        assert ticks(ax, "x") == ["Embedding", "Attention", "Patch", "Edge", "Detail"]
        assert ax.get_ylim() == (0, 1)


def test_ranks_show_their_shares(dataset):
    ranking = order.rank_augmentations(dataset["edge_similarity"], higher_is_closer=True)
    ax = scores.rank_heatmap(ranking, title="Edge similarity")
    np.testing.assert_allclose(ax.images[0].get_array(), ranking.distribution)
    assert ticks(ax)[0] == "Noise"
    assert f"{ranking.order_agreement:.0%}" in ax.get_title(loc="left")


def test_augmentations_that_change_nothing_can_be_drawn(dataset):
    """All similarities 1 up to rounding and all distances 0, as with severity 0."""
    for name, row in SCORES.items():
        dataset[name][:] = 1 - 1e-16 * np.arange(9) if row.higher_is_closer else 0
    summary = statistics.summarise(dataset)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = [
            scores.score_heatmap(summary),
            scores.profiles(summary),
            scores.comparison_bars(summary),
            scores.histograms(dataset["embedding_similarity"]),
            scores.l2_density(dataset["l2_distance"]).figure,
        ]
        for figure in figures:
            figure.canvas.draw()
    assert [bar.get_width() for bar in figures[1].axes[0].patches] == [1] * 5


def test_a_score_that_is_undefined_for_all_images_leaves_its_bars_out(dataset):
    dataset["edge_similarity"][:] = np.nan
    ax = scores.mean_bars(statistics.summarise(dataset), score="edge_similarity")
    assert np.isnan([bar.get_width() for bar in ax.patches]).all()


def test_figures_do_without_a_score_that_a_model_lacks(dataset):
    summary = statistics.summarise(dataset.drop_vars("attention_similarity"))
    shown = [score for score in scores._scores(True) if score != "attention_similarity"]
    radar = scores.radar_grid(summary).axes[0]
    assert len(radar.get_xticks()) == len(shown)
    panel = scores.profiles(summary).axes[0]
    assert len(ticks(panel)) == len(shown)
    middle = scores.score_heatmap(summary).axes[0]
    assert len(ticks(middle, "x")) == len(shown)
