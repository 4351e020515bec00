"""Models side by side: relative shifts, depth, few heads, and the same heads."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from scipy.stats import spearmanr

from helpers.analysis import comparison
from helpers.analysis.dissection import component_labels
from helpers.checks import WorkbookError

NAMES = ["noise", "blur"]


@pytest.fixture
def shares():
    labels = component_labels(3, 4)
    values = np.random.default_rng(2).dirichlet(np.ones(len(labels)), size=(30, 2))
    coords = {"augmentation": NAMES, "component": labels}
    return xr.DataArray(values, dims=("image", "augmentation", "component"), coords=coords)


def test_relative_shift_is_in_units_of_the_distance_between_images():
    rng = np.random.default_rng(0)
    originals = rng.normal(size=(12, 5))
    similarity = xr.DataArray(
        rng.random((12, 2)), dims=("image", "augmentation"), coords={"augmentation": NAMES}
    )
    table = comparison.relative_shift(
        similarity, xr.DataArray(originals, dims=("image", "feature"))
    )
    apart = np.mean(
        [1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in combinations(originals, 2)]
    )
    np.testing.assert_allclose(table["mean"], (1 - similarity).mean("image") / apart)
    assert (table["low"] < table["mean"]).all() and (table["mean"] < table["high"]).all()


def test_a_single_image_has_no_other_to_compare_with():
    similarity = xr.DataArray(
        [[0.5, 0.6]], dims=("image", "augmentation"), coords={"augmentation": NAMES}
    )
    originals = xr.DataArray(np.ones((1, 3)), dims=("image", "feature"))
    assert comparison.relative_shift(similarity, originals)["mean"].isna().all()


def test_two_images_have_a_relative_shift_without_an_interval():
    similarity = xr.DataArray(
        [[0.5, 0.6], [0.7, 0.9]], dims=("image", "augmentation"), coords={"augmentation": NAMES}
    )
    table = comparison.relative_shift(
        similarity, xr.DataArray(np.eye(2), dims=("image", "feature"))
    )
    np.testing.assert_allclose(table["mean"], [0.4, 0.25])
    assert table[["low", "high"]].isna().all(axis=None)


def test_shares_add_up_over_depth(shares):
    up_to = comparison.share_up_to_depth(shares)
    means = shares.mean("image").sel(augmentation="blur").to_series()
    first = ["class token", *(f"L0.H{head}" for head in range(4)), "L0.MLP", "L0.bias"]
    assert up_to.sel(augmentation="blur", depth=0).item() == pytest.approx(means["class token"])
    assert up_to.sel(augmentation="blur").values[1] == pytest.approx(means[first].sum())
    np.testing.assert_allclose(
        up_to.isel(depth=-1), 1 - shares.mean("image").sel(component="constant")
    )


def test_half_is_reached_between_layers():
    up_to = xr.DataArray(
        [[0.0, 0.4, 0.8, 1.0], [0.0, 0.0, 0.0, 0.0], [0.6, 0.7, 0.9, 1.0]],
        dims=("augmentation", "depth"),
        coords={"augmentation": ["noise", "blur", "elastic"], "depth": np.arange(4) / 3},
    )
    half = comparison.depth_of_half(up_to)
    assert half["noise"] == pytest.approx((1 + 0.25) / 3)
    assert np.isnan(half["blur"])
    assert half["elastic"] == 0


def test_few_heads_carry_half(shares):
    equal = shares.copy(data=np.full(shares.shape, 1 / shares.sizes["component"]))
    assert comparison.heads_for_half(equal)["noise"] == 0.5
    one = xr.zeros_like(shares)
    one.loc[{"component": "L2.H1"}] = 1
    assert comparison.heads_for_half(one)["noise"] == pytest.approx(1 / 12)
    assert comparison.heads_for_half(xr.zeros_like(shares)).isna().all()


def test_profiles_are_correlated_by_their_mean_heads(shares):
    other = shares.isel(component=slice(None, None, -1)).assign_coords(
        component=shares["component"]
    )
    table = comparison.profile_correlation(shares, other, n_resamples=50)
    heads = slice(12)
    expected = spearmanr(
        shares.mean("image").sel(augmentation="noise")[heads],
        other.mean("image").sel(augmentation="noise")[heads],
    ).statistic
    assert table.loc["noise", "estimate"] == pytest.approx(expected)
    same = comparison.profile_correlation(shares, shares, n_resamples=50)
    np.testing.assert_allclose(same, 1)


def test_without_a_shift_there_is_no_correlation(shares):
    none = comparison.profile_correlation(shares, xr.zeros_like(shares), n_resamples=5)
    assert none.isna().all(axis=None)


def test_layers_alone_explain_what_exchanging_heads_keeps(shares):
    layers = shares.copy()
    for place, label in enumerate(shares["component"].values[:12]):
        layers[:, :, place] = int(label[1])
    same_order = comparison.correlation_by_layer_alone(layers, layers, n_permutations=20)
    np.testing.assert_allclose(same_order, 1)
    exchanged = comparison.correlation_by_layer_alone(shares, shares, n_permutations=200)
    assert (exchanged < 0.7).all()


def test_other_models_are_not_compared_head_by_head(shares):
    fewer = shares.isel(component=slice(1, None))
    with pytest.raises(WorkbookError, match="12 and 11 entries of component"):
        comparison.profile_correlation(shares, fewer)


def named(values):
    return pd.Series(values, index=[f"change {place}" for place in range(len(values))])


def test_an_order_is_explained_by_itself_and_by_least_squares():
    rng = np.random.default_rng(0)
    pixels, untrained = named(rng.random(9)), named(rng.random(9))
    table = comparison.explained_order(2 * pixels**3, {"pixels": pixels, "untrained": untrained})
    assert table.loc["pixels", "explained"] == pytest.approx(1)
    assert table.loc["pixels", "p"] < 0.001 and table.loc["untrained", "p"] > 0.01
    moved = named(rng.random(9))
    table = comparison.explained_order(moved, {"pixels": pixels, "untrained": untrained})
    ranks = stats.rankdata(moved.to_numpy())
    design = np.column_stack(
        [np.ones(9), *(stats.rankdata(own.to_numpy()) for own in (pixels, untrained))]
    )
    left = ranks - design @ np.linalg.lstsq(design, ranks, rcond=None)[0]
    expected = 1 - (left**2).sum() / ((ranks - ranks.mean()) ** 2).sum()
    assert table.loc[comparison.TOGETHER, "explained"] == pytest.approx(expected)
    rho = stats.spearmanr(moved, pixels).statistic
    assert table.loc["pixels", "explained"] == pytest.approx(rho**2)
    np.testing.assert_allclose(table["chance"], [1 / 8, 1 / 8, 2 / 8], atol=0.01)


def test_the_same_baseline_twice_explains_no_more():
    rng = np.random.default_rng(1)
    moved, pixels = named(rng.random(9)), named(rng.random(9))
    table = comparison.explained_order(moved, {"once": pixels, "twice": pixels[::-1]})
    assert table["explained"].max() - table["explained"].min() < 1e-12
    flat = comparison.explained_order(named(np.ones(9)), {"once": pixels})
    assert flat["explained"].isna().all()


@pytest.fixture
def pooled(shares):
    """The same with a pool that has an MLP of its own and carries a tenth of every shift."""
    pool = xr.full_like(shares.isel(component=[0]), 0.1).assign_coords(component=["pool"])
    return xr.concat([0.9 * shares, pool], "component")


def test_a_pool_is_written_after_the_last_layer(shares, pooled):
    up_to = comparison.share_up_to_depth(pooled)
    np.testing.assert_allclose(up_to["depth"], np.arange(5) / 4)
    np.testing.assert_allclose(up_to[:, :-1], 0.9 * comparison.share_up_to_depth(shares))
    np.testing.assert_allclose(up_to[:, -1] - up_to[:, -2], 0.1)


def test_halves_and_quarters_add_up_to_the_whole(shares, pooled):
    halves = comparison.shares_by_half(pooled)
    assert list(halves)[-2:] == ["pool", "rest"]
    assert "pool" not in comparison.shares_by_half(shares)
    np.testing.assert_allclose(halves["pool"], 0.1)
    np.testing.assert_allclose(halves.sum(axis=1), 1)
    quarters = comparison.shares_by_quarter(pooled)
    assert quarters.sum() == pytest.approx(1)
    assert quarters["pool", ""] == pytest.approx(0.1)
    means = pooled.mean(["image", "augmentation"]).to_series()
    for layer, quarter in enumerate(("first", "second", "third")):  # where three layers begin
        heads = [f"L{layer}.H{head}" for head in range(4)]
        assert quarters["heads", quarter] == pytest.approx(means[heads].sum())
        assert quarters["MLPs", quarter] == pytest.approx(means[f"L{layer}.MLP"])
