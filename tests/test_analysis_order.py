"""Orders of augmentations against the published one, and of models against one another."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers.analysis import order
from helpers.analysis.order import PUBLISHED_GROUPS
from helpers.analysis.scores import SCORES
from helpers.checks import WorkbookError
from helpers.data import AUGMENTATIONS
from helpers.ties import TOLERANCE

pytestmark = pytest.mark.filterwarnings("error")

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


@pytest.mark.parametrize("higher_is_closer", [True, False])
def test_rank_one_moves_furthest(higher_is_closer):
    similarity = np.array([[0.9, 0.1, 0.5]] * 4)
    values = similarity if higher_is_closer else -similarity
    table = pd.DataFrame(values, columns=["flip", "noise", "blur"])
    ranking = order.rank_augmentations(table, higher_is_closer=higher_is_closer)
    assert ranking.table["rank"].to_dict() == {"noise": 1, "blur": 2, "flip": 3}
    assert (ranking.table["agreement"] == 1).all()
    assert ranking.order_agreement == 1


def test_agreement_is_the_share_of_resamples(rng):
    values = np.column_stack([rng.normal(0, 1, 30), rng.normal(0.2, 1, 30), np.full(30, 9.0)])
    ranking = order.rank_augmentations(values, higher_is_closer=True)
    picks = np.random.default_rng(99).integers(30, size=(4000, 30))
    means = values[picks].mean(axis=1)
    same = (np.argmin(means[:, :2], axis=1) == np.argmin(values[:, :2].mean(axis=0))).mean()
    assert ranking.order_agreement == pytest.approx(same, abs=0.03)
    assert 0.5 < same < 0.99
    np.testing.assert_allclose(ranking.distribution.sum(axis=1), 1)
    assert ranking.distribution.loc[2, 3] == 1
    first = ranking.table.index[0]
    assert ranking.distribution.loc[first, 1] == ranking.table.loc[first, "agreement"]


def test_ties_share_the_smaller_rank():
    ranking = order.rank_augmentations(np.tile([1.0, 1.0, 2.0], (5, 1)), higher_is_closer=True)
    assert ranking.table["rank"].tolist() == [1, 1, 3]
    assert ranking.order_agreement == 1


def test_ranks_leave_undefined_scores_out():
    values = np.array([[0.1, np.nan, 0.9], [0.2, 0.5, 0.8], [0.1, 0.6, 0.9], [0.3, 0.4, 0.7]])
    ranking = order.rank_augmentations(values, higher_is_closer=True)
    assert ranking.table["rank"].tolist() == [1, 2, 3]
    assert ranking.table.loc[1, "mean"] == pytest.approx(0.5)


def test_each_score_is_ranked_in_its_own_direction(rng):
    distance = moved(rng, means=-2.0 * np.arange(9))
    scores = xr.Dataset(
        {name: -distance if row.higher_is_closer else distance for name, row in SCORES.items()}
    )
    rankings = order.rank_by_each_score(scores)
    assert list(rankings) == list(SCORES)
    assert {tuple(ranking.table.index) for ranking in rankings.values()} == {tuple(NAMES)}
    with pytest.raises(WorkbookError, match="score has no value 'x'"):
        order.rank_by_each_score(xr.Dataset({"x": distance}))


def test_one_image_has_no_agreement():
    ranking = order.rank_augmentations(np.array([[0.1, 0.5]]), higher_is_closer=True)
    assert ranking.table["rank"].tolist() == [1, 2]
    assert ranking.table["agreement"].isna().all()
    assert np.isnan(ranking.order_agreement) and ranking.distribution.isna().all(axis=None)


def test_published_groups_hold_known_augmentations_once():
    named = [name for group in order.PUBLISHED_GROUPS.values() for name in group]
    assert set(named) == set(NAMES) - {"elastic"}
    assert len(named) == len(set(named))
    assert set(order.PUBLISHED_CORRELATES) <= set(SCORES)
