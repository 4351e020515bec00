"""Segmentation of scenes, scored against their masks."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis.maps import foreground
from helpers.analysis.proximity import (
    SIMILARITIES,
    chance_precision,
    occurrences,
    precision,
    to_unit_embeddings,
)
from helpers.analysis.scores import enlarge
from helpers.checks import WorkbookError
from helpers.clip import load
from helpers.data.scenes import scene
from helpers.head_benchmark import scoring
from helpers.interpret import choices
from helpers.runs import open_run


@pytest.fixture(scope="module")
def model():
    return load("embedded", device="cpu")


@pytest.fixture(scope="module")
def pairs():
    return [scoring.paired_scene(index) for index in range(6)]


def test_a_paired_scene_shows_the_pair(pairs):
    for one in pairs:
        looks = [(item["colour"], item["shape"]) for item in one.objects]
        assert looks == [("red", "circle"), ("blue", "square")]
        red, blue = (one.pixels[mask].mean(axis=0) for mask in one.masks)
        assert red[0] > red[2]
        assert blue[2] > blue[0]


def test_differing_scenes_differ_in_what_is_said():
    for one in scoring.differing_scenes(5, "size"):
        assert {item["size"] for item in one.objects} == {"small", "large"}


def test_a_score_equals_a_plain_loop(model, pairs):
    scores = scoring.score_together(model, pairs[:2], "colour")
    for number, one in enumerate(pairs[:2]):
        fits = []
        encoding = model.encode(one.pixels[None], by_token=True)
        red, blue = model.encode_text(["a red object", "a blue object"])
        for text, other, mask in ((red, blue, one.masks[0]), (blue, red, one.masks[1])):
            difference = text / np.linalg.norm(text) - other / np.linalg.norm(other)
            contrast = (encoding.tokens[0, 1:] @ difference).reshape(model.grid)
            region = foreground(enlarge(contrast, 224))
            fits.append((region & mask).sum() / (region | mask).sum())
        np.testing.assert_allclose(scores["maps"][number, 1], np.mean(fits), atol=5e-3)


def test_contrasts_find_things_well_above_chance(model, pairs):
    scores = scoring.score_together(model, pairs, "colour and shape").mean("scene")
    shuffled, whole, best = scores["levels"].values
    assert scores["maps"].sel(map="contrast of the two") > 3 * max(shuffled, whole)
    assert best > scores["maps"].max()


def test_an_untrained_model_finds_nothing(pairs):
    scores = scoring.score_together(load("embedded", "0", "cpu"), pairs, "colour and shape")
    assert scores["maps"].mean() < 0.15


def test_each_head_is_scored_alone(model, pairs):
    scores = scoring.score_heads(model, pairs[:2], "colour and shape")
    assert scores["contrast"].shape == (2, model.layers, model.heads)
    assert scores["contrast"].mean() > scores["chance"].mean()


def test_an_empty_patch_is_one_where_both_maps_are_largest_and_nothing_is():
    masks = np.zeros((2, 8, 8), bool)
    masks[0, :4, :4] = masks[1, 4:, 4:] = True
    maps = np.zeros((2, 1, 3, 2, 2))
    maps[:, 0, 0, 0, 1] = 1  # both where nothing is
    maps[:, 0, 1, 0, 0] = 1  # both on the first thing
    maps[0, 0, 2, 0, 1] = maps[1, 0, 2, 1, 0] = 1  # where nothing is, but not together
    assert scoring._empty_patch(maps, masks).tolist() == [[True, False, False]]


def test_the_best_head_is_chosen_on_other_scenes_than_it_is_scored_on():
    scores = np.zeros((4, 2))
    scores[:2, 0] = 1  # good on one half only
    scores[:, 1] = 0.4
    by_head = xr.DataArray(scores, {"component": ["L0.H0", "L0.H1"]}, ("scene", "component"))
    best = scoring.best_head_alone(by_head, xr.DataArray([0.5] * 4, dims="scene"))
    assert best.heads == ["L0.H0", "L0.H1"]
    assert best.score["mean"] == pytest.approx((0.4 + 0.4 + 0 + 0) / 4)
    assert best.difference["mean"] == pytest.approx(best.score["mean"] - 0.5)


def test_a_summary_has_a_row_per_wording(model, pairs):
    scores = scoring.score_together(model, pairs, "colour").expand_dims(wording=["red and blue"])
    table = scoring.summary(scores["maps"])
    assert list(table.index) == [("red and blue", name) for name in scoring.MAPS]
    assert (table["low"] <= table["mean"]).all()


def test_bad_scenes_and_wordings_are_told(model, pairs):
    with pytest.raises(WorkbookError, match="1 scenes can't be scored"):
        scoring.score_together(model, pairs[:1], "colour")
    with pytest.raises(WorkbookError, match="wording has no value 'taste'"):
        scoring.score_together(model, pairs, "taste")


@pytest.fixture
def run(parameters, tmp_path):
    return open_run(**parameters | {"images": "scenes:24", "batch_size": 24})


def test_neighbours_are_scored_for_all_heads_of_a_property_and_the_clearest_alone(run):
    singles = [scene(index, count="one") for index in range(5_000, 5_040)]
    table = scoring.score_neighbours(run, singles, 4)
    named = choices.heads_by_property(run)
    for (name, number, which), row in table.iterrows():
        clearest = choices.clearest_head(run, name)
        heads = named[name] if which == "all" else [clearest]
        assert number == len(heads)
        values = [one.attributes[name].iloc[0] for one in singles]
        encoding = run.model.encode(np.stack([one.pixels for one in singles]))
        encoded = to_unit_embeddings(encoding.heads, encoding.embedding)
        mean = np.mean([encoded[:, layer, head] for layer, head in heads], axis=0)
        for similarity in SIMILARITIES:
            expected = precision(mean, values, 4, similarity).mean()
            assert row[similarity] == pytest.approx(expected, abs=0.02)
        assert row["chance"] == pytest.approx(chance_precision(values))
    assert "count" not in table.index.unique("property")
    assert table["cosine"].mean() > table["chance"].mean() + 0.2


def test_the_commonest_neighbour_is_counted_for_each_head(run):
    table = scoring.hub_shares(run, 8)
    assert list(table.index[:2]) == ["L2.H0", "L2.H1"]
    assert len(table) == 24
    own = choices.contributions(run, [(3, 2)])
    for similarity in SIMILARITIES:
        counts = occurrences(own, 8, similarity)
        assert table.loc["L3.H2", similarity] == counts.max() / 23
    assert (table["inner product"] > table["cosine"]).mean() > 0.8


def test_one_image_has_no_neighbours(parameters):
    run = open_run(**parameters | {"images": "scenes:1"})
    assert scoring.hub_shares(run, 8).isna().all(axis=None)
