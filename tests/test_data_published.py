import pandas as pd
import pytest

from helpers.analysis.order import PUBLISHED_GROUPS
from helpers.data import AUGMENTATIONS
from helpers.data.published import MODELS, head_labels, labelled_heads, property_heads, shift_study

PUBLISHED_LAYERS = 4
HEADS = {"ViT-B-16": 12, "ViT-B-32": 12, "ViT-L-14": 16}
LAST = {"ViT-B-16": 11, "ViT-B-32": 11, "ViT-L-14": 23}


@pytest.mark.parametrize("model, pretrained", MODELS)
def test_every_head_of_the_last_four_layers_has_one_label(model, pretrained):
    labels = head_labels(model, pretrained)
    layers = range(LAST[model] - PUBLISHED_LAYERS + 1, LAST[model] + 1)
    every = pd.MultiIndex.from_product([layers, range(HEADS[model])], names=["layer", "head"])
    assert labels.index.equals(every)
    assert list(labels.columns) == ["label"]
    assert labels["label"].str.strip().str.len().gt(0).all()


@pytest.mark.parametrize("model, pretrained", MODELS)
def test_heads_of_properties_are_labelled_heads_named_once_a_property(model, pretrained):
    heads = property_heads(model, pretrained)
    assert list(heads.columns) == ["property", "layer", "head"]
    assert len(heads) > 0
    assert not heads.duplicated().any()
    assert set(zip(heads["layer"], heads["head"], strict=True)) <= set(
        head_labels(model, pretrained).index
    )


def test_all_published_facts_are_here():
    assert len(MODELS) == len(set(MODELS)) == 6
    assert sum(len(head_labels(*model)) for model in MODELS) == 320
    assert sum(len(property_heads(*model)) for model in MODELS) == 115


@pytest.mark.parametrize(
    "model, layer, head, label",
    [
        (("ViT-B-16", "laion2b_s34b_b88k"), 8, 0, "Timepieces"),
        (("ViT-B-32", "openai"), 11, 8, "Word starting with the letter z"),
    ],
)
def test_labels_are_as_published(model, layer, head, label):
    assert head_labels(*model).loc[(layer, head), "label"] == label


def test_quickgelu_is_the_same_model():
    with_ending = head_labels("ViT-B-32-quickgelu", "openai")
    assert with_ending.equals(head_labels("ViT-B-32", "openai"))
    assert property_heads("ViT-L-14-quickgelu", "openai").equals(
        property_heads("ViT-L-14", "openai")
    )


@pytest.mark.parametrize("model", [("embedded", None), ("ViT-B-32", None), ("RN50", "openai")])
def test_a_model_without_labels_has_empty_tables(model):
    assert head_labels(*model).empty
    assert list(head_labels(*model).columns) == ["label"]
    assert property_heads(*model).empty
    assert list(property_heads(*model).columns) == ["property", "layer", "head"]


def test_what_a_caller_changes_stays_with_the_caller():
    labels = head_labels("ViT-B-32", "openai")
    labels.loc[(8, 0), "label"] = "changed"
    assert head_labels("ViT-B-32", "openai").loc[(8, 0), "label"] != "changed"


@pytest.mark.parametrize("model, pretrained", MODELS)
def test_labelled_heads_name_every_property_that_lists_them(model, pretrained):
    heads = labelled_heads(model, pretrained)
    assert heads["label"].equals(head_labels(model, pretrained)["label"])
    listed = property_heads(model, pretrained)
    for (layer, head), properties in heads["properties"].items():
        own = listed[(listed["layer"] == layer) & (listed["head"] == head)]["property"]
        assert properties == ", ".join(own)


def test_a_model_without_labels_has_no_labelled_heads():
    assert labelled_heads("embedded", None).empty


def test_every_statement_of_the_shift_study_has_a_source():
    table = shift_study()
    assert list(table.columns) == ["published", "source"]
    assert table.index.is_unique and table.notna().all(axis=None)
    for group in PUBLISHED_GROUPS.values():
        assert "; ".join(AUGMENTATIONS[name].label for name in group) in set(table["published"])
