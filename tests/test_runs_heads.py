"""What heads are named with is read once, from texts that no model knows by heart."""

import numpy as np
import pytest

from helpers.analysis import labels
from helpers.data.texts import MEMORISED
from helpers.runs import open_run
from helpers.runs.derived import heads


@pytest.fixture
def run(parameters):
    return open_run(**parameters | {"images": "scenes:24", "batch_size": 24})


def test_captions_of_memorised_photographs_name_no_head(run):
    assert MEMORISED in run.text_embeddings()["property"].values
    texts = run.named_texts()
    assert MEMORISED not in texts["property"].values
    assert texts.sizes["text"] == (run.text_embeddings()["property"] != MEMORISED).sum()
    assert MEMORISED not in heads.head_readings(run)["property"].values


def test_texts_without_a_property_get_none_of_memorised_photographs(parameters, tmp_path):
    file = tmp_path / "own.txt"
    file.write_text("a picture of a rocket on its launch pad at dusk\nsomething red\n")
    named = open_run(**parameters | {"texts": str(file)}).named_texts()
    assert MEMORISED not in named["property"].values
    assert named["property"].values[1] == "colour"


def test_a_property_of_ones_own_texts_is_kept_whatever_it_is_called(parameters, tmp_path):
    file = tmp_path / "own.csv"
    file.write_text(f"text,property\na dark photograph,{MEMORISED}\nsomething red,colour\n")
    named = open_run(**parameters | {"texts": str(file)}).named_texts()
    assert named["property"].values.tolist() == [MEMORISED, "colour"]


def test_heads_are_read_once_and_as_by_hand(run, monkeypatch):
    readings = heads.head_readings(run)
    written, texts = run.contributions()["heads"], run.named_texts()
    by_hand = labels.read_heads(written, texts, heads.TEXTS, run.model.head_width)
    np.testing.assert_array_equal(readings["text"], by_hand["text"])
    assert (readings["property"] == by_hand["property"]).all()
    monkeypatch.setattr(labels, "read_heads", None)
    assert heads.head_readings(run).equals(readings)


def test_resamples_and_chance_are_kept_too(run, monkeypatch):
    again, by_chance = heads.resampled_readings(run), heads.explained_by_chance(run)
    assert {"resample", "layer", "head", "choice"} == set(again["text"].dims)
    assert (again["property"] == heads.head_readings(run)["property"]).mean() > 0.5
    assert by_chance.sizes["choice"] == heads.TEXTS
    monkeypatch.setattr(type(run), "model", property(lambda _: pytest.fail("the model was loaded")))
    assert heads.resampled_readings(run).equals(again)
    assert heads.explained_by_chance(run).equals(by_chance)
