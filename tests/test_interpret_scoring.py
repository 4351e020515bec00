"""Segmentation of scenes, scored against their masks."""

import numpy as np
import pytest

from helpers.analysis.maps import enlarge
from helpers.analysis.segmentation import foreground
from helpers.checks import WorkbookError
from helpers.clip import load
from helpers.interpret import scoring


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


def test_a_summary_has_a_row_per_wording(model, pairs):
    scores = {"red and blue": scoring.score_together(model, pairs, "colour")}
    table = scoring.summary(scores, "maps")
    assert list(table.index) == [("red and blue", name) for name in scoring.MAPS]
    assert (table["low"] <= table["mean"]).all()


def test_bad_scenes_and_wordings_are_told(model, pairs):
    with pytest.raises(WorkbookError, match="1 scenes can't be scored"):
        scoring.score_together(model, pairs[:1], "colour")
    with pytest.raises(WorkbookError, match="wording has no value 'taste'"):
        scoring.score_together(model, pairs, "taste")
