import numpy as np
import pytest
import xarray as xr

from helpers.analysis import mean_shift


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def shifts(values):
    names = [f"a{number}" for number in range(np.shape(values)[1])]
    axes = ("image", "augmentation", "feature")
    return xr.DataArray(values, dims=axes, coords={"augmentation": names})


def planted(rng, images=80, features=40, noise=1.0):
    """Shifts along e0, along (e0 + e1)/√2, and in no common direction; all of like length."""
    values = rng.normal(0, noise / np.sqrt(features), (images, 3, features))
    values[:, 0, 0] += 1
    values[:, 1, :2] += 1 / np.sqrt(2)
    return values


def test_products_are_those_of_a_plain_double_loop(rng):
    values = rng.normal(size=(6, 3, 4))
    counts = rng.multinomial(6, [1 / 6] * 6, size=2).astype(float)
    products, lengths = mean_shift._products(values, counts)
    for row, weights in enumerate(counts):
        total, weight = np.zeros((3, 3)), 0.0
        for i in range(6):
            for j in range(6):
                if i != j:
                    total += weights[i] * weights[j] * values[i] @ values[j].T
                    weight += weights[i] * weights[j]
        assert products[row] == pytest.approx(total / weight)
        assert lengths[row] == pytest.approx(
            np.average(np.square(values).sum(-1), axis=0, weights=weights)
        )


def test_planted_directions_are_found(rng):
    found = mean_shift.mean_shift_directions(shifts(planted(rng)), n_resamples=199)
    assert found.common["share"].to_numpy() == pytest.approx([0.5, 0.5, 0], abs=0.06)
    assert (found.common["q"] <= 0.05).tolist() == [True, True, False]
    pair = found.cosines.sel(augmentation="a0", other="a1")
    assert pair["estimate"].item() == pytest.approx(1 / np.sqrt(2), abs=0.06)
    assert pair["low"] < 1 / np.sqrt(2) < pair["high"]
    assert pair["q"].item() <= 0.05
    assert np.argwhere(found.told().to_numpy()).tolist() == [[0, 1], [1, 0]]


def test_a_pair_whose_interval_holds_0_is_not_told(rng):
    found = mean_shift.mean_shift_directions(shifts(planted(rng)), n_resamples=199)
    found.cosines["low"][:] = -0.1
    assert not found.told().to_numpy().any()


def test_what_two_shifts_of_one_image_share_is_no_common_direction(rng):
    own = rng.normal(size=(60, 1, 30))
    values = own + 0.01 * rng.normal(size=(60, 2, 30))
    found = mean_shift.mean_shift_directions(shifts(values), n_resamples=199)
    assert np.abs(found.common["share"]).max() < 0.05
    assert not found.cosines["q"].sel(augmentation="a0", other="a1").item() <= 0.05


def test_random_shifts_rarely_have_a_direction():
    found = [
        mean_shift.mean_shift_directions(
            shifts(np.random.default_rng(seed).normal(size=(20, 4, 10)))
        )
        for seed in range(30)
    ]
    assert np.mean([(each.common["q"] <= 0.05).any() for each in found]) < 0.2


def test_two_images_have_no_interval_and_one_has_no_direction(rng):
    found = mean_shift.mean_shift_directions(shifts(rng.normal(size=(2, 2, 5))), n_resamples=9)
    assert found.common[["low", "high", "q"]].isna().all(axis=None)
    alone = mean_shift.mean_shift_directions(shifts(rng.normal(size=(1, 2, 5))), n_resamples=9)
    assert alone.common.isna().all(axis=None) and alone.cosines["estimate"].isnull().all()
