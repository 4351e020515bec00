import numpy as np
import pytest
import xarray as xr
from scipy import stats

from helpers.analysis import statistics
from helpers.checks import WorkbookError


def scores(values):
    names = [f"a{number}" for number in range(np.shape(values)[1])]
    return xr.DataArray(values, dims=("image", "augmentation"), coords={"augmentation": names})


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_pairs_are_scipys_paired_t_tests_and_bca_intervals(rng, monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 2000)
    values = rng.gamma(1, size=(40, 3))
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


def test_a_small_difference_shows_in_spite_of_overlapping_intervals(rng):
    image = rng.normal(0, 1, (50, 1))
    values = image + np.array([0, 0.1]) + rng.normal(0, 0.05, (50, 2))
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


def test_undefined_values_leave_their_image_out(rng):
    values = rng.normal(size=(20, 3))
    values[3, 1] = np.nan
    table = statistics.paired_differences(scores(values))
    assert table["mean"][1] == pytest.approx(np.delete(values[:, 0] - values[:, 2], 3).mean())


def test_one_augmentation_has_no_pair():
    with pytest.raises(WorkbookError, match="two augmentations"):
        statistics.paired_differences(scores(np.ones((4, 1))))
