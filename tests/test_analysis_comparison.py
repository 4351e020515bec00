"""Models side by side: relative shifts, depth, few heads, and the same heads."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers.analysis import comparison
from helpers.analysis.dissection import component_labels

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


def test_every_layer_has_its_heads_and_mlp(shares):
    found = comparison.shares_by_layer(shares)
    own = [name for name in shares["component"].values if name.startswith("L1.")]
    assert found["layer"].values.tolist() == [0, 1, 2]
    expected = shares.sel(component=own).sum("component")
    np.testing.assert_allclose(found.sel(layer=1), expected.transpose(*found.sel(layer=1).dims))


def written_in(layer, images=20):
    """Shares that one layer's MLP carries, nearly all of them."""
    labels = component_labels(3, 2)
    rng = np.random.default_rng(layer)
    values = 0.01 * rng.random((images, len(labels)))
    values[:, labels.index(f"L{layer}.MLP")] = 1
    coords = {"component": labels, "image": np.arange(images)}
    return xr.DataArray(values, coords, ("image", "component"))


def test_the_mean_depth_is_where_a_difference_is_written():
    for layer, depth in ((0, 0), (1, 0.5), (2, 1)):
        np.testing.assert_allclose(comparison.mean_depth(written_in(layer)), depth, atol=0.05)


def test_no_shift_is_written_nowhere():
    assert comparison.mean_depth(0 * written_in(1)).isnull().all()


@pytest.mark.parametrize(("ordinary", "beyond"), [(2, 0), (0, 1)])
def test_training_is_held_against_what_it_does_to_any_difference(ordinary, beyond):
    def depths(shift, other):
        return {
            "shift": comparison.mean_depth(written_in(shift).expand_dims(augmentation=NAMES)),
            "ordinary": comparison.mean_depth(written_in(other)),
        }

    table = comparison.later_than_untrained(depths(2, ordinary), depths(0, 0))
    assert table.loc["shift", "low"] > 0.9
    assert table.loc["beyond", "mean"] == pytest.approx(beyond, abs=0.1)


def test_without_an_ordinary_difference_nothing_is_said_of_training():
    one = written_in(1, images=1).expand_dims(augmentation=NAMES)
    none = xr.DataArray([np.nan], {"image": [0]}, "image")
    side = {"shift": comparison.mean_depth(one), "ordinary": none}
    assert comparison.later_than_untrained(side, side).isna().all(axis=None)


def test_labels_of_images_are_no_obstacle_even_where_one_side_has_none():
    labels = {"class": ("image", [f"class {number % 3}" for number in range(20)])}
    shift = comparison.mean_depth(written_in(2).expand_dims(augmentation=NAMES))
    ordinary = comparison.mean_depth(written_in(1))
    plain = {"shift": shift, "ordinary": ordinary}
    expected = comparison.later_than_untrained(plain, plain)
    for labelled in ({"shift"}, {"ordinary"}, {"shift", "ordinary"}):
        side = {n: own.assign_coords(labels) if n in labelled else own for n, own in plain.items()}
        pd.testing.assert_frame_equal(comparison.later_than_untrained(side, side), expected)


def test_models_that_order_changes_alike_correlate():
    rng = np.random.default_rng(0)
    names = [f"change {n}" for n in range(6)]
    values = rng.random(6) + 0.01 * rng.random((30, 6))
    own = xr.DataArray(values, {"augmentation": names}, ("image", "augmentation"))
    orders = comparison.rank_correlations({"own": own, "same": own**2, "other": 1 - own})
    assert float(orders["estimate"].sel(score="own", other="same")) == pytest.approx(1)
    assert float(orders["estimate"].sel(score="own", other="other")) == pytest.approx(-1)
