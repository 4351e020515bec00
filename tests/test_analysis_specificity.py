"""What of a shift's account is its own: made accounts of which that is known, both ways."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis import specificity
from helpers.analysis.dissection import component_labels

LABELS = component_labels(3, 4)
PLANTED = "L2.H1"
CHANGES = ["ordinary", "planted"]
EXCESS = 0.15


def made(images, seed=0, *, excess=EXCESS, source="scenes", spread=0.03):
    """Shares under two changes, and in ordinary differences: the same but for a planted head."""
    rng = np.random.default_rng(seed)
    mean = np.zeros(len(LABELS))
    mean[:15] = rng.dirichlet(np.ones(15))
    ids = [f"{source}-{place}" for place in range(images)]
    of_image = rng.normal(0, spread / 2, (images, len(LABELS)))  # the same on both sides
    of_image[:, 15:] = 0
    draw = lambda *shape: mean + of_image + rng.normal(0, spread, (*shape, len(LABELS)))  # noqa: E731
    values = np.stack([draw(images), draw(images)], axis=1)
    values[:, 1, LABELS.index(PLANTED)] += excess
    values[:, 1, LABELS.index("L0.MLP")] -= excess
    axes = {"image": ids, "component": LABELS, "source": ("image", [source] * images)}
    shares = xr.DataArray(
        values, dims=("image", "augmentation", "component"), coords=axes | {"augmentation": CHANGES}
    )
    # The mean over pairs: an image's own part counts once, and that of all others averages out.
    reference = (
        mean + (of_image + of_image.mean(axis=0)) + rng.normal(0, spread / 9, values[:, 0].shape)
    )
    ordinary = xr.Dataset(
        {
            "shares": (("image", "component"), reference),
            "another": (("image", "component"), draw(images)),
        },
        coords=axes,
    )
    return shares, ordinary


def test_a_planted_excess_is_found_and_an_ordinary_difference_has_none():
    shares, ordinary = made(60)
    found = specificity.excess_shares(specificity.with_control(shares, ordinary), ordinary)
    heads = specificity.specific_heads(found)
    assert heads == {"ordinary": [], "planted": [PLANTED], specificity.ANOTHER: []}
    cell = found.sel(augmentation="planted", component=PLANTED)
    assert cell["low"] < EXCESS < cell["high"] and cell["low"] > 0.1
    assert set(found["component"].values) == {n for n in LABELS if "H" in n or "MLP" in n}
    np.testing.assert_allclose(found["share"] - found["ordinary"], found["excess"], atol=1e-12)


def test_accounts_with_the_same_planted_head_are_alike():
    shares, ordinary = made(80)
    twin = shares.sel(augmentation=["planted"]).assign_coords(augmentation=["twin"])
    twin = twin + np.random.default_rng(2).normal(0, 0.03, twin.shape)
    both = xr.concat([shares, twin], "augmentation")
    found = specificity.likeness(both, ordinary, "planted")
    assert list(found.index) == ["ordinary", "twin"]
    assert found.loc["twin", "low"] > found.loc["ordinary", "high"]
    assert (found["low"] <= found["correlation"]).all()
    assert (found["correlation"] <= found["high"]).all()
    few = specificity.likeness(both.isel(image=slice(2)), ordinary.isel(image=slice(2)), "planted")
    assert few["correlation"].isna().all()


def test_the_distance_is_the_planted_one_and_else_stays_at_the_floor():
    shares, ordinary = made(200, spread=0.01)
    table = specificity.distances(specificity.with_control(shares, ordinary), ordinary)
    assert table.loc["planted", "distance"] == pytest.approx(EXCESS, abs=0.01)
    assert table["own"].to_dict() == {
        "ordinary": False,
        "planted": True,
        specificity.ANOTHER: False,
    }
    assert table.loc["planted", "low"] > 5 * table.loc["planted", "floor"]
    assert (table["distance"] < table["floor"]).to_dict()["ordinary"]
    assert table.loc["ordinary", "correlation"] > 0.99 > table.loc["planted", "correlation"]
    assert table["n"].tolist() == [200] * 3


def test_false_discoveries_are_held_in_samples_without_an_excess():
    found = [
        specificity.excess_shares(*made(20, seed, excess=0))["specific"].any().item()
        for seed in range(60)
    ]
    assert np.mean(found) <= 0.1
    own = [specificity.distances(*made(20, seed, excess=0))["own"].any() for seed in range(60)]
    assert np.mean(own) <= 0.1


def test_the_interval_holds_the_planted_excess_about_as_often_as_it_claims():
    inside = []
    for seed in range(60):
        found = specificity.excess_shares(*made(30, seed))
        cell = found.sel(augmentation="planted", component=PLANTED)
        inside.append(bool(cell["low"] <= EXCESS <= cell["high"]))
    assert np.mean(inside) >= 0.85


def test_some_images_of_a_source_suffice_for_the_reference():
    shares, ordinary = made(120)
    few = ordinary.isel(image=slice(40))
    found = specificity.excess_shares(shares, few)
    assert specificity.specific_heads(found) == {"ordinary": [], "planted": [PLANTED]}
    np.testing.assert_allclose(
        found["ordinary"], few["shares"].sel(component=found["component"]).mean("image")
    )
    every = specificity.excess_shares(shares, ordinary)
    width, narrow = ((own["high"] - own["low"]).mean() for own in (found, every))
    assert width > narrow


def test_images_that_did_not_move_do_not_count():
    shares, ordinary = made(60)
    shares[::2, 1] = 0
    found = specificity.excess_shares(shares, ordinary)
    moved = shares[1::2, 1].sel(component=PLANTED).mean()
    cell = found.sel(augmentation="planted", component=PLANTED)
    assert cell["share"].item() == pytest.approx(moved.item())
    assert cell["specific"]
    table = specificity.distances(shares, ordinary)
    assert table["n"].tolist() == [60, 30]


@pytest.mark.parametrize("images", [1, 2])
def test_too_few_images_say_nothing(images):
    shares, ordinary = made(images)
    ordinary["shares"][:] = np.nan if images == 1 else ordinary["shares"]
    found = specificity.excess_shares(shares, ordinary)
    assert not found["specific"].any() and found["low"].isnull().all()
    table = specificity.distances(shares, ordinary)
    assert not table["own"].any() and table["floor"].isna().all()


def test_nothing_that_moved_has_no_account():
    shares, ordinary = made(10)
    found = specificity.excess_shares(0 * shares, ordinary)
    assert found["excess"].isnull().all() and not found["specific"].any()
    assert not specificity.distances(0 * shares, ordinary)["own"].any()


def test_sources_are_apart_and_a_table_says_all_of_them():
    sides = [made(40, 0), made(40, 1, source="photos", excess=0)]
    shares, ordinary = (xr.concat(each, "image") for each in zip(*sides, strict=True))
    table = specificity.account(shares, ordinary).table
    assert table.loc[("scenes", "planted"), "specific"] == [PLANTED]
    assert table.loc[("photos", "planted"), "specific"] == []
    alone = specificity.account(*sides[0]).table
    np.testing.assert_allclose(alone["distance"], table.loc[["scenes"], "distance"])
