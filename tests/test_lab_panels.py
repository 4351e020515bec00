"""What panels offer and show, without a browser."""

import re
from io import BytesIO
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from helpers import interpret, lab
from helpers.analysis import labels
from helpers.checks import WorkbookError
from helpers.data import published
from helpers.interpret import changes, choices
from helpers.interpret.choices import UNNAMED
from helpers.runs import open_run
from helpers.runs.derived.heads import heads_attention


@pytest.fixture
def run(parameters):
    yield open_run(**parameters)
    plt.close("all")


def upload(panel, name, colour):
    """Hand a plain picture to a panel as its button does."""
    content = BytesIO()
    Image.new("RGB", (32, 32), colour).save(content, format="png")
    file = SimpleNamespace(name=name, content=content.getvalue())
    panel._take_upload(SimpleNamespace(new=(file,)))


def test_a_second_upload_of_the_same_name_is_an_image_of_its_own(run):
    panel = lab.panel("segmentation", run, text="a red object")
    pages = []
    for colour in ("red", "blue", "green"):
        upload(panel, "a.png", colour)
        pages.append(panel.page)
    assert panel.controls["image"].options[-3:] == ("a.png", "a.png (2)", "a.png (3)")
    assert panel.controls["image"].value == "a.png (3)"
    pictures = {page.split('"')[1] for page in pages}
    assert len(pictures) == 3


def test_an_upload_named_like_an_image_of_the_run_leaves_that_image(run):
    panel = lab.panel("segmentation", run, image="0.png", text="a red object")
    before = panel.page
    upload(panel, "0.png", "red")
    assert panel.controls["image"].value == "0.png (2)"
    assert panel.page != before
    panel.controls["image"].value = "0.png"
    assert panel.page == before


def test_an_image_of_ones_own_is_offered_beside_those_of_the_run(run):
    own = np.zeros((32, 32, 3), np.uint8)
    panel = lab.panel("segmentation", run, image=own, text="a red object")
    assert panel.controls["image"].value == "your image"
    assert 'alt="model embedded model · image your image · text a red object' in panel.page


def test_one_image_names_no_head_and_the_panel_says_so(parameters):
    panel = lab.panel("property_neighbours", open_run(**parameters | {"limit": 1}))
    assert UNNAMED.split("'")[0] in panel.page
    assert "<img" not in panel.page


def test_the_clearest_head_of_a_property_is_one_of_its_heads(parameters):
    run = open_run(**parameters | {"images": "scenes:24", "batch_size": 24})
    named = choices.heads_by_property(run)
    readings = labels.read_heads(
        run.contributions()["heads"], run.named_texts(), rank=run.model.head_width
    )
    for name, heads in named.items():
        layer, head = choices.clearest_head(run, name)
        clarity = {
            place: float(readings["clarity"].sel(layer=place[0], head=place[1])) for place in heads
        }
        assert clarity[layer, head] == max(clarity.values())
        place = int(readings["text"].sel(layer=layer, head=head)[0])
        assert choices.first_text(run, layer, head) == run.named_texts()["text"].values[place]
    with pytest.raises(WorkbookError, match="property has no value 'taste'"):
        choices.clearest_head(run, "taste")


def similarity(panel):
    return float(re.search(r"similarity (\d\.\d+)", panel.page)[1])


@pytest.mark.parametrize("name", ["change", "shift"])
def test_a_slider_moves_picture_and_numbers(run, name):
    panel = lab.panel(name, run, image="1.png", change="noise", severity=0)
    slider, found = panel.controls["severity"], {}
    assert slider.max == 3
    for severity in (0.0, 0.5, 3.0):
        slider.value = severity
        assert f"severity {severity}" in panel.page
        found[severity] = similarity(panel)
    assert found[3.0] < found[0.5] < found[0.0] == 1


def test_at_the_runs_severity_a_panel_shows_the_runs_own_view(run):
    figure = changes.shift(run, "1.png", "noise", 1.0)
    assert (figure.axes[1].images[0].get_array() == run.views("1.png")["noise"]).all()
    scores = run.scores()["embedding_similarity"].sel(image="1.png", augmentation="noise")
    assert f"{float(scores):.3f}" in figure.axes[2].get_title(loc="center")
    shares = run.dissection()["shares"].sel(image="1.png", augmentation="noise").to_series()
    lead = shares[shares.index.str.contains("H")].idxmax()
    label = figure.axes[3].get_yticklabels()[0].get_text()
    assert label.split() == [lead, f"{shares[lead]:.0%}"]


def test_attention_of_every_head_is_shown_before_and_after(run):
    kept = heads_attention(run, "1.png", "noise").values
    figure = changes.attention(run, "1.png", "noise", 1.0)
    mosaics = [ax.images[0].get_array() for ax in figure.axes[2:]]
    layers, heads, rows, columns = kept.shape[1:]
    for mosaic in mosaics:
        assert mosaic.shape == (layers * rows, heads * columns)
    scale = kept.max(axis=(0, 3, 4))  # layers × heads
    for own, mosaic in zip(kept, mosaics, strict=False):
        for layer, head in ((0, 1), (layers - 1, 0)):  # the first layer is at the bottom
            top, left = (layers - 1 - layer) * rows, head * columns
            cell = mosaic[top : top + rows, left : left + columns]
            np.testing.assert_allclose(cell, own[layer, head] / scale[layer, head], atol=2e-3)
    np.testing.assert_allclose(mosaics[2], mosaics[1] - mosaics[0], atol=1e-6)
    plt.close(figure)
    panel = lab.panel("attention", run, image="1.png", change="noise", severity=0.5)
    assert "change noise · severity 0.5" in panel.page and "<img" in panel.page


def test_an_image_of_ones_own_is_changed_and_no_severity_beyond_the_slider_is(run):
    own = np.zeros((32, 32, 3), np.uint8)
    panel = lab.panel("change", run, image=own, change="noise", severity=2)
    assert "image your image · change noise · severity 2.0" in panel.page
    for severity in (3.5, "1"):
        with pytest.raises(WorkbookError, match="give a number from 0 to 3"):
            lab.panel("change", run, severity=severity)


def test_other_changes_than_the_studys_go_to_their_own_end(parameters):
    own = open_run(**parameters | {"changes": ["fog", "jpeg"], "severity": 4.5})
    panel = lab.panel("change", own, severity=5)
    assert panel.controls["change"].options == ("fog", "jpeg")


@pytest.fixture
def without_model(run, monkeypatch):
    """A run whose arrays are there, and whose model may not be loaded any more."""
    choices.heads_by_property(run)
    maps = choices.maps_of_heads(run, "1.png", ["a red object", "a blue object"])
    monkeypatch.setattr(type(run), "model", property(lambda _: pytest.fail("the model was loaded")))
    return run, maps


def test_panels_open_without_a_model_on_what_is_kept(without_model):
    run, maps = without_model
    texts = {"text": "a red object", "other": "a blue object"}
    figure = interpret.contrast(run, "1.png", *texts.values(), maps=maps)
    panel = lab.panel("contrast", run, first=figure, image="1.png", **texts)
    assert "<img" in panel.page and "text a red object · other a blue object" in panel.page
    assert not plt.fignum_exists(figure.number)
    own = choices.first_text(run, *choices.clearest_head(run, next(iter(panel_properties(run)))))
    for name, chosen in (
        ("property_neighbours", {}),
        ("image_neighbours", {}),
        ("text_neighbours", {"text": own}),
    ):
        assert "<img" in lab.panel(name, run, **chosen).page


def panel_properties(run):
    return choices.heads_by_property(run)


def test_kept_maps_draw_what_the_model_would(run):
    texts = ["a red object", "a blue object"]
    maps = choices.maps_of_heads(run, "1.png", texts)
    drawn = [
        interpret.contrast(run, "1.png", *texts, 3, 2, **kept) for kept in ({}, {"maps": maps})
    ]
    for one, other in zip(*(figure.axes for figure in drawn), strict=True):
        for first, second in zip(one.images, other.images, strict=True):
            np.testing.assert_array_equal(first.get_array(), second.get_array())


def test_published_property_heads_are_choices_of_the_layers_that_are_kept():
    found = choices.published_heads("ViT-L-14", "laion2b_s32b_b82k", range(20, 24))
    assert all(name.endswith(", as published") for name in found)
    rows = published.property_heads("ViT-L-14", "laion2b_s32b_b82k")
    assert sum(map(len, found.values())) == len(rows)
    last = choices.published_heads("ViT-L-14", "laion2b_s32b_b82k", [23])
    assert {layer for heads in last.values() for layer, _ in heads} == {23}
    assert choices.published_heads("embedded", None, range(6)) == {}


def test_every_published_property_head_is_on_offer():
    offered = [choices.published_heads(*model, range(24)).values() for model in published.MODELS]
    assert sum(len(heads) for by_property in offered for heads in by_property) == 115


def test_an_image_of_ones_own_is_searched_at_the_length_of_those_of_the_run(run):
    heads = [(3, 1), (4, 0)]
    own = choices.contribution_of(run, choices.pixels_of(run, "1.png"), heads)
    of_run = choices.contribution_of(run, "1.png", heads)
    np.testing.assert_allclose(own, of_run, rtol=2e-2, atol=1e-4 * np.abs(of_run).max())
    kept = run.contributions()["heads"].sel(image="1.png")
    mean = np.mean([kept.sel(layer=layer, head=head) for layer, head in heads], axis=0)
    embedding = run.encodings()["embedding"].sel(image="1.png", view="original")
    np.testing.assert_allclose(of_run, mean / np.linalg.norm(embedding), rtol=1e-3)
