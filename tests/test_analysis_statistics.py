"""Means, ranks, correlations and pairs against direct calls of SciPy and known cases."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from helpers.analysis import statistics
from helpers.analysis.scores import SCORES
from helpers.checks import WorkbookError
from helpers.data import AUGMENTATIONS

pytestmark = pytest.mark.filterwarnings("error")

NAMES = list(AUGMENTATIONS)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def array(values, names=NAMES):
    coords = {"augmentation": list(names)}
    return xr.DataArray(np.asarray(values, float), dims=("image", "augmentation"), coords=coords)


@pytest.fixture
def dataset(rng):
    """Six scores of 40 images that share one cause; L2 falls where the others rise."""
    cause = np.linspace(0.3, 0.9, 9) + rng.normal(0, 0.05, (40, 9))
    signs = {name: 1 if row.higher_is_closer else -1 for name, row in SCORES.items()}
    return xr.Dataset(
        {name: array(sign * cause + rng.normal(0, 0.1, (40, 9))) for name, sign in signs.items()}
    )


# Whether anything moved
@pytest.mark.parametrize(
    ("differences", "moved"),
    [([[0, 4e-7], [-4e-7, np.nan]], False), ([[0, 2e-6]], True), ([[np.nan]], False), ([], False)],
)
def test_rounding_and_undefined_scores_are_no_move(differences, moved):
    assert statistics.anything_moved(differences) is moved


# Means
def test_interval_is_the_percentile_bootstrap_of_scipy(rng):
    values = rng.gamma(2, size=(25, 3))
    result = statistics.mean_with_interval(values, seed=5)
    for column in range(3):
        expected = stats.bootstrap(
            (values[:, column],), np.mean, n_resamples=1000, method="percentile", batch=100, rng=5
        ).confidence_interval
        np.testing.assert_allclose(result.loc[column, ["low", "high"]].astype(float), expected)
    np.testing.assert_allclose(result["mean"], values.mean(axis=0))
    np.testing.assert_allclose(result["sd"], values.std(axis=0, ddof=1))
    assert (result["n"] == 25).all()


def test_intervals_cover_the_truth_about_as_often_as_they_say(rng):
    samples = rng.normal(2, 1, size=(60, 200))
    table = statistics.mean_with_interval(samples, confidence=0.9)
    covered = ((table["low"] <= 2) & (table["high"] >= 2)).mean()
    assert 0.8 < covered < 0.97


def test_undefined_scores_are_left_out_and_not_counted(rng):
    values = rng.normal(size=(10, 3))
    values[[1, 4], 0] = np.nan
    values[:, 1] = np.nan
    values[1:, 2] = np.nan
    table = statistics.mean_with_interval(values)
    alone = statistics.mean_with_interval(np.delete(values[:, :1], [1, 4], axis=0))
    np.testing.assert_allclose(table.loc[0].astype(float), alone.loc[0].astype(float))
    assert list(table["n"]) == [8, 0, 1]
    assert table.loc[1, ["mean", "low", "high"]].isna().all()
    assert table.loc[2, "mean"] == values[0, 2]
    assert table.loc[2, ["low", "high"]].isna().all()


def test_equal_values_have_an_interval_without_width():
    table = statistics.mean_with_interval(np.full((5, 1), 0.25))
    assert table.loc[0, ["mean", "low", "high"]].tolist() == [0.25] * 3


def test_labels_come_along_in_either_order_of_the_axes(rng):
    values = array(rng.normal(size=(6, 9)))
    table = statistics.mean_with_interval(values)
    assert list(table.index) == NAMES
    pd.testing.assert_frame_equal(table, statistics.mean_with_interval(values.transpose()))


@pytest.mark.parametrize("values", [np.zeros(4), np.zeros((0, 3)), np.zeros((2, 3, 4))])
def test_values_need_images_and_augmentations(values):
    with pytest.raises(WorkbookError, match="image and augmentation"):
        statistics.mean_with_interval(values)


def test_summary_is_tidy(dataset):
    summary = statistics.summarise(dataset)
    assert list(summary.columns) == ["score", "augmentation", "mean", "low", "high", "sd", "n"]
    assert len(summary) == 6 * 9
    assert list(summary["score"].unique()) == list(SCORES)
    one = summary.set_index(["score", "augmentation"]).loc[("edge_similarity", "blur"), "mean"]
    assert one == pytest.approx(float(dataset["edge_similarity"].sel(augmentation="blur").mean()))


# Correlations
def test_correlations_are_those_of_scipy(dataset):
    result = statistics.correlate_scores(dataset, n_resamples=10)
    first, second = "embedding_similarity", "l2_distance"
    expected = stats.spearmanr(
        dataset[first].values.ravel(), dataset[second].values.ravel()
    ).statistic
    assert float(result["estimate"].sel(score=first, other=second)) == pytest.approx(expected)
    means = statistics.correlate_scores(dataset, across="means", n_resamples=10)
    expected = stats.spearmanr(*(dataset[name].mean("image") for name in (first, second))).statistic
    assert float(means["estimate"].sel(score=first, other=second)) == pytest.approx(expected)
    assert (result["n"].item(), means["n"].item()) == (360, 9)


def test_within_augmentations_their_own_rank_correlations_are_averaged(dataset):
    first, second = "embedding_similarity", "l2_distance"
    shifted = dataset.assign({second: dataset[second] + 100 * np.arange(9)})
    result = statistics.correlate_scores(shifted, across="within", n_resamples=5)
    own = [
        stats.spearmanr(dataset[first][:, place], dataset[second][:, place]).statistic
        for place in range(9)
    ]
    assert float(result["estimate"].sel(score=first, other=second)) == pytest.approx(np.mean(own))


def test_correlation_intervals_resample_whole_images(dataset):
    result = statistics.correlate_scores(dataset, n_resamples=60, seed=2)
    draws = np.random.default_rng(2).integers(40, size=(60, 40))
    a, b = dataset["edge_similarity"].values, dataset["patch_similarity"].values
    resampled = [stats.spearmanr(a[drawn].ravel(), b[drawn].ravel()).statistic for drawn in draws]
    pair = result.sel(score="edge_similarity", other="patch_similarity")
    interval = [float(pair["low"]), float(pair["high"])]
    np.testing.assert_allclose(interval, np.quantile(resampled, [0.025, 0.975]))


def test_correlations_leave_out_pairs_with_an_undefined_score(dataset):
    complete = dataset.isel(image=slice(1, None))
    dataset["edge_similarity"][0, :] = np.nan
    options = {"n_resamples": 5}
    left = statistics.correlate_scores(dataset, **options)
    assert left["n"] == 39 * 9
    right = statistics.correlate_scores(complete, **options)
    xr.testing.assert_allclose(left["estimate"], right["estimate"])


def test_one_image_has_correlations_without_intervals(dataset):
    result = statistics.correlate_scores(dataset.isel(image=[0]), n_resamples=5)
    assert np.isfinite(result["estimate"]).all()
    assert np.isnan(result["low"]).all() and np.isnan(result["high"]).all()


def test_a_score_that_does_not_vary_has_no_correlation(dataset):
    dataset["patch_similarity"][:] = 1.0
    result = statistics.correlate_scores(dataset, n_resamples=5)
    row = result["estimate"].sel(score="patch_similarity")
    assert np.isnan(row).all()
    assert np.isfinite(result["estimate"].sel(score="edge_similarity", other="l2_distance"))


def test_correlation_options_are_named(dataset):
    with pytest.raises(WorkbookError, match="pairs, means, within"):
        statistics.correlate_scores(dataset, across="images")


# The published ranking
def test_resample_counts_draw_as_many_images_as_there_are():
    counts = statistics.resample_counts(7, 500, seed=1)
    assert (counts.sum(axis=1) == 7).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(7), abs=0.2)
    np.testing.assert_array_equal(counts, statistics.resample_counts(7, 500, seed=1))


def test_false_discovery_rates_are_those_of_benjamini_and_hochberg():
    p = np.random.default_rng(0).uniform(size=12) ** 3
    rising, expected = np.argsort(p), np.empty(12)
    for place, index in enumerate(rising):
        expected[index] = min(p[rising[later]] * 12 / (later + 1) for later in range(place, 12))
    np.testing.assert_allclose(statistics.false_discovery_rates(p), expected)


def test_what_was_not_tested_is_not_in_the_family():
    rates = statistics.false_discovery_rates([0.01, np.nan, 0.04])
    np.testing.assert_allclose(rates, [0.02, np.nan, 0.04])
    assert np.isnan(statistics.false_discovery_rates([np.nan])).all()


def scores(values):
    names = [f"a{number}" for number in range(np.shape(values)[1])]
    return xr.DataArray(values, dims=("image", "augmentation"), coords={"augmentation": names})


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def test_pairs_are_scipys_paired_t_tests_and_bca_intervals(generator, monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 2000)
    values = generator.gamma(1, size=(40, 3))
    table = statistics.paired_differences(scores(values))
    for row, (one, other) in zip(table.itertuples(), [(0, 1), (0, 2), (1, 2)], strict=True):
        test = stats.ttest_rel(values[:, one], values[:, other])
        assert row.p == pytest.approx(test.pvalue)
        assert row.mean == pytest.approx((values[:, one] - values[:, other]).mean())
        alone = stats.bootstrap(
            (values[:, one] - values[:, other],), np.mean, n_resamples=2000, method="BCa", rng=5
        ).confidence_interval
        assert [row.low, row.high] == pytest.approx([alone.low, alone.high], abs=0.05)
    assert table["q"].tolist() == pytest.approx(stats.false_discovery_control(table["p"]))


def test_a_small_difference_shows_in_spite_of_overlapping_intervals(generator):
    image = generator.normal(0, 1, (50, 1))
    values = image + np.array([0, 0.1]) + generator.normal(0, 0.05, (50, 2))
    (row,) = statistics.paired_differences(scores(values)).itertuples()
    assert row.differs and row.high < 0
    half = 1.96 * values.std(axis=0, ddof=1) / np.sqrt(50)
    assert values[:, 0].mean() + half[0] > values[:, 1].mean() - half[1]


def test_equal_augmentations_rarely_differ():
    found = [
        statistics.paired_differences(scores(np.random.default_rng(seed).normal(size=(30, 6))))[
            "differs"
        ].any()
        for seed in range(40)
    ]
    assert np.mean(found) < 0.15


def test_what_never_varies_is_certain():
    values = np.array([[1.0, 1.0, 0.5]] * 5)
    table = statistics.paired_differences(scores(values))
    assert table["p"].tolist() == [1, 0, 0]
    assert table["differs"].tolist() == [False, True, True]
    assert table["low"].tolist() == table["high"].tolist() == table["mean"].tolist()


def test_two_images_tell_nothing():
    table = statistics.paired_differences(scores(np.array([[1.0, 2.0], [1.0, 3.0]])))
    assert table["p"].isna().all() and not table["differs"].any()


def test_undefined_values_leave_their_image_out(generator):
    values = generator.normal(size=(20, 3))
    values[3, 1] = np.nan
    table = statistics.paired_differences(scores(values))
    assert table["mean"][1] == pytest.approx(np.delete(values[:, 0] - values[:, 2], 3).mean())


def test_one_augmentation_has_no_pair():
    with pytest.raises(WorkbookError, match="two augmentations"):
        statistics.paired_differences(scores(np.ones((4, 1))))


def test_a_correction_of_no_bias_is_the_percentile_interval(rng):
    resampled = np.sort(rng.normal(size=2001))
    low, high = statistics.bias_corrected(resampled, resampled[1000])
    assert [low, high] == pytest.approx(np.quantile(resampled, [0.025, 0.975]), abs=0.02)


def test_a_correction_is_scipys_without_acceleration(rng):
    # The mean of a symmetric sample has no acceleration.
    half = rng.exponential(size=15)
    sample = np.concatenate([half, -half])
    found = stats.bootstrap((sample,), np.mean, n_resamples=4000, method="BCa", rng=1)
    low, high = statistics.bias_corrected(found.bootstrap_distribution, sample.mean())
    expected = found.confidence_interval
    assert [low, high] == pytest.approx([expected.low, expected.high], abs=0.01)


def test_an_estimate_at_the_upper_edge_raises_its_interval():
    resampled = np.repeat([17, 18, 19, 20], [100, 300, 300, 300])
    low, high = statistics.bias_corrected(resampled, 20)
    assert high == 20 and low > np.quantile(resampled, 0.025)


def test_intervals_are_wilsons():
    found = statistics.share_with_interval(16, 48)
    z, p, n = stats.norm.ppf(0.975), 16 / 48, 48
    centre = (p + z**2 / 2 / n) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / 4 / n**2)
    assert [found["low"], found["high"]] == pytest.approx([centre - reach, centre + reach])
    assert found["share"] == p
