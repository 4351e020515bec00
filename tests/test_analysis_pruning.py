"""Heads pruned by consistency: made heads, of which those that answers need are known."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis import pruning


def test_half_of_the_heads_is_taken_from_either_end_and_at_random():
    consistency = np.array([1.0, 0.8, 0.2, 0.2, np.nan, 0.6, 0.4, 1.0, 0.6])
    chosen = pruning.chosen_heads(consistency)
    every = chosen.pop(pruning.ALL)
    assert every.tolist() == [(~np.isnan(consistency)).tolist()]
    assert all((masks.sum(axis=1) == 4).all() for masks in chosen.values())
    assert not any(masks[:, 4].any() for masks in chosen.values())
    assert chosen[pruning.HIGH][:, [0, 1, 7]].all()
    assert chosen[pruning.LOW][:, [2, 3, 6]].all()
    shares = chosen[pruning.RANDOM].mean(axis=0)
    np.testing.assert_allclose(np.delete(shares, 4), 0.5, atol=0.2)


def test_heads_of_one_score_are_taken_in_any_order():
    chosen = pruning.chosen_heads(np.full(8, 0.4))
    for name in (pruning.HIGH, pruning.LOW, pruning.RANDOM):
        np.testing.assert_allclose(chosen[name].mean(axis=0), 0.5, atol=0.2)
    assert pruning.chosen_heads(np.array([0.4]))[pruning.HIGH].all()


def made(images=60, needed=0):
    """Images of two classes that one head of eight distinguishes."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, images)
    heads = rng.normal(0, 0.1, (images, 2, 4, 5))
    heads[:, needed // 4, needed % 4, 0] += 2.0 * classes - 1
    heads = xr.DataArray(heads, dims=("image", "layer", "head", "feature"))
    embeddings = heads.sum(["layer", "head"]).expand_dims(view=["original"])

    def judge(values):
        right = (values.isel(feature=0) > 0) == xr.DataArray(classes == 1, dims="image")
        return right.astype(float).expand_dims(property=["side"])

    return embeddings.transpose("image", "view", "feature"), heads, judge


@pytest.mark.parametrize(
    ("needed", "more", "less"),
    [(0, pruning.HIGH, pruning.LOW), (7, pruning.LOW, pruning.HIGH)],
)
def test_what_is_lost_goes_with_the_head_that_answers_need(needed, more, less):
    embeddings, heads, judge = made(needed=needed)
    chosen = pruning.chosen_heads(np.linspace(1, 0, 8))
    table = pruning.accuracy_lost(embeddings, heads, chosen, judge)
    assert list(table.index) == [pruning.HIGH, pruning.LOW, pruning.RANDOM, pruning.ALL]
    assert table.loc[pruning.ALL, "mean"] == pytest.approx(table.loc[more, "mean"], abs=0.15)
    assert table.loc[more, "mean"] > 0.3 > table.loc[pruning.RANDOM, "mean"]
    assert abs(table.loc[less, "mean"]) < 0.05
    assert table.loc[pruning.RANDOM, "low"] <= 0.05 < 0.3 < table.loc[pruning.RANDOM, "high"]
    assert (table["n"] == 60).all()


def test_images_that_nothing_is_asked_of_count_for_nothing():
    embeddings, heads, judge = made()
    none = lambda values: judge(values).where(False)  # noqa: E731
    table = pruning.accuracy_lost(embeddings, heads, pruning.chosen_heads(np.ones(8)), none)
    assert (table["n"] == 0).all()
    assert table["mean"].isna().all()
