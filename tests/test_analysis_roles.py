"""Counts of heads by label, heads pruned by consistency, and what stands on their cards."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from helpers.analysis import roles
from helpers.analysis.statistics import share_with_interval
from helpers.checks import WorkbookError

HEADS = {"layer": [4, 5], "head": [0, 1]}
ATTRIBUTES = ["colour", "shape", "size"]
AUGMENTATIONS = ["noise", "blur"]


def heads(**models):
    parts = {name: pd.Series(values) for name, values in models.items()}
    labels = pd.concat(parts, names=["model", "head"])
    index = [(model, 0, head) for model, head in labels.index]
    labels.index = pd.MultiIndex.from_tuples(index, names=["model", "layer", "head"])
    return labels


def test_intervals_are_wilsons():
    found = share_with_interval(16, 48)
    z, p, n = stats.norm.ppf(0.975), 16 / 48, 48
    centre = (p + z**2 / 2 / n) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / 4 / n**2)
    assert [found["low"], found["high"]] == pytest.approx([centre - reach, centre + reach])
    assert found["share"] == p


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
