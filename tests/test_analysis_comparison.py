"""Models side by side: relative shifts, their order, and depth."""

from itertools import combinations

import numpy as np
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


def test_shares_are_added_up_by_layer(shares):
    by_layer = comparison.shares_by_layer(shares)
    means = shares.mean("image").sel(augmentation="blur").to_series()
    own = ["L1.H0", "L1.H1", "L1.H2", "L1.H3", "L1.MLP", "L1.bias"]
    assert by_layer["layer"].values.tolist() == [0, 1, 2]
    found = by_layer.mean("image").sel(augmentation="blur", layer=1)
    assert found.item() == pytest.approx(means[own].sum())


def test_depth_is_that_of_the_layers_weighted_by_their_shares(shares):
    none = xr.zeros_like(shares)
    assert comparison.mean_depth(none).isnull().all()
    last, halves = none.copy(), none.copy()
    last.loc[{"component": "L2.MLP"}] = 0.3
    halves.loc[{"component": ["L0.H1", "L2.H3"]}] = 0.5
    np.testing.assert_allclose(comparison.mean_depth(last), 1)
    np.testing.assert_allclose(comparison.mean_depth(halves), 0.5)


def depths(shift, ordinary, images=30):
    noise = np.random.default_rng(0).normal(0, 0.02, (3, images))
    both = xr.DataArray(
        shift + noise[:2].T, dims=("image", "augmentation"), coords={"augmentation": NAMES}
    )
    return {"shift": both, "ordinary": xr.DataArray(ordinary + noise[2], dims="image")}


def test_what_training_does_to_any_difference_is_not_said_of_shifts():
    alike = comparison.later_than_untrained(depths(0.8, 0.8), depths(0.5, 0.5))
    assert alike.loc["shift", "mean"] == pytest.approx(0.3)
    assert alike.loc["beyond", "mean"] == pytest.approx(0)
    own = comparison.later_than_untrained(depths(0.8, 0.5), depths(0.5, 0.5))
    assert own.loc["beyond", "low"] > 0.2
    unknown = depths(0.5, np.nan)
    assert comparison.later_than_untrained(unknown, unknown).isna().all(axis=None)


def test_models_with_one_order_agree():
    rng = np.random.default_rng(3)
    names = ["noise", "blur", "elastic", "flip"]
    means = np.array([0.2, 0.5, 0.7, 0.9])
    models = {
        model: xr.DataArray(
            own + rng.normal(0, 0.01, (20, 4)),
            dims=("image", "augmentation"),
            coords={"augmentation": names},
        )
        for model, own in {"one": means, "same": means / 2, "reverse": 1 - means}.items()
    }
    found = comparison.rank_correlations(models, n_resamples=50)["estimate"]
    assert found.sel(score="one", other="same") == 1
    assert found.sel(score="one", other="reverse") == -1
    alone = comparison.rank_correlations({"one": models["one"]})
    assert alone["estimate"].item() == 1 and np.isnan(alone["low"].item())
