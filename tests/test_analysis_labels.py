"""Texts of heads, their properties and associations, against what they are defined as."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers.analysis import labels, roles
from helpers.analysis.labels import textspan, textspan_resampled
from helpers.analysis.statistics import resample_counts
from helpers.checks import WorkbookError
from tests.planted_heads import POOL, PROPERTIES, chosen, planted, pool
from tests.reference_textspan import plain_textspan


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
    assert np.isfinite(roles.head_scores(readings)["association"])


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
    assert np.isfinite(roles.head_scores(readings)["clarity"])


def problem(seed, images=120, features=24, dimensions=10, texts=60):
    rng = np.random.default_rng(seed)
    scales = rng.exponential(size=dimensions)
    data = rng.normal(size=(images, dimensions)) * scales @ rng.normal(size=(dimensions, features))
    pool = rng.normal(size=(texts, features))
    return data + rng.normal(size=features), pool / np.linalg.norm(pool, axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(20))
def test_texts_and_order_are_those_of_the_plain_algorithm(seed):
    data, texts = problem(seed)
    indices, explained = plain_textspan(data, texts, k=6, rank=8)
    found = textspan(data, texts, k=6, rank=8)
    assert found.indices.tolist() == indices
    np.testing.assert_allclose(found.explained, explained, rtol=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_a_span_that_is_cut_short_is_that_of_the_plain_algorithm(seed):
    data, texts = problem(seed, features=40, dimensions=30)
    indices, explained = plain_textspan(data, texts, k=5, rank=6)
    found = textspan(data, texts, k=5, rank=6)
    assert found.indices.tolist() == indices
    np.testing.assert_allclose(found.explained, explained, rtol=1e-8)


def test_heads_are_a_leading_axis():
    pairs = [problem(seed) for seed in range(6)]
    texts = pairs[0][1]
    data = np.array([pair[0] for pair in pairs])
    together = textspan(data.reshape(2, 3, *data.shape[1:]), texts, k=4)
    for head, place in enumerate(np.ndindex(2, 3)):
        alone = textspan(data[head], texts, k=4)
        assert together.indices[place].tolist() == alone.indices.tolist()
        np.testing.assert_array_equal(together.explained[place], alone.explained)


def test_planted_directions_are_named_first_and_explain_everything():
    rng = np.random.default_rng(0)
    texts = np.linalg.qr(rng.normal(size=(16, 16)))[0]
    data = 3 * rng.normal(size=(200, 1)) * texts[5] + rng.normal(size=(200, 1)) * texts[11]
    found = textspan(data, texts, k=2)
    assert found.indices.tolist() == [5, 11]
    assert found.explained.sum() == pytest.approx(1)


def test_float32_rounding_is_no_direction():
    data, texts = problem(3)  # ten dimensions and the mean
    rough = textspan(data.astype(np.float32), texts, k=6)
    assert rough.indices.tolist() == textspan(data, texts, k=6, rank=11).indices.tolist()


def test_float16_changes_no_choice():
    data, texts = problem(4)
    rough = textspan(data.astype(np.float16), texts, k=5, rank=11)
    assert rough.indices.tolist() == textspan(data, texts, k=5, rank=11).indices.tolist()


def test_texts_beyond_what_varies_explain_nothing_and_repeat_none():
    data, texts = problem(0, images=4)  # and as many dimensions
    found = textspan(data, texts, k=12)
    assert found.explained[:4].sum() == pytest.approx(1)
    np.testing.assert_allclose(found.explained[4:], 0, atol=1e-9)
    assert len(set(found.indices.tolist())) == 12


def test_a_head_that_never_varies_explains_nothing():
    _, texts = problem(0)
    assert np.isnan(textspan(np.ones((5, 24)), texts, k=2).explained).all()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"k": 0}, "k has no value 0"),
        ({"k": 61}, "from 1 to 60"),
        ({"rank": 25}, "rank has no value 25"),
        ({"text_embeddings": np.ones((60, 5))}, "don't match"),
        ({"contributions": np.ones(24)}, "don't match"),
    ],
)
def test_bad_input_is_told(change, message):
    data, texts = problem(0)
    with pytest.raises(WorkbookError, match=message):
        textspan(**{"contributions": data, "text_embeddings": texts, "k": 3} | change)


@pytest.mark.parametrize("choice", [{"k": 2.5}, {"k": True}, {"k": "3"}, {"k": 3, "rank": 4.0}])
def test_numbers_of_texts_and_dimensions_are_whole(choice):
    with pytest.raises(WorkbookError, match="choose a whole number from 1 to"):
        textspan(*problem(0), **choice)


@pytest.mark.parametrize("nudge", [-1e-7, 1e-7])
def test_of_texts_that_explain_the_same_the_first_is_chosen(nudge):
    data, texts = problem(3)
    best = int(textspan(data, texts, k=1).indices[0])
    twin = texts[best] * (1 + nudge)
    after = textspan(data, np.vstack([texts, twin]), k=1).indices[0]
    before = textspan(data, np.vstack([twin, texts]), k=1).indices[0]
    assert (after, before) == (best, 0)


@pytest.mark.parametrize("seed", range(5))
def test_resamples_choose_what_the_plain_algorithm_chooses_for_their_images(seed):
    data, texts = problem(seed)
    counts = resample_counts(len(data), 8, seed)
    found = textspan_resampled(data, texts, counts, k=6, rank=11)
    for row, count in enumerate(counts):
        own = np.repeat(data, count, axis=0)
        indices, explained = plain_textspan(own, texts, k=6, rank=11)
        assert found.indices[row].tolist() == indices
        np.testing.assert_allclose(found.explained[row], explained, rtol=1e-7)


def test_resamples_come_before_heads():
    pairs = [problem(seed) for seed in range(6)]
    data, texts = np.array([data for data, _ in pairs]).reshape(2, 3, 120, 24), pairs[0][1]
    counts = resample_counts(120, 4, 0)
    found = textspan_resampled(data, texts, counts, k=5)
    assert found.indices.shape == found.explained.shape == (4, 2, 3, 5)
    alone = textspan_resampled(data[1, 2], texts, counts, k=5)
    np.testing.assert_array_equal(found.indices[:, 1, 2], alone.indices)
    np.testing.assert_allclose(found.explained[:, 1, 2], alone.explained)


def test_a_resample_of_each_image_once_is_the_sample():
    data, texts = problem(3)
    found = textspan_resampled(data, texts, np.ones((1, 120), int), k=6)
    plain = textspan(data, texts, k=6)
    np.testing.assert_array_equal(found.indices[0], plain.indices)
    np.testing.assert_allclose(found.explained[0], plain.explained)


def test_counts_for_other_images_are_told():
    with pytest.raises(WorkbookError, match=r"Counts of shape \(2, 4\) don't fit 120 images"):
        textspan_resampled(*problem(0), np.ones((2, 4)), k=1)


def test_a_table_of_heads_has_their_texts_label_and_stability():
    heads = planted()
    readings = labels.read_heads(heads, pool())
    table = labels.head_table(readings, roles.resampled_heads(heads, pool()), POOL)
    assert table.index.names == ["layer", "head"]
    assert table.loc[(4, 1), "texts"] == "square · star · circle"
    assert table.loc[(4, 0), ["label", "stability"]].tolist() == ["colour", 1]
    assert table.loc[(4, 0), "explained"] == pytest.approx(1)
