"""How shifts divide, on shifts that are made of known parts; directions, fillings, the plane."""

from itertools import combinations

import numpy as np
import pytest
import xarray as xr

from helpers.analysis import shifts
from helpers.analysis.scores import embedding_similarity
from helpers.analysis.shifts import principal_plane
from helpers.checks import WorkbookError

IMAGES, FEATURES = 60, 16
FILLINGS = {"augmentation": ("view", ["turn", "turn", "drop"]), "filling": ("view", [*"mrm"])}
CHANGES = ["noise", "blur"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def shift_of(values):
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
    products, lengths = shifts._products(values, counts)
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
    found = shifts.mean_shift_directions(shift_of(planted(rng)), n_resamples=199)
    assert found.common["share"].to_numpy() == pytest.approx([0.5, 0.5, 0], abs=0.06)
    assert (found.common["q"] <= 0.05).tolist() == [True, True, False]
    pair = found.cosines.sel(augmentation="a0", other="a1")
    assert pair["estimate"].item() == pytest.approx(1 / np.sqrt(2), abs=0.06)
    assert pair["low"] < 1 / np.sqrt(2) < pair["high"]
    assert pair["q"].item() <= 0.05
    assert np.argwhere(found.distinct().to_numpy()).tolist() == [[0, 1], [1, 0]]


def test_a_pair_whose_interval_holds_0_is_not_told(rng):
    found = shifts.mean_shift_directions(shift_of(planted(rng)), n_resamples=199)
    found.cosines["low"][:] = -0.1
    assert not found.distinct().to_numpy().any()


def test_what_two_shifts_of_one_image_share_is_no_common_direction(rng):
    own = rng.normal(size=(60, 1, 30))
    values = own + 0.01 * rng.normal(size=(60, 2, 30))
    found = shifts.mean_shift_directions(shift_of(values), n_resamples=199)
    assert np.abs(found.common["share"]).max() < 0.05
    assert not found.cosines["q"].sel(augmentation="a0", other="a1").item() <= 0.05


def test_random_shifts_rarely_have_a_direction():
    found = [
        shifts.mean_shift_directions(shift_of(np.random.default_rng(seed).normal(size=(20, 4, 10))))
        for seed in range(30)
    ]
    assert np.mean([(each.common["q"] <= 0.05).any() for each in found]) < 0.2


def test_two_images_have_no_interval_and_one_has_no_direction(rng):
    found = shifts.mean_shift_directions(shift_of(rng.normal(size=(2, 2, 5))), n_resamples=9)
    assert found.common[["low", "high", "q"]].isna().all(axis=None)
    alone = shifts.mean_shift_directions(shift_of(rng.normal(size=(1, 2, 5))), n_resamples=9)
    assert alone.common.isna().all(axis=None) and alone.cosines["estimate"].isnull().all()


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
    return shifts.energy(views(**{make.__name__: make for make in made}))


@pytest.mark.parametrize(
    ("change", "part"),
    [("moved", "translation"), ("contracted", "contraction"), ("scattered", "rest")],
)
def test_a_pure_part_is_all_of_the_energy(table, change, part):
    assert table.loc[(change, part), "mean"] == pytest.approx(1, abs=0.03)


def test_parts_sum_to_one(table):
    shares = table["mean"].unstack()[list(shifts.PARTS)].drop("original")
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
    found = shifts.energy(own).loc["mixed", "mean"]
    assert found["translation"] == pytest.approx(translation / total)
    assert found["contraction"] == pytest.approx(factor**2 * variance / total)
    after = of_images(changed, changed) - of_pairs(changed, changed)
    assert found["variance_left"] == pytest.approx(after / variance)
    units = changed / np.linalg.norm(changed, axis=1, keepdims=True)
    assert found["cosine"] == pytest.approx(of_pairs(units, units))


def test_another_image_is_half_contraction_and_no_collapse(table):
    own = table.loc["exchanged"]
    assert own.loc["together", "mean"] == pytest.approx(shifts.ANOTHER_IMAGE, abs=0.03)
    assert own.loc["variance_left", "mean"] == pytest.approx(1)
    assert shifts.collapses(table).to_dict() == {
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
    few = shifts.energy(views(moved=moved).isel(image=[0, 1]))
    assert few.isna().all(axis=None)
    still = shifts.energy(views(still=np.copy)).loc["still"]
    assert still.loc[["translation", "contraction", "rest"], "mean"].isna().all()
    assert still.loc["variance_left", "mean"] == pytest.approx(1)
    assert not shifts.collapses(few).any()


def moved_by(values, **coords):
    return xr.DataArray(values, dims=("image", *coords.pop("axes")), coords=coords)


def test_shares_are_what_a_filling_takes_off(rng):
    lengths = rng.uniform(0.5, 1, 40)
    names = ["turn", "drop"]
    published = moved_by(
        lengths[:, None] * [1, 2], axes=["augmentation"], augmentation=names, image=range(40)
    )
    refilled = moved_by(
        lengths[5:, None] * [0.25, 1, 4],
        axes=["view"],
        image=range(5, 40),
        view=range(3),
        **FILLINGS,
    )
    table = shifts.shares_of_filling(published, refilled)
    assert list(zip(table["augmentation"], table["filling"], strict=True)) == [
        ("turn", "m"),
        ("turn", "r"),
        ("drop", "m"),
    ]
    # In proportion, image by image: the ratio has no uncertainty.
    for column in ("share", "low", "high"):
        np.testing.assert_allclose(table[column], [0.75, 0, -1], atol=1e-12)
    one = shifts.shares_of_filling(published, refilled[:1])
    assert one["low"].isna().all() and one["share"].notna().all()


def test_how_far_refilled_views_lie_is_one_less_the_cosine(rng):
    original = xr.DataArray(rng.normal(size=(4, 6)), dims=("image", "feature"))
    original = original.assign_coords(image=range(4))
    refilled = xr.DataArray(
        rng.normal(size=(2, 3, 6)), dims=("image", "view", "feature"), coords=FILLINGS
    ).assign_coords(image=[1, 3])
    found = shifts.moved_refilled(original, refilled)
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
    table = shifts.cosines_refilled(shift, refilled, [("turn", "drop")], n_resamples=50)
    assert list(table["filling"]) == [shifts.PUBLISHED, "m", "r"]
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
    table = shifts.cosines_refilled(shift, without, [("turn", "drop")], n_resamples=50)
    np.testing.assert_allclose(table["left"], [1, 0], atol=0.01)


@pytest.fixture
def embeddings():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(8, 3, 5)) * [5, 3, 1, 0.5, 0.1] + 7
    coords = {"image": list("abcdefgh"), "view": ["original", "noise", "blur"]}
    return xr.DataArray(values, dims=("image", "view", "feature"), coords=coords)


def test_coordinates_are_those_of_the_svd(embeddings):
    plane = principal_plane(embeddings)
    points = embeddings.values.reshape(-1, 5)
    left, singular, _ = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    expected = (left * singular)[:, :2]
    own = plane.values.reshape(-1, 2)
    own = own * np.sign((own * expected).sum(axis=0))
    np.testing.assert_allclose(own, expected, atol=1e-9)
    shares = singular[:2] ** 2 / (singular**2).sum()
    np.testing.assert_allclose(plane["explained"], shares)


def test_labels_and_the_order_of_axes_are_kept(embeddings):
    plane = principal_plane(embeddings)
    assert plane.dims == ("image", "view", "component")
    assert list(plane["view"].values) == ["original", "noise", "blur"]
    turned = principal_plane(embeddings.transpose("feature", "view", "image"))
    xr.testing.assert_allclose(plane, turned)


def test_equal_embeddings_stay_in_one_point(embeddings):
    plane = principal_plane(xr.zeros_like(embeddings))
    assert (plane == 0).all()
    assert np.isnan(plane["explained"]).all()


def test_a_plane_takes_two_features(embeddings):
    with pytest.raises(WorkbookError, match="embeddings of 1 features have no plane"):
        principal_plane(embeddings.isel(feature=[0]))


def test_relative_shift_is_in_units_of_the_distance_between_images():
    rng = np.random.default_rng(0)
    originals = rng.normal(size=(12, 5))
    similarity = xr.DataArray(
        rng.random((12, 2)), dims=("image", "augmentation"), coords={"augmentation": CHANGES}
    )
    table = shifts.relative_shift(similarity, xr.DataArray(originals, dims=("image", "feature")))
    apart = np.mean(
        [1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in combinations(originals, 2)]
    )
    np.testing.assert_allclose(table["mean"], (1 - similarity).mean("image") / apart)
    assert (table["low"] < table["mean"]).all() and (table["mean"] < table["high"]).all()


def test_a_single_image_has_no_other_to_compare_with():
    similarity = xr.DataArray(
        [[0.5, 0.6]], dims=("image", "augmentation"), coords={"augmentation": CHANGES}
    )
    originals = xr.DataArray(np.ones((1, 3)), dims=("image", "feature"))
    assert shifts.relative_shift(similarity, originals)["mean"].isna().all()


def test_two_images_have_a_relative_shift_without_an_interval():
    similarity = xr.DataArray(
        [[0.5, 0.6], [0.7, 0.9]], dims=("image", "augmentation"), coords={"augmentation": CHANGES}
    )
    table = shifts.relative_shift(similarity, xr.DataArray(np.eye(2), dims=("image", "feature")))
    np.testing.assert_allclose(table["mean"], [0.4, 0.25])
    assert table[["low", "high"]].isna().all(axis=None)
