"""How much of a shift goes with what a change fills, on shifts that are made."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis import fillings
from helpers.analysis.scores import embedding_similarity

FILLINGS = {"augmentation": ("view", ["turn", "turn", "drop"]), "filling": ("view", [*"mrm"])}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def moved(values, **coords):
    return xr.DataArray(values, dims=("image", *coords.pop("axes")), coords=coords)


def test_shares_are_what_a_filling_takes_off(rng):
    lengths = rng.uniform(0.5, 1, 40)
    names = ["turn", "drop"]
    published = moved(
        lengths[:, None] * [1, 2], axes=["augmentation"], augmentation=names, image=range(40)
    )
    refilled = moved(
        lengths[5:, None] * [0.25, 1, 4],
        axes=["view"],
        image=range(5, 40),
        view=range(3),
        **FILLINGS,
    )
    table = fillings.shares_of_filling(published, refilled)
    assert list(zip(table["augmentation"], table["filling"], strict=True)) == [
        ("turn", "m"),
        ("turn", "r"),
        ("drop", "m"),
    ]
    # In proportion, image by image: the ratio has no uncertainty.
    for column in ("share", "low", "high"):
        np.testing.assert_allclose(table[column], [0.75, 0, -1], atol=1e-12)
    one = fillings.shares_of_filling(published, refilled[:1])
    assert one["low"].isna().all() and one["share"].notna().all()


def test_how_far_refilled_views_lie_is_one_less_the_cosine(rng):
    original = xr.DataArray(rng.normal(size=(4, 6)), dims=("image", "feature"))
    original = original.assign_coords(image=range(4))
    refilled = xr.DataArray(
        rng.normal(size=(2, 3, 6)), dims=("image", "view", "feature"), coords=FILLINGS
    ).assign_coords(image=[1, 3])
    found = fillings.moved_refilled(original, refilled)
    for place, image in enumerate((1, 3)):
        expected = embedding_similarity(original.values[image], refilled.values[place])
        np.testing.assert_allclose(found[place], 1 - expected)
    assert list(found["filling"].values) == ["m", "r", "m"]


def test_cosines_fall_where_the_filling_made_the_direction(rng):
    paint, own, images = 3 * np.eye(8)[0], 3 * np.eye(8)[1], 60
    noise = rng.normal(0, 0.3, (3, images, 8))
    shift = xr.DataArray(
        np.stack([noise[0] + paint, noise[1] + paint], axis=1),
        dims=("image", "augmentation", "feature"),
        coords={"augmentation": ["turn", "drop"], "image": range(images)},
    )
    refilled = xr.DataArray(
        np.stack([noise[2] + paint, noise[2] + own, noise[1] + own], axis=1),
        dims=("image", "view", "feature"),
        coords=FILLINGS | {"image": range(images), "view": range(3)},
    )
    table = fillings.cosines_refilled(shift, refilled, [("turn", "drop")], n_resamples=50)
    assert list(table["filling"]) == [fillings.PUBLISHED, "m", "r"]
    np.testing.assert_allclose(table["estimate"], [1, 0, 0], atol=0.05)
    assert table["low"].iloc[0] > 0.9 and table["high"].iloc[1] < 0.2
    np.testing.assert_allclose(table["left"], 1, atol=0.05)


def test_a_direction_that_goes_with_the_filling_is_not_left(rng):
    noise = rng.normal(0, 0.3, (3, 60, 8))
    coords = {"augmentation": ["turn", "drop"], "image": range(60)}
    shift = xr.DataArray(
        np.stack(noise[:2] + 3, axis=1), coords, ("image", "augmentation", "feature")
    )
    without = xr.DataArray(
        noise[2][:, None],
        coords={
            "image": range(60),
            "view": [0],
            "augmentation": ("view", ["turn"]),
            "filling": ("view", ["m"]),
        },
        dims=("image", "view", "feature"),
    )
    table = fillings.cosines_refilled(shift, without, [("turn", "drop")], n_resamples=50)
    np.testing.assert_allclose(table["left"], [1, 0], atol=0.01)
