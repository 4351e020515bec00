"""What bad input is told at the workbook's doors: one clear sentence, from function and panel."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest

from helpers import interpret, lab
from helpers.checks import WorkbookError
from helpers.clip import load
from helpers.runs import open_run

LONG = "red " * 40

# analysis, choices, what the sentence says
BAD = {
    "unknown image": ("image_neighbours", {"image": "nowhere"}, "image has no value 'nowhere'"),
    "no image": ("segmentation", {"image": np.zeros((4, 4))}, "has pixels of type float64"),
    "unknown property": ("property_neighbours", {"property": "taste"}, "no value 'taste'"),
    "layer not kept": ("text_neighbours", {"layer": 0}, "layer has no value 0.* 2 to 5"),
    "head beyond the last": ("text_neighbours", {"head": 6}, "head has no value 6.* 0 to 5"),
    "negative head": ("contrast", {"head": -1}, "head has no value -1.* all, 0 to 5"),
    "layer beyond the last": ("segmentation", {"layer": 99}, "layer has no value 99.* all, 0 to 5"),
    "empty text": ("text_neighbours", {"text": ""}, "'' says nothing; type what"),
    "blank other text": ("contrast", {"other": "  "}, "says nothing; type what"),
    "text over the context": ("segmentation", {"text": LONG}, "longer than the 24 tokens"),
}
GOOD = {
    "property_neighbours": {"image": "0.png", "property": "colour"},
    "segmentation": {"image": "0.png", "text": "a red object"},
    "contrast": {"image": "0.png", "text": "a red object", "other": "a blue object"},
    "image_neighbours": {"image": "0.png", "layer": 5, "head": 2},
    "text_neighbours": {"text": "a red object", "layer": 5, "head": 2},
}


@pytest.fixture
def run(parameters):
    yield open_run(**parameters)
    plt.close("all")


@pytest.mark.parametrize("case", BAD)
def test_a_function_tells_one_sentence(run, case):
    analysis, choices, sentence = BAD[case]
    with pytest.raises(WorkbookError, match=sentence) as told:
        getattr(interpret, analysis)(run, **GOOD[analysis] | choices)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("case", ["empty text", "blank other text", "text over the context"])
def test_a_panel_shows_the_sentence_in_place_of_the_picture(run, case):
    analysis, choices, _ = BAD[case]
    ((name, value),) = choices.items()
    panel = lab.panel(analysis, run)
    assert "<img" in panel.page
    panel.controls[name].value = value
    assert 'role="alert"' in panel.page
    assert "<img" not in panel.page
    panel.controls[name].value = "a red object"
    assert "<img" in panel.page


def test_a_panel_with_a_choice_that_does_not_exist_is_not_opened(run):
    with pytest.raises(WorkbookError, match="head has no value"):
        lab.panel("text_neighbours", run, head=17)
    with pytest.raises(WorkbookError, match="a control has no value 'colour'"):
        lab.panel("text_neighbours", run, colour="red")
    with pytest.raises(WorkbookError, match="analysis has no value 'magic'"):
        lab.panel("magic", run)
    with pytest.raises(WorkbookError, match="text has no value 5; give a text in quotes"):
        lab.panel("text_neighbours", run, text=5)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("ViT-B-33", "ViT-B-33"),
        ("owner/model", "owner/model is not on this machine"),
        ("no/such/folder", "no folder no/such/folder"),
    ],
)
def test_a_model_that_cannot_be_read_is_told_before_anything_is_computed(
    parameters, model, sentence
):
    with warnings.catch_warnings(), pytest.raises(WorkbookError, match=sentence) as told:
        warnings.simplefilter("ignore")
        open_run(**parameters | {"model": model})
    assert "\n" not in str(told.value)
    with pytest.raises(WorkbookError, match=sentence):
        load(model)
