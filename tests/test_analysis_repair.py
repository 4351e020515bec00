"""Repairs of embeddings, and a probe that is misled, where the right answer is known."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis import repair, spurious


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
    found = repair.repaired(values[:10], values[10:])
    before = values[10:].sel(view="original").values
    own = found.sel(repair=repair.MEAN_SHIFT)
    for choice in range(2):
        for view in ("a", "b"):
            np.testing.assert_allclose(own.sel(view=view)[choice], before, atol=1e-12)
    # An original is taken for a changed view, of one change after the other.
    assert not np.allclose(own.sel(view="original")[0], own.sel(view="original")[1])
    other = found.sel(repair=repair.OTHERS_MEAN, view="a")[0]
    assert not np.allclose(other, before, atol=0.1)


def test_projecting_out_leaves_nothing_along_shifts(rng):
    values = embedded(rng)
    found = repair.repaired(values[:10], values[10:]).sel(repair=repair.SHIFTS)[0]
    between = (found.sel(view="a") - found.sel(view="original")).values
    assert np.abs(between).max() < 1e-9


def right(rng, gains, images=60):
    """Right answers: none repaired, and repairs that change some of them."""
    plain = rng.random((images, 3, 4)) < 0.6
    rows = {repair.PLAIN: plain}
    for name, share in gains.items():
        rows[name] = plain | ((rng.random(plain.shape) < share) & (np.arange(3) > 0)[:, None])
    return xr.DataArray(
        np.stack(list(rows.values())).astype(float),
        dims=("repair", "image", "view", "property"),
        coords={"repair": list(rows), "view": ["original", "a", "b"], "image": np.arange(images)},
    )


def test_a_repair_helps_that_gains_more_than_its_control(rng):
    found = repair.gains(right(rng, {repair.MEAN_SHIFT: 0.4, repair.OTHERS_MEAN: 0.1}))
    assert found.loc[repair.MEAN_SHIFT, "helps"]
    assert found.loc[repair.MEAN_SHIFT, "cost"] == 0
    assert not found.loc[repair.OTHERS_MEAN, "helps"]
    assert repair.any_helps({"scenes": found}) == [repair.MEAN_SHIFT]


def test_a_repair_that_gains_what_its_control_gains_does_not_help(rng):
    found = repair.gains(right(rng, {repair.MEAN_SHIFT: 0.3, repair.OTHERS_MEAN: 0.3}))
    assert found.loc[repair.MEAN_SHIFT, "gain_low"] > 0
    assert repair.any_helps({"scenes": found}) == []


def test_images_that_a_repair_was_not_measured_on_count_for_none(rng):
    values = right(rng, {repair.MILD: 0.3})
    values[1, 40:] = np.nan
    pairs = values.isel(image=slice(40))
    np.testing.assert_allclose(repair.gains(values)["gain"], repair.gains(pairs)["gain"])


def test_a_known_shift_is_the_same_for_every_image(rng):
    values = embedded(rng)
    found = repair.with_known_shift(values)
    shift = found.sel(view="a") - found.sel(view="original")
    assert np.ptp(shift.values, axis=0).max() < 1e-9


def misled(rng, images=400, features=12):
    """A task in which head 0 writes an attribute that goes with the class, and little else does."""
    learning = np.arange(images) < images // 2
    label = rng.random(images) < 0.5
    group = np.where(learning & (rng.random(images) < 0.97), label, rng.random(images) < 0.5)
    heads = 0.1 * rng.normal(size=(images, 6, features))
    heads[:, 0, 0] += 6 * group
    embeddings = heads.sum(axis=1) + 0.5 * rng.normal(size=(images, features))
    embeddings[:, 1] += 1.2 * label
    names = (np.where(label, "yes", "no"), np.where(group, "with", "without"))
    return spurious.Task(embeddings, heads, *names, learning)


def test_the_head_that_writes_the_attribute_is_found_and_ablating_it_helps(rng):
    task = misled(rng)
    learned = task.learning
    varying = spurious.between_groups(task.heads[learned], task.label[learned], task.group[learned])
    order = np.argsort(-varying)
    assert order[0] == 0
    asked = ~learned
    sides = (task.label[asked], task.group[asked])
    first = spurious.worst_group(spurious.answered(task, order), *sides)
    last = spurious.worst_group(spurious.answered(task, order[::-1]), *sides)
    assert first.loc[1, "low"] > first.loc[0, "high"]
    judged = spurious.judged({"contribution": first, spurious.AT_RANDOM: last})
    assert judged.loc["contribution", "helps"]
    assert not judged.loc[spurious.AT_RANDOM, "helps"]


def test_the_worst_group_is_the_smallest_accuracy():
    label = np.array(["a", "a", "b", "b"])
    group = np.array(["x", "y", "x", "y"])
    right = np.array([[1, 1, 0, 1]])
    found = spurious.worst_group(right, label, group)
    assert found.loc[0, "mean"] == 0
    assert found.loc[0, "all"] == 0.75
