"""Patching heads: which, how much of a shift goes; and repairs where the right answer is known."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis import dissection, patching
from helpers.clip import load
from helpers.data import AUGMENTATIONS, open_images, views
from helpers.runs import open_run
from helpers.runs.derived.ordinary import ordinary_differences
from helpers.runs.derived.patching import patched_heads, patched_layers

NAMES = list(AUGMENTATIONS)


def head_grid(values):
    images, augmentations, layers, heads = values.shape
    coords = {
        "image": [f"image-{i}" for i in range(images)],
        "augmentation": NAMES[:augmentations],
        "layer": range(layers),
        "head": range(heads),
    }
    return xr.DataArray(values, dims=tuple(coords), coords=coords)


@pytest.fixture
def heads():
    return head_grid(np.random.default_rng(0).normal(size=(7, 3, 4, 5)))


def test_images_that_choose_are_not_measured():
    choosing, measuring = patching.split(20, 6, seed=1)
    assert len(measuring) == 6
    assert sorted([*choosing, *measuring]) == list(range(20))
    assert len(patching.split(7, 32, seed=0)[1]) == 3
    assert [list(part) for part in patching.split(1, 32, seed=0)] == [[0], [0]]
    assert not np.array_equal(measuring, patching.split(20, 6, seed=2)[1])


def test_heads_are_chosen_by_this_change_by_others_and_by_ordinary_differences(heads):
    reference = heads[0, 0] + 1
    chosen = patching.choose_heads(heads, reference, 6, draws=2, seed=0)
    names = ["own", "others", "others", "generic", "random", "random"]
    assert chosen["choice"].values.tolist() == names
    assert (chosen.sum(["layer", "head"]) == patching.top_count(20)).all()
    mean = heads.mean("image")
    top = [set(np.argsort(-own.values.ravel())[:2]) for own in mean]
    places = [
        [[set(np.flatnonzero(cell)) for cell in row] for row in choice.values.reshape(6, 3, 20)]
        for choice in chosen
    ]
    assert all(row == top for row in places[0])
    for change in range(3):
        for image in range(6):
            two = [places[draw][image][change] for draw in (1, 2)]
            assert sorted(map(sorted, two)) == sorted(
                sorted(own) for at, own in enumerate(top) if at != change
            )
    generic = set(np.argsort(-reference.values.ravel())[:2])
    assert all(cell == generic for row in places[3] for cell in row)
    assert places[4] != places[5] and places[4][0] != places[4][1]


def test_what_there_is_not_is_not_chosen(heads):
    chosen = patching.choose_heads(heads[:, :1], heads[0, 0] * np.nan, 2, draws=1, seed=0)
    assert chosen["choice"].values.tolist() == ["own", "random"]


@pytest.fixture(scope="module")
def model():
    return load("embedded", device="cpu")


@pytest.fixture(scope="module")
def encoded(model):
    image = open_images("photos")[0]
    drawn = views(image.pixels, image.id)
    return drawn, model.encode(drawn["original"][None]), model.encode(drawn["blur"][None])


def test_without_what_heads_wrote_their_shares_are_gone(encoded):
    _, original, augmented = encoded
    shares = dissection.on_grid(dissection.shares(original, augmented))
    patched = np.random.default_rng(0).random((1, 6, 6)) < 0.3
    shift = augmented.embedding - original.embedding
    left = shift - (augmented.heads - original.heads)[patched].sum(axis=0)
    assert removed(left, shift, original) == pytest.approx(shares.values[patched].sum(), abs=1e-5)


def test_with_all_heads_back_nothing_of_the_shift_remains(model, encoded):
    drawn, original, augmented = encoded
    sides = (drawn["blur"][None], drawn["original"][None])
    embedding = model.encode_patched(*sides, heads=np.ones((1, 6, 6), bool))
    shift = augmented.embedding - original.embedding
    assert removed(embedding - original.embedding, shift, original) == pytest.approx(1, abs=1e-4)


def removed(left, shift, original):
    sides = (left, shift, original.embedding)
    return patching.removed(
        *(xr.DataArray(side, dims=("image", "feature")) for side in sides)
    ).item()


def test_no_shift_has_no_effect_and_no_nan():
    rng = np.random.default_rng(0)
    shift = xr.DataArray(rng.normal(size=(2, 3)), dims=("image", "feature"))
    shift[1] = 0
    original = xr.DataArray(rng.normal(size=(2, 3)), dims=("image", "feature"))
    found = patching.removed(xr.concat([0.25 * shift, shift], "k"), shift, original)
    np.testing.assert_allclose(found, [[0.75, 0], [0, 0]], atol=1e-12)


@pytest.fixture
def effects():
    """Own heads remove twice what others' do, and as much as generic ones under one change."""
    means = {"own": [0.4, 0.4], "others": [0.2, 0.2], "generic": [0.4, 0.2], "random": [0.1, 0.1]}
    rng = np.random.default_rng(0)
    values = np.array(list(means.values()))[:, None] + rng.normal(0, 0.03, (4, 30, 2))
    values = np.stack([values, 1.5 * values])
    coords = {
        "effect": ["direct", "total"],
        "choice": list(means),
        "augmentation": NAMES[:2],
    }
    return xr.DataArray(values, dims=("effect", "choice", "image", "augmentation"), coords=coords)


def test_effects_are_means_over_images(effects):
    table = patching.effect_table(effects)
    assert table.loc[("total", "own", NAMES[0]), "mean"] == pytest.approx(0.6, abs=0.02)
    assert table.loc[("direct", "random", NAMES[1]), "mean"] == pytest.approx(0.1, abs=0.02)
    assert len(table) == 2 * 4 * 2


def test_own_heads_remove_more_only_where_they_do(effects):
    found = patching.beyond(effects)["more"].unstack("choice")
    assert found["others"].tolist() == [True, True] and found["random"].all()
    assert found.loc[NAMES[0], "generic"].item() is False
    assert found.loc[NAMES[1], "generic"].item() is True
    few = patching.beyond(effects[:, :, :2])
    assert not few["more"].any() and few["q"].isna().all()
    same = patching.beyond(xr.zeros_like(effects))
    assert not same["more"].any()


def test_patching_in_a_run_equals_the_effects_one_by_one(parameters):
    run = open_run(**parameters | {"images": "scenes:3", "severity": 1.0})
    found = patched_heads(run)["removed"]
    assert found["effect"].values.tolist() == list(patching.EFFECTS)
    assert set(found["choice"].values) == set(patching.CHOICES)
    (image,) = found["image"].values
    heads = dissection.on_grid(run.dissection()["shares"])
    reference = dissection.on_grid(ordinary_differences(run)["shares"]).mean("image")
    choosing = heads.sel(image=[each for each in heads["image"].values if each != image])
    chosen = patching.choose_heads(choosing, reference, 1, draws=1, seed=0)
    drawn, name = run.views(image), heads["augmentation"].values[1]
    original, changed = (run.model.encode(drawn[view][None]) for view in ("original", name))
    shift = changed.embedding - original.embedding
    for choice in ("own", "generic"):
        own = chosen.sel(choice=choice, augmentation=name)
        shares = heads.sel(image=image, augmentation=name)
        expected = {"direct": (own[0] * shares).sum().item()}
        for effect, tokens in (("direct path", run.model.read_tokens), ("total", None)):
            sides = (drawn[name][None], drawn["original"][None])
            embedding = run.model.encode_patched(*sides, heads=own.values, tokens=tokens)
            expected[effect] = removed(embedding - original.embedding, shift, original)
        for effect, value in expected.items():
            one = found.sel(effect=effect, choice=choice, image=image, augmentation=name)
            assert one.item() == pytest.approx(value, abs=1e-4)


def test_a_quarter_of_the_patches_is_chosen_by_what_they_carry_and_at_random():
    rng = np.random.default_rng(0)
    shares, difference = rng.random((2, 40, 10))
    chosen = patching.choose_patches(shares, difference, seed=0)
    assert list(chosen) == list(patching.POSITIONS)
    for own in chosen.values():
        assert own.shape == (40, 10) and (own.sum(axis=1) == 3).all()
    for name, values in (("carrying", shares), ("changed", difference)):
        lowest = np.where(chosen[name], values, np.inf).min(axis=1)
        assert (lowest > np.where(chosen[name], -np.inf, values).max(axis=1)).all()
    assert (chosen["anywhere"].any(axis=0)).all()


def test_patching_layers_and_positions_undoes_what_it_must(parameters):
    run = open_run(**parameters | {"images": "scenes:3", "severity": 1.0})
    found = patched_layers(run)["undone"]
    another = [f"{name} {patching.OF_ANOTHER}" for name in patching.PARTS]
    assert found["choice"].values.tolist() == [
        *patching.PARTS,
        *another,
        *patching.POSITIONS,
    ]
    assert found["layer"].values.tolist() == list(range(6))
    moved = found["augmentation"].values
    assert len(set(moved)) == 3
    last = found.sel(layer=5)
    np.testing.assert_allclose(last.sel(choice="read"), 1, atol=1e-4)  # the class token is all
    np.testing.assert_allclose(last.sel(choice=list(patching.POSITIONS)), 0, atol=1e-4)
    assert (found.sel(choice="read").mean("image").diff("layer") > -0.05).all()
    for name in patching.PARTS:
        other = found.sel(choice=f"{name} {patching.OF_ANOTHER}")
        assert float(found.sel(choice=name).mean()) > float(other.mean())
    image, change = found["image"].values[1], moved[1]
    drawn = run.views(image, [change])
    sides = [drawn[name][None] for name in (change, "original")]
    mlps = np.arange(6)[None] == 2
    left, after, before = (
        run.model.encode_patched(*sides, mlps=mlps),
        *(run.model.encode(side).embedding for side in sides),
    )
    shift = (after - before)[0]
    expected = 1 - np.linalg.norm(left - before) / np.linalg.norm(shift)
    assert found.sel(choice="mlps", layer=2)[1].item() == pytest.approx(expected, abs=1e-3)
    table = patching.layer_table(found)
    own = table[(table["choice"] == "mlps") & (table["layer"] == 2)]
    assert own["mean"].item() == pytest.approx(float(found.sel(choice="mlps", layer=2).mean()))


def test_one_image_has_no_other_to_be_patched_with(parameters):
    run = open_run(**parameters | {"images": "scenes:1", "severity": 1.0})
    found = patched_layers(run)["undone"]
    another = found["choice"].str.contains(patching.OF_ANOTHER)
    assert found[another].isnull().all() and found[~another].notnull().all()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def embedded(rng, images=20, features=16):
    """Images that a change moves by one vector, and another change by another."""
    originals = rng.normal(size=(images, features))
    moved = originals[:, None] + rng.normal(size=(1, 2, features)) * 5
    values = np.concatenate([originals[:, None], moved], axis=1)
    return xr.DataArray(
        values,
        dims=("image", "view", "feature"),
        coords={"image": np.arange(images), "view": ["original", "a", "b"]},
    )


def test_subtracting_the_mean_shift_undoes_a_known_one(rng):
    values = embedded(rng)
    found = patching.repaired(values[:10], values[10:])
    before = values[10:].sel(view="original").values
    own = found.sel(repair=patching.MEAN_SHIFT)
    for choice in range(2):
        for view in ("a", "b"):
            np.testing.assert_allclose(own.sel(view=view)[choice], before, atol=1e-12)
    # An original is taken for a changed view, of one change after the other.
    assert not np.allclose(own.sel(view="original")[0], own.sel(view="original")[1])
    other = found.sel(repair=patching.OTHERS_MEAN, view="a")[0]
    assert not np.allclose(other, before, atol=0.1)


def test_projecting_out_leaves_nothing_along_shifts(rng):
    values = embedded(rng)
    found = patching.repaired(values[:10], values[10:]).sel(repair=patching.SHIFTS)[0]
    between = (found.sel(view="a") - found.sel(view="original")).values
    assert np.abs(between).max() < 1e-9


def right(rng, gains, images=60):
    """Right answers: none repaired, and repairs that change some of them."""
    plain = rng.random((images, 3, 4)) < 0.6
    rows = {patching.PLAIN: plain}
    for name, share in gains.items():
        rows[name] = plain | ((rng.random(plain.shape) < share) & (np.arange(3) > 0)[:, None])
    return xr.DataArray(
        np.stack(list(rows.values())).astype(float),
        dims=("repair", "image", "view", "property"),
        coords={"repair": list(rows), "view": ["original", "a", "b"], "image": np.arange(images)},
    )


def test_a_repair_helps_that_gains_more_than_its_control(rng):
    found = patching.repair_gains(right(rng, {patching.MEAN_SHIFT: 0.4, patching.OTHERS_MEAN: 0.1}))
    assert found.loc[patching.MEAN_SHIFT, "helps"]
    assert found.loc[patching.MEAN_SHIFT, "cost"] == 0
    assert not found.loc[patching.OTHERS_MEAN, "helps"]
    assert patching.helping_repairs({"scenes": found}) == [patching.MEAN_SHIFT]


def test_a_repair_that_gains_what_its_control_gains_does_not_help(rng):
    found = patching.repair_gains(right(rng, {patching.MEAN_SHIFT: 0.3, patching.OTHERS_MEAN: 0.3}))
    assert found.loc[patching.MEAN_SHIFT, "gain_low"] > 0
    assert patching.helping_repairs({"scenes": found}) == []


def test_images_that_a_repair_was_not_measured_on_count_for_none(rng):
    values = right(rng, {patching.MILD: 0.3})
    values[1, 40:] = np.nan
    pairs = values.isel(image=slice(40))
    np.testing.assert_allclose(
        patching.repair_gains(values)["gain"], patching.repair_gains(pairs)["gain"]
    )


def test_a_known_shift_is_the_same_for_every_image(rng):
    values = embedded(rng)
    found = patching.with_known_shift(values)
    shift = found.sel(view="a") - found.sel(view="original")
    assert np.ptp(shift.values, axis=0).max() < 1e-9
