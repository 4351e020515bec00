"""Orders of augmentations against the published one, and of models against one another."""

from itertools import permutations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from helpers.analysis import order, statistics
from helpers.analysis.order import PUBLISHED_GROUPS
from helpers.checks import WorkbookError
from helpers.data import AUGMENTATIONS
from helpers.ties import TOLERANCE

NAMES = list(AUGMENTATIONS)
STATED = [name for group in PUBLISHED_GROUPS.values() for name in group]

PARTS = (order.NOISE_FIRST, order.BEYOND_NOISE)
CHANGES = ["noise", "blur"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def moved(rng, images=20, means=None):
    values = rng.normal(means if means is not None else np.zeros(9), 1, (images, 9))
    return xr.DataArray(
        values,
        coords={"image": np.arange(images), "augmentation": NAMES},
        dims=("image", "augmentation"),
    )


def count_by_loop(values):
    group_of = {name: at for at, group in enumerate(PUBLISHED_GROUPS.values()) for name in group}
    tied = TOLERANCE * max(abs(value) for value in values.values())
    return sum(
        group_of[one] < group_of[other] and values[one] > values[other] + tied
        for one, other in permutations(group_of, 2)
    )


def test_pairs_are_counted_as_a_plain_loop_counts_them(rng):
    for _ in range(20):
        values = dict(zip(NAMES, rng.normal(size=9), strict=True))
        assert order.count_pairs(list(values.values()), NAMES) == count_by_loop(values)


def test_the_published_order_itself_has_all_pairs_and_its_reverse_none(rng):
    places = np.array([STATED.index(name) if name in STATED else 0 for name in NAMES])
    for sign, agreeing in ((-1, 23), (1, 0)):
        found = order.published_pairs(moved(rng, means=sign * 1000.0 * places))
        assert (found.agreeing, found.pairs) == (agreeing, 23)
        assert found.low == found.high == agreeing


def test_ties_agree_with_nothing():
    assert order.count_pairs(np.linspace(1, 1 + TOLERANCE / 2, 9), NAMES) == 0


def test_chance_is_half_of_the_pairs_and_p_is_exact(rng):
    found = order.published_pairs(moved(rng))
    assert found.chance.mean == pytest.approx(23 / 2)
    counts = [count_by_loop(dict(zip(STATED, own, strict=True))) for own in permutations(range(8))]
    assert found.chance.p == pytest.approx(np.mean(np.array(counts) >= found.agreeing))
    assert [found.chance.low, found.chance.high] == pytest.approx(
        np.quantile(counts, [0.025, 0.975])
    )


def test_a_table_has_a_row_per_order_and_one_of_chance(rng):
    table = order.pairs_beside_baselines({"model": moved(rng), "pixel change": moved(rng)})
    assert list(table.index) == ["model", "pixel change", "chance"]
    assert table.loc["chance", "agreeing"] == pytest.approx(11.5)
    assert (table["pairs"] == 23).all()


def test_one_image_has_no_interval(rng):
    found = order.published_pairs(moved(rng, images=1))
    assert np.isnan([found.low, found.high]).all()


def test_a_missing_augmentation_is_named():
    with pytest.raises(WorkbookError, match="noise"):
        order.count_pairs(np.zeros(8), NAMES[1:])


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


def test_how_far_images_move_is_one_less_the_cosine(rng):
    values = rng.normal(size=(4, 3, 6))
    coords = {"view": ["original", "a", "b"], "source": ("image", list("xxyy"))}
    embeddings = xr.DataArray(values, dims=("image", "view", "feature"), coords=coords)
    found = order.moved_by(embeddings)
    for image in range(4):
        for at, name in ((1, "a"), (2, "b")):
            one, other = values[image, 0], values[image, at]
            cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
            assert found.sel(augmentation=name)[image].item() == pytest.approx(1 - cosine)
    assert list(found["source"].values) == list("xxyy")


def test_the_published_order_is_noise_first_and_the_rest(rng):
    for _ in range(20):
        values = rng.normal(size=9)
        parts = [order.count_pairs(values, NAMES, groups) for groups in PARTS]
        assert sum(parts) == order.count_pairs(values, NAMES)
    assert [order.published_pairs(moved(rng), groups=own).pairs for own in PARTS] == [7, 16]


def test_untrained_networks_have_a_row_each_on_their_own_images(rng):
    own, pixels = moved(rng), moved(rng)
    few = xr.concat([own[:5], -own[:5]], xr.Variable("network", [1, 2]))
    table = order.pairs_beside_untrained(own, pixels, few, groups=order.BEYOND_NOISE)
    rows = [order.MODEL, order.PIXELS, order.SAME_IMAGES, "untrained 1", "untrained 2", "chance"]
    assert list(table.index) == rows
    assert table.loc[order.SAME_IMAGES, "agreeing"] == table.loc["untrained 1", "agreeing"]
    assert table["agreeing"][["untrained 1", "untrained 2"]].sum() == 16


def test_models_that_order_changes_alike_correlate():
    rng = np.random.default_rng(0)
    names = [f"change {n}" for n in range(6)]
    values = rng.random(6) + 0.01 * rng.random((30, 6))
    own = xr.DataArray(values, {"augmentation": names}, ("image", "augmentation"))
    orders = order.rank_correlations({"own": own, "same": own**2, "other": 1 - own})
    assert float(orders["estimate"].sel(score="own", other="same")) == pytest.approx(1)
    assert float(orders["estimate"].sel(score="own", other="other")) == pytest.approx(-1)
