"""Scores of heads beside chance, counts by label, heads pruned by consistency, and their cards."""

from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from helpers.analysis import labels, roles
from helpers.checks import WorkbookError
from tests.planted_heads import PROPERTIES, chosen, planted, pool

HEADS = {"layer": [4, 5], "head": [0, 1]}
ATTRIBUTES = ["colour", "shape", "size"]
AUGMENTATIONS = ["noise", "blur"]


def heads(**models):
    parts = {name: pd.Series(values) for name, values in models.items()}
    labels = pd.concat(parts, names=["model", "head"])
    index = [(model, 0, head) for model, head in labels.index]
    labels.index = pd.MultiIndex.from_tuples(index, names=["model", "layer", "head"])
    return labels


def test_marks_have_a_row_for_each_model_in_order():
    marks = pd.DataFrame({"is a": heads(z=list("aab"), b=list("abcc")) == "a"})
    shares = roles.shares_by_model(marks)
    assert list(shares.index) == [("is a", "z"), ("is a", "b")]
    assert shares["share"].tolist() == pytest.approx([2 / 3, 1 / 4])


def test_rarefied_labels_are_those_of_random_choices():
    labels = list("aaaaabbbccd")
    rng = np.random.default_rng(0)
    drawn = [len(set(rng.choice(labels, 5, replace=False))) for _ in range(4000)]
    assert roles.rarefied(labels, 5) == pytest.approx(np.mean(drawn), abs=0.05)
    assert roles.rarefied(labels, 11) == pytest.approx(4)


@pytest.mark.parametrize("number", [0, 4])
def test_more_heads_than_there_are_can_not_be_chosen(number):
    with pytest.raises(WorkbookError, match=f"heads has no value {number}; choose from 1 to 3"):
        roles.rarefied(list("abc"), number)


def test_sizes_are_compared_by_fishers_test_with_a_rate_over_the_marks():
    labels = heads(small=["a"] * 5 + ["b"] * 43, large=["a"] * 40 + ["b"] * 24)
    marks = pd.DataFrame({"a": labels == "a", "any": labels != ""})
    table = roles.compare_sizes(marks, ["large"])
    assert table.loc["a", ["small", "large"]].tolist() == pytest.approx([5 / 48, 40 / 64])
    p = stats.fisher_exact([[5, 43], [40, 24]]).pvalue
    assert table.loc["a", "p"] == pytest.approx(p)
    assert table.loc["a", "q"] == pytest.approx(2 * p)
    assert table.loc["any", "p"] == 1


def test_half_of_the_heads_is_taken_from_either_end_and_at_random():
    consistency = np.array([1.0, 0.8, 0.2, 0.2, np.nan, 0.6, 0.4, 1.0, 0.6])
    chosen = roles.chosen_heads(consistency)
    every = chosen.pop(roles.ALL)
    assert every.tolist() == [(~np.isnan(consistency)).tolist()]
    assert all((masks.sum(axis=1) == 4).all() for masks in chosen.values())
    assert not any(masks[:, 4].any() for masks in chosen.values())
    assert chosen[roles.HIGH][:, [0, 1, 7]].all()
    assert chosen[roles.LOW][:, [2, 3, 6]].all()
    shares = chosen[roles.RANDOM].mean(axis=0)
    np.testing.assert_allclose(np.delete(shares, 4), 0.5, atol=0.2)


def test_heads_of_one_score_are_taken_in_any_order():
    chosen = roles.chosen_heads(np.full(8, 0.4))
    for name in (roles.HIGH, roles.LOW, roles.RANDOM):
        np.testing.assert_allclose(chosen[name].mean(axis=0), 0.5, atol=0.2)
    assert roles.chosen_heads(np.array([0.4]))[roles.HIGH].all()


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
    [(0, roles.HIGH, roles.LOW), (7, roles.LOW, roles.HIGH)],
)
def test_what_is_lost_goes_with_the_head_that_answers_need(needed, more, less):
    embeddings, heads, judge = made(needed=needed)
    chosen = roles.chosen_heads(np.linspace(1, 0, 8))
    table = roles.accuracy_lost(embeddings, heads, chosen, judge)
    assert list(table.index) == [roles.HIGH, roles.LOW, roles.RANDOM, roles.ALL]
    assert table.loc[roles.ALL, "mean"] == pytest.approx(table.loc[more, "mean"], abs=0.15)
    assert table.loc[more, "mean"] > 0.3 > table.loc[roles.RANDOM, "mean"]
    assert abs(table.loc[less, "mean"]) < 0.05
    assert table.loc[roles.RANDOM, "low"] <= 0.05 < 0.3 < table.loc[roles.RANDOM, "high"]
    assert (table["n"] == 60).all()


def test_images_that_nothing_is_asked_of_count_for_nothing():
    embeddings, heads, judge = made()
    none = lambda values: judge(values).where(False)  # noqa: E731
    table = roles.accuracy_lost(embeddings, heads, roles.chosen_heads(np.ones(8)), none)
    assert (table["n"] == 0).all()
    assert table["mean"].isna().all()


def by_attribute(values):
    values = np.broadcast_to(values, (2, 2, 3)).astype(float)
    return xr.DataArray(values, HEADS | {"attribute": ATTRIBUTES}, ("layer", "head", "attribute"))


@pytest.fixture
def deck():
    axes, choices = ("layer", "head"), ("layer", "head", "choice")
    readings = xr.Dataset(
        {
            "text": (choices, np.arange(28).reshape(2, 2, 7)),
            "explained": (choices, np.full((2, 2, 7), 0.1)),
            "property": (axes, np.array([["colour", "shape"], ["size", "colour"]], dtype=object)),
            "runner_up": (axes, np.array([["shape", "size"], ["shape", "shape"]], dtype=object)),
            "clarity": (axes, [[0.5, 0.8], [0.2, 0.4]]),
            "runner_up_share": (axes, [[0.1, 0.1], [0.19, 0.1]]),
        },
        HEADS,
    )
    shares = xr.DataArray(
        np.arange(8).reshape(2, 2, 2) / 10,
        HEADS | {"augmentation": AUGMENTATIONS},
        ("augmentation", "layer", "head"),
    )
    images = xr.DataArray(np.zeros((2, 2, 4), int), HEADS, ("layer", "head", "place"))
    all_layers = {"layer": [3, 4, 5], "head": [0, 1], "attribute": ATTRIBUTES}
    answers = xr.DataArray(np.full((3, 2, 3), 0.5), all_layers, ("layer", "head", "attribute"))
    return roles.head_cards(
        readings,
        images,
        variance=by_attribute([0.1, 0.6, 0.2]),
        answers=answers,
        shares=shares,
    )


def test_a_card_has_only_the_heads_that_were_read_and_their_first_texts(deck):
    assert deck["layer"].values.tolist() == [4, 5]
    assert deck["answers"].notnull().all()
    assert deck["text"].sel(layer=5, head=0).values.tolist() == [14, 15, 16, 17, 18]
    assert deck["label"].values.tolist() == [["colour", "shape"], ["size or shape", "colour"]]
    assert deck["share"].sel(layer=5, head=1).values.tolist() == [0.3, 0.7]


def test_what_stands_out_is_the_largest_and_of_tied_ones_the_first(deck):
    found = roles.standing_out(deck.sel(layer=5, head=1))
    assert (found["varies with"], found["variance"]) == ("shape", 0.6)
    assert (found["sways"], found["answers"]) == ("colour", 0.5)
    assert (found["prefers"], found["share"]) == ("blur", 0.7)


def test_top_images_have_the_largest_inner_products():
    rng = np.random.default_rng(0)
    axes = ("image", "layer", "head", "feature")
    heads = xr.DataArray(rng.normal(size=(9, 2, 2, 4)), HEADS, axes)
    texts = xr.DataArray(np.eye(4), dims=("text", "feature"))
    first = xr.DataArray([[0, 1], [2, 3]], HEADS, ("layer", "head"))
    found = roles.top_images(heads, texts, first)
    for layer, head in np.ndindex(2, 2):
        along = heads.values[:, layer, head, first.values[layer, head]]
        assert found.values[layer, head].tolist() == np.argsort(-along)[: roles.IMAGES].tolist()
    assert roles.top_images(heads[:2], texts, first).sizes["place"] == 2


def test_overlap_and_heads_per_property_are_as_defined():
    readings = labels.read_heads(planted(), pool())
    scores = roles.head_scores(readings)
    sets = [set(texts) for texts in readings["text"].values.reshape(4, -1)]
    pairs = [len(one & other) / labels.TOP for one, other in combinations(sets, 2)]
    assert scores["overlap"].item() == pytest.approx(np.mean(pairs))
    assert scores["heads_per_property"].item() == pytest.approx(4 / 3)
    assert scores["association"].item() == pytest.approx(readings["association"].mean().item())


def test_one_head_overlaps_with_none():
    single = labels.read_heads(planted()[:, :1, :1], pool())
    assert np.isnan(roles.head_scores(single)["overlap"])


def test_resamples_are_of_images_and_reproducible():
    heads = planted(images=30)
    resampled = roles.resampled_heads(heads, pool())
    assert dict(resampled["text"].sizes) == {
        "resample": roles.RESAMPLES,
        "layer": 2,
        "head": 2,
        "choice": 5,
    }
    again = roles.resampled_heads(heads, pool())
    xr.testing.assert_identical(resampled, again)
    assert resampled["explained"].std("resample").max() > 0
    first = roles.head_scores(resampled.isel(resample=2))
    assert roles.head_scores(resampled)["overlap"][2] == first["overlap"]


def test_chance_is_that_of_texts_that_say_nothing():
    readings = labels.read_heads(planted(), pool())
    chance = roles.chance_scores(readings, PROPERTIES)
    # Five of eight texts drawn at random by each of two heads: 5/8 of them are common on average.
    assert chance["overlap"].mean().item() == pytest.approx(5 / 8, abs=0.02)
    assert chance["association"].mean() < roles.head_scores(readings)["association"]
    np.testing.assert_allclose(
        chance["of_heads"].mean(("layer", "head")), chance["association"], rtol=1e-12
    )


def test_a_pool_of_one_property_has_association_one_by_chance_as_well():
    readings = labels.read_heads(planted(), pool(["thing"] * 8))
    chance = roles.chance_scores(readings, ["thing"] * 8)
    assert roles.head_scores(readings)["association"] == 1
    assert (chance["association"] == 1).all()


def test_the_p_value_of_a_head_is_that_of_random_texts(monkeypatch):
    monkeypatch.setattr(roles, "DRAWS", 20_000)
    # With five texts of one property, random texts agree as much where five of the 3 + 3 + 2 do.
    many = ["a"] * 12 + ["b"] * 12
    readings = labels.with_properties(chosen([[0, 1, 2, 3, 4], [0, 12, 1, 13, 2]], [0.2] * 5), many)
    tests = roles.association_tests(readings, many)
    all_alike = 2 * comb(12, 5) / comb(24, 5)
    assert tests["p"].iloc[0] == pytest.approx(all_alike, abs=0.005)
    assert tests["p"].iloc[1] == 1  # three of five is the least that two properties allow
    assert tests["q"].tolist() == pytest.approx([2 * tests["p"].iloc[0], 1])


def test_a_head_without_association_is_not_tested():
    still = planted()
    still[:, 1, 1] = 1.0
    tests = roles.association_tests(labels.read_heads(still, pool()), PROPERTIES)
    assert tests.loc[(5, 1)].isna().all()
    assert tests.drop((5, 1)).notna().all(axis=None)


def test_texts_that_heads_vary_with_explain_more_than_chance_and_chance_explains_much():
    heads = planted(images=60)
    own = labels.read_heads(heads, pool(), k=2)["explained"]
    by_chance = roles.explained_by_chance(heads, pool(), 2)
    assert list(by_chance["pool"].values) == list(roles.POOLS_BY_CHANCE)
    assert by_chance.sizes["draw"] == roles.POOLS_DRAWN
    mean = by_chance.mean(("draw", "layer", "head"))
    assert own.sum("choice").mean() > mean.sum("choice").max()
    assert 0.1 < mean.sum("choice").min() < 1
    again = roles.explained_by_chance(heads, pool(), 2)
    np.testing.assert_array_equal(by_chance, again)


def test_consistency_at_k_is_the_share_of_heads_with_that_many_texts_of_their_label():
    readings = labels.with_properties(
        chosen([[0, 1, 2, 3, 4], [0, 12, 1, 13, 2]], [0.2] * 5), ["a"] * 12 + ["b"] * 12
    )
    assert roles.consistency_at(readings).tolist() == [0, 0, 0, 0.5, 0, 0.5]
    readings["association"][0, 1] = np.nan
    assert roles.consistency_at(readings).tolist() == [0, 0, 0, 0, 0, 1]


def test_a_summary_has_a_row_for_each_score_beside_its_chance():
    heads = planted()
    readings = labels.read_heads(heads, pool())
    resampled = roles.resampled_heads(heads, pool())
    chance = roles.chance_scores(readings, PROPERTIES)
    summary = roles.summarise_scores(readings, resampled, chance)
    assert list(summary.index) == ["clarity", "association", "overlap", "heads_per_property"]
    assert (summary["low"] <= summary["high"]).all()
    assert summary.loc["overlap", "chance"] == pytest.approx(chance["overlap"].mean().item())
