"""Patching heads: which, how much of a shift goes, and how total and direct effect compare."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from helpers import study
from helpers.analysis import causal, dissection
from helpers.checks import WorkbookError
from helpers.clip import load
from helpers.data import AUGMENTATIONS, open_images, views
from helpers.study.patching import patch_heads

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
    return head_grid(np.random.default_rng(0).normal(size=(7, 3, 2, 5)))


def test_images_that_choose_are_not_measured():
    choosing, measuring = causal.split(20, 6, seed=1)
    assert len(measuring) == 6
    assert sorted([*choosing, *measuring]) == list(range(20))
    assert len(causal.split(7, 32, seed=0)[1]) == 3
    assert [list(part) for part in causal.split(1, 32, seed=0)] == [[0], [0]]
    assert not np.array_equal(measuring, causal.split(20, 6, seed=2)[1])


def test_the_curve_holds_the_top_tenth():
    for heads in (12, 36, 144, 384):
        ks = causal.curve(heads)
        assert causal.top_count(heads) in ks
        assert ks == sorted(set(ks)) and ks[0] >= 1 and ks[-1] < heads
    assert causal.top_count(36) == 4


def test_the_largest_shares_come_first_in_the_orders(heads):
    choosing, measured = heads[:4], heads[4:]
    order = causal.patching_order(choosing, measured, draws=2, seed=0)
    assert order["choice"].values.tolist() == ["top", "own", "random", "random"]
    assert order["image"].values.tolist() == measured["image"].values.tolist()
    mean = choosing.values.mean(0).reshape(3, 10)
    for image in range(3):
        for augmentation in range(3):
            top, own, *random = order[:, image, augmentation].values.reshape(4, 10)
            assert list(np.argsort(top)) == list(np.argsort(-mean[augmentation]))
            shares = measured.values[image, augmentation].ravel()
            assert list(np.argsort(own)) == list(np.argsort(-shares))
            assert all(sorted(places) == list(range(10)) for places in random)
    first, second = order.sel(choice="random").values
    assert (first != second).any() and (first[0] != first[1]).any()


@pytest.fixture(scope="module")
def model():
    return load("embedded", device="cpu")


@pytest.fixture(scope="module")
def encoded(model):
    image = open_images("photos")[0]
    drawn = views(image.pixels, image.id)
    return drawn, model.encode(drawn["original"][None]), model.encode(drawn["blur"][None])


def test_the_direct_effect_is_the_sum_of_shares(encoded):
    _, original, augmented = encoded
    shares = dissection.head_shares(dissection.shares(original, augmented))
    patched = np.random.default_rng(0).random((1, 6, 6)) < 0.3
    shift = augmented.embedding - original.embedding
    left = causal.without_heads(shift, augmented.heads - original.heads, patched)
    found = effects_of(left, shift, original)
    expected = shares.values[patched].sum()
    assert found["removed"].item() == pytest.approx(expected, abs=1e-5)
    length = np.linalg.norm(left) / np.linalg.norm(shift)
    assert found["length"].item() == pytest.approx(length, rel=1e-5)


def test_with_all_heads_back_nothing_of_the_shift_remains(model, encoded):
    drawn, original, augmented = encoded
    patched = np.ones((1, 6, 6), bool)
    embedding = model.encode_with_patched_heads(drawn["blur"][None], original, patched)
    shift = augmented.embedding - original.embedding
    found = effects_of(embedding - original.embedding, shift, original)
    assert found["removed"].item() == pytest.approx(1, abs=1e-4)
    assert found["length"].item() == pytest.approx(0, abs=1e-3)


def effects_of(left, shift, original):
    sides = (left, shift, original.embedding)
    return causal.effects(*(xr.DataArray(side, dims=("image", "feature")) for side in sides))


def test_no_shift_has_no_effect_and_no_nan():
    rng = np.random.default_rng(0)
    shift = xr.DataArray(rng.normal(size=(2, 3)), dims=("image", "feature"))
    shift[1] = 0
    original = xr.DataArray(rng.normal(size=(2, 3)), dims=("image", "feature"))
    found = causal.effects(xr.concat([0.25 * shift, shift], "k"), shift, original)
    np.testing.assert_allclose(found["removed"], [[0.75, 0], [0, 0]], atol=1e-12)
    np.testing.assert_allclose(found["length"], [[0.25, 0], [1, 0]])


@pytest.fixture
def removed():
    """Top heads take 0.3 directly and 0.6 in all, own ones 0.9, random ones a third of the top."""
    means = {
        "direct": {"top": 0.3, "own": 0.8, "random": 0.1},
        "total": {"top": 0.6, "own": 0.9, "random": 0.2},
    }
    choices = ["top", "own", "random", "random"]
    values = np.array([[[means[effect][name]] for name in choices] for effect in means])
    spread = 1 + np.random.default_rng(0).normal(0, 0.05, (1, 1, 20, 2))
    spread /= spread.mean(axis=2, keepdims=True)
    coords = {"effect": list(means), "choice": choices, "augmentation": NAMES[:2]}
    axes = ("effect", "choice", "image", "augmentation")
    return xr.DataArray(values[..., None] * spread, dims=axes, coords=coords)


def test_ratios_are_those_of_the_means(removed):
    removed.loc[{"choice": "random"}] *= np.array([0.5, 1.5])[:, None, None]  # averaged away
    table = causal.effect_ratios(removed)
    assert list(table.index) == NAMES[:2]
    np.testing.assert_allclose(table["total_over_direct"], 2)
    np.testing.assert_allclose(table["direct_times"], 3)
    np.testing.assert_allclose(table["total_times"], 3)
    np.testing.assert_allclose(table["own_total"], 0.9)
    for name in causal.QUOTIENTS:
        assert (table[f"{name}_low"] <= table[name] + 1e-9).all()
        assert (table[f"{name}_high"] >= table[name] - 1e-9).all()


def test_a_ratio_without_a_direct_effect_is_undefined(removed):
    removed[..., 0] = 0
    table = causal.effect_ratios(removed)
    assert np.isnan(table.loc[NAMES[0], "total_over_direct"])
    assert np.isnan(table.loc[NAMES[0], "total_over_direct_low"])
    assert table.loc[NAMES[0], "top_total"] == 0
    assert table.loc[NAMES[1], "total_over_direct"] == pytest.approx(2)
    assert np.isnan(causal.effect_ratios(removed[:, :, :1])["total_times_low"]).all()


def test_ratios_need_all_effects(removed):
    with pytest.raises(WorkbookError, match="top total, own total, random total"):
        causal.effect_ratios(removed.sel(effect=["direct"]))


def test_curves_average_the_random_draws(removed):
    table = causal.effect_curves(xr.concat([removed, 2 * removed], "k").assign_coords(k=[1, 4]))
    rows = table.set_index(["effect", "choice", "k", "augmentation"])["mean"]
    assert rows["total", "random", 4, NAMES[0]] == pytest.approx(0.4)
    assert rows["direct", "top", 1, NAMES[1]] == pytest.approx(0.3)
    assert len(table) == 2 * 3 * 2 * 2


def test_patching_in_a_run_equals_the_effects_one_by_one(parameters):
    run = study.open_run(**parameters | {"images": "scenes:3", "severity": 1.0})
    heads = dissection.head_shares(run.dissection()["shares"]).isel(augmentation=[1, 4])
    order = causal.patching_order(heads[2:], heads[:2], draws=1, seed=0)
    ids = list(heads["image"].values[:2])
    effects = patch_heads(run, ids, order, [2, 36])
    found = effects["removed"]
    assert found["effect"].values.tolist() == ["direct", "total"]
    np.testing.assert_allclose(found.sel(effect="total", k=36), 1, atol=1e-4)
    for choice in range(3):
        chosen = (order[choice] < 2).values
        expected = (heads[:2].values * chosen).sum((-2, -1))
        direct = found.sel(effect="direct", k=2).isel(choice=choice)
        direct = direct.transpose("image", "augmentation")
        np.testing.assert_allclose(direct, expected, atol=1e-4)
    drawn, own = run.views(ids[1]), (order[0, 1, 0] < 2).values[None]
    name = heads["augmentation"].values[0]
    original = run.model.encode(drawn["original"][None])
    embedding = run.model.encode_with_patched_heads(drawn[name][None], original, own)
    shift = run.model.encode(drawn[name][None]).embedding - original.embedding
    left = embedding - original.embedding
    total = found.sel(effect="total", k=2, image=ids[1], augmentation=name)[0].item()
    assert total == pytest.approx(1 - (left * shift).sum() / (shift**2).sum(), abs=1e-4)
    kept = effects["embedding"].sel(k=2, image=ids[1], augmentation=name)[0]
    np.testing.assert_allclose(kept, embedding[0], atol=1e-5)


def test_more_than_random_is_tested_over_images_and_augmentations(removed):
    table = causal.exceeding_random(removed, times=(1, 2, 4))
    assert table[[1, 2]].all(axis=None) and not table[4].any()  # three times is planted
    one = causal.exceeding_random(removed[:, :, :1])
    assert one.shape == (2, 2) and not one.any(axis=None)
    assert not causal.exceeding_random(0 * removed).any(axis=None)


def test_few_of_many_tests_of_nothing_are_discoveries(removed):
    found = []
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(size=(2, 4, 12, 2))
        found.append(causal.exceeding_random(removed[:, :, :12].copy(data=noise), (1,)).any())
    assert np.mean(found) <= 0.08


def test_the_paired_test_is_scipys(removed):
    rng = np.random.default_rng(1)
    values = removed + rng.normal(0, 0.9, removed.shape)
    total = values.sel(effect="total")
    top, random = total.sel(choice="top"), total.sel(choice="random").mean("choice")
    p = stats.ttest_rel(top.values, random.values, axis=0, alternative="greater").pvalue
    expected = stats.false_discovery_control(p) <= 0.05
    np.testing.assert_array_equal(causal.exceeding_random(values, (1,))[1], expected)
