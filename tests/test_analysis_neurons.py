"""Neurons over images: moments of batches, the reference, and which neurons are specific."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis import neurons
from helpers.analysis.dissection import fewest_for_half
from helpers.analysis.specificity import ANOTHER

AXES = ("augmentation", "depth", "neuron")


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
    found = neurons.merged_moments(given, counts)
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
    np.testing.assert_allclose(neurons.merged_moments(given, counts)["share"], 1 / 3)


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
    found = neurons.ordinary_neurons(fired, written, embeddings, rng)
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
    found = neurons.ordinary_neurons(fired, written, embeddings, rng)
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
    return neurons.excess_shares(account, reference)


def test_a_planted_neuron_is_specific_and_comes_first(rng):
    found = held(rng, planted=0.05).sel(of_source="scenes")
    table = neurons.leading(found)
    assert table.loc["blur", "neuron"] == "L1.N7"
    assert table.loc["blur", "count"] == 1
    assert table.loc["blur", "low"] > 0.03
    assert not found["specific"].sel(augmentation=ANOTHER).any()


def test_an_ordinary_difference_has_no_specific_neurons(rng):
    found = held(rng).sel(of_source="scenes")
    assert not found["specific"].any()
    assert neurons.leading(found).empty


def test_as_many_neurons_are_chosen_for_every_reason(rng):
    shares = xr.DataArray(
        rng.normal(size=(3, 2, 150)), dims=AXES, coords={"augmentation": ["a", "b", "c"]}
    )
    ordinary = xr.DataArray(rng.normal(size=(2, 150)), dims=AXES[1:])
    chosen = neurons.choose(shares, ordinary, seed=0)
    assert (chosen.sum(["depth", "neuron"]) == 3).all()
    own = chosen.sel(choice="own", augmentation="a").values
    excess = (shares[0] - ordinary).values
    assert excess[own].min() >= excess[~own].max()


def test_the_fewest_that_make_up_half():
    falling = np.array([[4.0, 3, 2, 1], [1, 1, 1, 1], [0, 0, 0, 0]])
    assert fewest_for_half(falling).tolist() == [2, 2, 0]
