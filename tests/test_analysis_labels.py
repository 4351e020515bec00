"""Properties of heads, association and entanglement, against what they are defined as."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers.analysis import labels
from helpers.checks import WorkbookError

POOL = ["red", "green", "blue", "circle", "square", "star", "left", "right"]
PROPERTIES = ["colour"] * 3 + ["shape"] * 3 + ["place"] * 2


def pool(properties=PROPERTIES):
    coords = {"text": POOL, "property": ("text", properties)}
    return xr.DataArray(np.eye(8), coords, ("text", "feature"))


def planted(seed=0, images=200):
    """Heads that vary along texts of one property each, most along the first."""
    rng = np.random.default_rng(seed)
    scales = np.zeros((2, 2, 8))
    scales[0, 0, :3] = 4, 2, 1
    scales[0, 1, 3:6] = 1, 4, 2
    scales[1, 0, 6:] = 2, 1
    scales[1, 1, [0, 3, 4]] = 3, 2, 2.5
    data = rng.normal(size=(images, 2, 2, 8)) * scales
    coords = {"layer": [4, 5], "head": [0, 1]}
    return xr.DataArray(data, coords, ("image", "layer", "head", "feature"))


def chosen(texts, explained):
    texts = np.asarray(texts)[None]  # one layer
    explained = np.broadcast_to(explained, texts.shape)
    axes = ("layer", "head", "choice")
    coords = {"layer": [0], "head": range(texts.shape[1])}
    return xr.Dataset({"text": (axes, texts), "explained": (axes, explained)}, coords)


def test_planted_heads_get_their_property_and_first_text():
    readings = labels.read_heads(planted(), pool())
    assert readings["text"].sel(layer=4, head=1).values[:3].tolist() == [4, 5, 3]
    assert readings["property"].values.tolist() == [["colour", "shape"], ["place", "shape"]]
    assert readings["text"].dims == ("layer", "head", "choice")


def test_the_property_is_that_of_most_variance_and_not_of_most_texts():
    found = labels.with_properties(chosen([[0, 3, 4, 5, 6]], [0.5, 0.1, 0.1, 0.1, 0.1]), PROPERTIES)
    assert found["property"].item() == "colour"
    assert found["association"].item() == pytest.approx(1 / 5)


def test_only_the_first_texts_count():
    later = labels.with_properties(
        chosen([[0, 1, 3, 6, 4, 5, 7]], [0.3, 0.1, 0.2, 0.1, 0.05, 0.5, 0.1]), PROPERTIES
    )
    assert later["property"].item() == "colour"
    assert later["association"].item() == pytest.approx(2 / 5)


def test_a_head_that_does_not_vary_has_neither_property_nor_association():
    still = planted()
    still[:, 1, 1] = 1.0
    readings = labels.read_heads(still, pool())
    assert readings["property"].values[1, 1] == labels.UNKNOWN
    assert np.isnan(readings["association"].values[1, 1])
    assert np.isfinite(labels.head_scores(readings)["association"])


def test_overlap_and_heads_per_property_are_as_defined():
    readings = labels.read_heads(planted(), pool())
    scores = labels.head_scores(readings)
    sets = [set(texts) for texts in readings["text"].values.reshape(4, -1)]
    pairs = [len(one & other) / labels.TOP for one, other in combinations(sets, 2)]
    assert scores["overlap"].item() == pytest.approx(np.mean(pairs))
    assert scores["heads_per_property"].item() == pytest.approx(4 / 3)
    assert scores["association"].item() == pytest.approx(readings["association"].mean().item())


def test_one_head_overlaps_with_none():
    single = labels.read_heads(planted()[:, :1, :1], pool())
    assert np.isnan(labels.head_scores(single)["overlap"])


def test_resamples_are_of_images_and_reproducible():
    heads = planted(images=30)
    resampled = labels.resampled_heads(heads, pool())
    assert dict(resampled["text"].sizes) == {
        "resample": labels.RESAMPLES,
        "layer": 2,
        "head": 2,
        "choice": 5,
    }
    again = labels.resampled_heads(heads, pool())
    xr.testing.assert_identical(resampled, again)
    assert resampled["explained"].std("resample").max() > 0
    first = labels.head_scores(resampled.isel(resample=2))
    assert labels.head_scores(resampled)["overlap"][2] == first["overlap"]


def test_chance_is_that_of_texts_that_say_nothing():
    readings = labels.read_heads(planted(), pool())
    chance = labels.chance_scores(readings, PROPERTIES)
    # Five of eight texts drawn at random by each of two heads: 5/8 of them are common on average.
    assert chance["overlap"].mean().item() == pytest.approx(5 / 8, abs=0.02)
    assert chance["association"].mean() < labels.head_scores(readings)["association"]
    np.testing.assert_allclose(
        chance["of_heads"].mean(("layer", "head")), chance["association"], rtol=1e-12
    )


def test_a_pool_of_one_property_has_association_one_by_chance_as_well():
    readings = labels.read_heads(planted(), pool(["thing"] * 8))
    chance = labels.chance_scores(readings, ["thing"] * 8)
    assert labels.head_scores(readings)["association"] == 1
    assert (chance["association"] == 1).all()


def test_summary_and_table_say_what_they_are_made_of():
    heads = planted()
    readings = labels.read_heads(heads, pool())
    resampled = labels.resampled_heads(heads, pool())
    chance = labels.chance_scores(readings, PROPERTIES)
    summary = labels.summarise_scores(readings, resampled, chance)
    assert list(summary.index) == ["clarity", "association", "overlap", "heads_per_property"]
    assert (summary["low"] <= summary["high"]).all()
    assert summary.loc["overlap", "chance"] == pytest.approx(chance["overlap"].mean().item())
    table = labels.head_table(readings, resampled, POOL)
    assert table.index.names == ["layer", "head"]
    assert table.loc[(4, 1), "texts"] == "square · star · circle"
    assert table.loc[(4, 0), ["label", "stability"]].tolist() == ["colour", 1]
    assert table.loc[(4, 0), "explained"] == pytest.approx(1)


def test_texts_without_a_property_get_that_of_the_nearest():
    angles = np.array([0.1, 1.4, 0.2])
    own = xr.DataArray(
        np.stack([np.cos(angles), np.sin(angles)], axis=1),
        {"property": ("text", ["", "", "mine"])},
        ("text", "feature"),
    )
    known = xr.DataArray(
        [[1, 0], [0, 1], [0.6, 0.8]],
        {"property": ("text", ["along", "up", ""])},
        ("text", "feature"),
    )
    filled = labels.fill_properties(own, known)
    assert filled["property"].values.tolist() == ["along", "up", "mine"]
    with pytest.raises(WorkbookError, match="no text with a property"):
        labels.fill_properties(own, known[2:])


def test_any_function_can_name_heads():
    readings = labels.read_heads(planted(), pool())
    seen = []

    def labeller(texts):
        seen.append(texts)
        return f" about {texts[0]} "

    named = labels.label_heads(readings, POOL, labeller)
    assert named.values.tolist() == [
        ["about red", "about square"],
        ["about left", "about red"],
    ]
    assert [len(texts) for texts in seen] == [5] * 4


@pytest.mark.parametrize("answer", [None, "", "  ", 3])
def test_a_labeller_that_says_nothing_is_told(answer):
    readings = labels.read_heads(planted(), pool())
    with pytest.raises(WorkbookError, match="must return a text"):
        labels.label_heads(readings, POOL, lambda texts: answer)


def test_spellings_are_merged_only_where_both_occur():
    merged = labels.merge_spellings(pd.Series(["Colors", "color", "Glass", "Birds"]))
    assert merged.tolist() == ["color", "color", "glass", "birds"]


@pytest.mark.parametrize("nudge", [-1e-8, 0, 1e-8])
def test_of_properties_that_explain_the_same_the_first_is_the_heads(nudge):
    readings = chosen([[0, 3, 4, 5, 1]], [0.5, 0.3, 0.2 + nudge, 0, 0])
    assert labels.with_properties(readings, PROPERTIES)["property"].item() == "colour"


@pytest.mark.parametrize("nudge", [-1e-8, 0, 1e-8])
def test_of_texts_that_are_as_near_the_first_gives_its_property(nudge):
    vocabulary = pool()
    text = np.zeros((1, 8))
    text[0, [2, 3]] = 1, 1 + nudge  # between "blue" and "circle"
    coords = {"text": ["a thing"], "property": ("text", [labels.UNKNOWN])}
    filled = labels.fill_properties(xr.DataArray(text, coords, ("text", "feature")), vocabulary)
    assert filled["property"].item() == "colour"


def test_clarity_and_runner_up_are_the_variance_of_their_texts():
    found = labels.with_properties(
        chosen([[0, 3, 1, 6, 4]], [0.3, 0.2, 0.1, 0.05, 0.15]), PROPERTIES
    )
    assert (found["property"].item(), found["runner_up"].item()) == ("colour", "shape")
    assert found["clarity"].item() == pytest.approx(0.4)
    assert found["runner_up_share"].item() == pytest.approx(0.35)


def test_a_head_of_one_property_has_no_runner_up():
    found = labels.with_properties(chosen([[3, 4, 5]], [0.3, 0.2, 0.1]), PROPERTIES)
    assert (found["runner_up"].item(), found["runner_up_share"].item()) == ("", 0)
    assert labels.written_labels(found).item() == "shape"


@pytest.mark.parametrize(
    "second, tied, written", [(0.89, False, "colour"), (0.91, True, "colour or shape")]
)
def test_a_label_is_a_near_tie_where_the_runner_up_explains_nearly_as_much(second, tied, written):
    found = labels.with_properties(chosen([[0, 3]], [0.5, 0.5 * second]), PROPERTIES)
    assert labels.near_ties(found).item() is tied
    assert labels.written_labels(found).item() == written


def test_a_head_that_does_not_vary_is_no_near_tie():
    still = planted()
    still[:, 1, 1] = 1.0
    readings = labels.read_heads(still, pool())
    assert not labels.near_ties(readings).values[1, 1]
    assert labels.written_labels(readings).values[1, 1] == labels.UNKNOWN
    assert np.isfinite(labels.head_scores(readings)["clarity"])


def test_the_p_value_of_a_head_is_that_of_random_texts(monkeypatch):
    monkeypatch.setattr(labels, "DRAWS", 20_000)
    # With five texts of one property, random texts agree as much where five of the 3 + 3 + 2 do.
    many = ["a"] * 12 + ["b"] * 12
    readings = labels.with_properties(chosen([[0, 1, 2, 3, 4], [0, 12, 1, 13, 2]], [0.2] * 5), many)
    tests = labels.association_tests(readings, many)
    from math import comb

    all_alike = 2 * comb(12, 5) / comb(24, 5)
    assert tests["p"].iloc[0] == pytest.approx(all_alike, abs=0.005)
    assert tests["p"].iloc[1] == 1  # three of five is the least that two properties allow
    assert tests["q"].tolist() == pytest.approx([2 * tests["p"].iloc[0], 1])


def test_a_head_without_association_is_not_tested():
    still = planted()
    still[:, 1, 1] = 1.0
    tests = labels.association_tests(labels.read_heads(still, pool()), PROPERTIES)
    assert tests.loc[(5, 1)].isna().all()
    assert tests.drop((5, 1)).notna().all(axis=None)


def test_texts_that_heads_vary_with_explain_more_than_chance_and_chance_explains_much():
    heads = planted(images=60)
    own = labels.read_heads(heads, pool(), k=2)["explained"]
    by_chance = labels.explained_by_chance(heads, pool(), 2)
    assert list(by_chance["pool"].values) == list(labels.POOLS_BY_CHANCE)
    assert by_chance.sizes["draw"] == labels.POOLS_DRAWN
    mean = by_chance.mean(("draw", "layer", "head"))
    assert own.sum("choice").mean() > mean.sum("choice").max()
    assert 0.1 < mean.sum("choice").min() < 1
    again = labels.explained_by_chance(heads, pool(), 2)
    np.testing.assert_array_equal(by_chance, again)


def test_consistency_at_k_is_the_share_of_heads_with_that_many_texts_of_their_label():
    readings = labels.with_properties(
        chosen([[0, 1, 2, 3, 4], [0, 12, 1, 13, 2]], [0.2] * 5), ["a"] * 12 + ["b"] * 12
    )
    assert labels.consistency_at(readings).tolist() == [0, 0, 0, 0.5, 0, 0.5]
    readings["association"][0, 1] = np.nan
    assert labels.consistency_at(readings).tolist() == [0, 0, 0, 0, 0, 1]
