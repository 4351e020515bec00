"""How the energy of shifts divides, on shifts that are made of known parts."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis import energy

IMAGES, FEATURES = 60, 16


def views(**changed):
    originals = np.random.default_rng(0).normal(size=(IMAGES, FEATURES)) + 2
    values = {"original": originals} | {n: make(originals) for n, make in changed.items()}
    return xr.DataArray(
        np.stack(list(values.values())),
        dims=("view", "image", "feature"),
        coords={"view": list(values), "image": [f"image-{i}" for i in range(IMAGES)]},
    )


def moved(originals):
    return originals + np.linspace(1, 2, FEATURES)


def contracted(originals):
    return originals - 0.7 * (originals - originals.mean(0))


def expanded(originals):
    return originals + 0.7 * (originals - originals.mean(0))


def scattered(originals):
    return originals + np.random.default_rng(1).normal(size=originals.shape)


def exchanged(originals):
    return originals[np.random.default_rng(2).permutation(IMAGES)]


def collapsed(originals):
    return 5 + 0.2 * np.random.default_rng(3).normal(size=originals.shape)


@pytest.fixture(scope="module")
def table():
    made = (moved, contracted, expanded, scattered, exchanged, collapsed)
    return energy.energy(views(**{make.__name__: make for make in made}))


@pytest.mark.parametrize(
    ("change", "part"),
    [("moved", "translation"), ("contracted", "contraction"), ("scattered", "rest")],
)
def test_a_pure_part_is_all_of_the_energy(table, change, part):
    assert table.loc[(change, part), "mean"] == pytest.approx(1, abs=0.03)


def test_parts_sum_to_one(table):
    shares = table["mean"].unstack()[list(energy.PARTS)].drop("original")
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (shares >= 0).all(axis=None)


def test_the_parts_in_plain_loops():
    own = views(mixed=lambda e: scattered(contracted(moved(e))))
    first, changed = own.values
    shift, pairs = changed - first, [(i, j) for i in range(IMAGES) for j in range(IMAGES) if i != j]

    def of_pairs(one, other):
        return np.mean([one[i] @ other[j] for i, j in pairs])

    def of_images(one, other):
        return np.mean([a @ b for a, b in zip(one, other, strict=True)])

    total, translation = of_images(shift, shift), of_pairs(shift, shift)
    variance = of_images(first, first) - of_pairs(first, first)
    factor = -(of_images(shift, first) - of_pairs(shift, first)) / variance
    found = energy.energy(own).loc["mixed", "mean"]
    assert found["translation"] == pytest.approx(translation / total)
    assert found["contraction"] == pytest.approx(factor**2 * variance / total)
    after = of_images(changed, changed) - of_pairs(changed, changed)
    assert found["variance_left"] == pytest.approx(after / variance)
    units = changed / np.linalg.norm(changed, axis=1, keepdims=True)
    assert found["cosine"] == pytest.approx(of_pairs(units, units))


def test_another_image_is_half_contraction_and_no_collapse(table):
    own = table.loc["exchanged"]
    assert own.loc["together", "mean"] == pytest.approx(energy.ANOTHER_IMAGE, abs=0.03)
    assert own.loc["variance_left", "mean"] == pytest.approx(1)
    assert energy.collapses(table).to_dict() == {
        "moved": False,
        "contracted": True,
        "expanded": False,
        "scattered": False,
        "exchanged": False,
        "collapsed": True,
    }


def test_an_expansion_is_no_contraction(table):
    assert table.loc[("expanded", "contraction"), "mean"] == 0
    assert table.loc[("expanded", "variance_left"), "mean"] > 2


def test_intervals_hold_the_estimate(table):
    known = table.dropna()
    assert (known["low"] <= known["mean"] + 1e-9).all()
    assert (known["high"] >= known["mean"] - 1e-9).all()


def test_nothing_follows_from_two_images_or_without_a_shift():
    few = energy.energy(views(moved=moved).isel(image=[0, 1]))
    assert few.isna().all(axis=None)
    still = energy.energy(views(still=np.copy)).loc["still"]
    assert still.loc[["translation", "contraction", "rest"], "mean"].isna().all()
    assert still.loc["variance_left", "mean"] == pytest.approx(1)
    assert not energy.collapses(few).any()
