"""What of an account is a change's own, of heads and of neurons: made so that it is known."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis import specificity
from helpers.analysis.dissection import component_labels, fewest_for_half
from helpers.analysis.specificity import ANOTHER

LABELS = component_labels(3, 4)
PLANTED = "L2.H1"
CHANGES = ["ordinary", "planted"]
EXCESS = 0.15
AXES = ("augmentation", "depth", "neuron")


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


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_moments_of_batches_are_those_of_all_images(rng):
    shares = rng.normal(size=(7, 2, 3, 5))  # images × changes × layers × neurons
    batches = [shares[:4], shares[4:]]
    moments = [5 * np.stack([b.mean(0), np.sqrt((b**2).mean(0))]) for b in batches]
    given = xr.DataArray(
        np.stack(moments)[:, None],
        dims=("batch", "of_source", "moment", *AXES),
        coords={"moment": ["mean", "root mean square"]},
    )
    counts = xr.DataArray([[4], [3]], dims=("batch", "of_source"))
    found = specificity.merged_moments(given, counts)
    np.testing.assert_allclose(found["share"][0], shares.mean(0))
    np.testing.assert_allclose(found["error"][0], shares.std(0, ddof=1) / np.sqrt(7))


def test_a_batch_without_images_of_a_source_counts_nothing(rng):
    moments = np.full((2, 1, 2, 1, 1, 3), np.nan)
    moments[0] = 1.0
    given = xr.DataArray(
        moments,
        dims=("batch", "of_source", "moment", *AXES),
        coords={"moment": ["mean", "root mean square"]},
    )
    counts = xr.DataArray([[4], [0]], dims=("batch", "of_source"))
    np.testing.assert_allclose(specificity.merged_moments(given, counts)["share"], 1 / 3)


def sides(rng, images=6, layers=2, count=4, features=5):
    """How neurons fire, how far they write towards embeddings, and these."""
    fired = rng.normal(size=(images, layers, count))
    directions = rng.normal(size=(layers, count, features))
    embeddings = np.einsum("iln,lnf->if", fired, directions)
    written = np.einsum("lnf,if->iln", directions, embeddings)
    axes, ids = ("image", "depth", "neuron"), {"image": [f"image {n}" for n in range(images)]}
    arrays = (xr.DataArray(side, dims=axes, coords=ids) for side in (fired, written))
    return *arrays, xr.DataArray(embeddings, dims=("image", "feature"), coords=ids)


def test_ordinary_shares_are_means_over_all_pairs(rng):
    fired, written, embeddings = sides(rng)
    found = specificity.ordinary_neurons(fired, written, embeddings, rng)
    e = embeddings.values
    pairs = [
        (fired.values[j] - fired.values[i])
        * (written.values[j] - written.values[i])
        / ((e[j] - e[i]) ** 2).sum()
        for i in range(6)
        for j in range(6)
        if i != j
    ]
    np.testing.assert_allclose(found["share"], np.mean(pairs, axis=0), rtol=1e-5)
    assert found["share"].sum() == pytest.approx(1, rel=1e-5)
    assert found["another"].sum() == pytest.approx(1, rel=1e-5)
    loudest = fired.values[:, 1, 2].argmax()
    assert found["exciting"].values[0, 1, 2] == f"image {loudest}"


def test_copies_of_an_image_are_no_pair(rng):
    fired, written, embeddings = (
        side.isel(image=[0, 0, 1]).assign_coords(image=["a", "b", "c"]) for side in sides(rng)
    )
    found = specificity.ordinary_neurons(fired, written, embeddings, rng)
    assert found["share"].sum() == pytest.approx(1, rel=1e-5)


def held(rng, planted=0.0):
    """Excess shares of a change that is an ordinary difference, but for one planted neuron."""
    shape, error = (1, 1, 2, 50), 0.002
    share = rng.normal(0.01, error, shape)
    share[0, 0, 1, 7] += planted
    account = xr.Dataset(
        {
            "share": (("of_source", *AXES), share),
            "error": (("of_source", *AXES), np.full(shape, error)),
            "images": ("of_source", [40]),
        },
        coords={"augmentation": ["blur"], "of_source": ["scenes"]},
    )
    even = (("of_source", "depth", "neuron"), np.full((1, 2, 50), 0.01))
    errors = (even[0], np.full((1, 2, 50), error))
    reference = xr.Dataset(
        {"share": even, "error": errors, "another": even, "another_error": errors}
    ).assign_coords(of_source=["scenes"])
    return specificity.neuron_excess(account, reference)


def test_a_planted_neuron_is_specific_and_comes_first(rng):
    found = held(rng, planted=0.05).sel(of_source="scenes")
    table = specificity.leading_neurons(found)
    assert table.loc["blur", "neuron"] == "L1.N7"
    assert table.loc["blur", "count"] == 1
    assert table.loc["blur", "low"] > 0.03
    assert not found["specific"].sel(augmentation=ANOTHER).any()


def test_an_ordinary_difference_has_no_specific_neurons(rng):
    found = held(rng).sel(of_source="scenes")
    assert not found["specific"].any()
    assert specificity.leading_neurons(found).empty


def test_as_many_neurons_are_chosen_for_every_reason(rng):
    shares = xr.DataArray(
        rng.normal(size=(3, 2, 150)), dims=AXES, coords={"augmentation": ["a", "b", "c"]}
    )
    ordinary = xr.DataArray(rng.normal(size=(2, 150)), dims=AXES[1:])
    chosen = specificity.choose_neurons(shares, ordinary, seed=0)
    assert (chosen.sum(["depth", "neuron"]) == 3).all()
    own = chosen.sel(choice="own", augmentation="a").values
    excess = (shares[0] - ordinary).values
    assert excess[own].min() >= excess[~own].max()


def test_the_fewest_that_make_up_half():
    falling = np.array([[4.0, 3, 2, 1], [1, 1, 1, 1], [0, 0, 0, 0]])
    assert fewest_for_half(falling).tolist() == [2, 2, 0]
