from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.clip import load
from helpers.data.scenes import PROPERTIES, scene
from helpers.data.scenes.captions import full_caption
from helpers.interpret import retraining
from helpers.interpret.head_methods import heads_of


@pytest.fixture(scope="module")
def model():
    return load("embedded", device="cpu")


@pytest.fixture(scope="module")
def retrained(model):
    return retraining.retrain(model, (retraining.ALL_TOLD, "colour"), steps=2)


def vision_weights(model):
    return model.clip.visual.state_dict()


@pytest.mark.parametrize("name", retraining.NAMES)
def test_captions_leave_out_a_property_and_nothing_else(name):
    one = scene(3, count="one")
    told = full_caption(one.objects, one.medium, one.background, np.random.default_rng(0))
    everything = {"medium": one.medium, "background": one.background, **one.objects[0]}
    words = {key: everything[key] for key in retraining.NAMES}
    words["medium"] = "drawing" if one.medium == "flat drawing" else one.medium
    written = retraining.without(told, name)
    for key, value in words.items():
        assert (value in written) == (key != name), written


def test_the_control_tells_everything():
    one = scene(3, count="one")
    told = full_caption(one.objects, one.medium, one.background, np.random.default_rng(0))
    assert one.objects[0]["colour"] in retraining.without(told, retraining.ALL_TOLD)


def test_only_what_heads_own_is_trained_by_steps_of_one_length(model):
    (one,) = retraining.retrain(model, ["shape"], steps=1)
    before, after = vision_weights(model), vision_weights(one)
    moved = {key: (after[key] - before[key]).square().sum().item() for key in before}
    owned = {key for key in before if ".attn." in key and key != "out_proj.bias"}
    assert {key for key, value in moved.items() if value} <= owned
    assert sum(moved.values()) ** 0.5 == pytest.approx(retraining.RATE, rel=1e-3)
    texts = ["a red star"]
    np.testing.assert_array_equal(one.encode_text(texts), model.encode_text(texts))


def test_heads_put_in_one_after_the_other_make_the_retrained_model(model, retrained):
    whole = model
    for head in heads_of(model, model.layers):
        whole = retraining.with_head_of(whole, retrained[1], head)
    for key, weight in vision_weights(retrained[1]).items():
        assert torch.equal(vision_weights(whole)[key], weight), key


def test_a_head_of_another_model_leaves_all_else_as_it_was(model, retrained):
    mixed = retraining.with_head_of(model, retrained[1], "L3.H2")
    before, after = vision_weights(model), vision_weights(mixed)
    layer = "transformer.resblocks.3.attn."
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed <= {layer + "in_proj_weight", layer + "in_proj_bias", layer + "out_proj.weight"}
    width, size = model.head_width * model.heads, model.head_width
    rows = (before[layer + "in_proj_weight"] != after[layer + "in_proj_weight"]).any(dim=1)
    own = torch.zeros(3, width, dtype=bool)
    own[:, 2 * size : 3 * size] = True
    assert rows.any() and not rows[~own.flatten()].any()


def test_what_is_lost_is_lost_beyond_the_control(model, retrained, monkeypatch):
    monkeypatch.setattr(retraining, "PAIRS", range(3))
    control, own = retrained
    heads = ["L3.H2", "L5.H1"]
    found = retraining.unlearnt(model, own, control, "colour", heads)
    assert found.shape == (3, 2)
    assert np.abs(found).max() > 0
    assert (retraining.unlearnt(model, own, own, "colour", heads) == 0).all()


def test_gaps_are_differences_of_margins(model):
    question = retraining.Question.drawn(model, "medium", range(3))
    first, other = np.split(model.encode(question.pixels).embedding, 2)
    margins = [
        [side[n] / np.linalg.norm(side[n]) @ question.along[n] for n in range(3)]
        for side in (first, other)
    ]
    np.testing.assert_allclose(question.gaps(model), np.subtract(*margins), rtol=1e-4)


@pytest.mark.parametrize("name", ["embedded", "embedded-clip"])
def test_what_was_measured_is_there_for_every_head(name):
    own = load(name, device="cpu")
    table = retraining.read(own)
    assert table.dims == ("pair", "property", "head")
    assert table.sizes["pair"] == len(retraining.PAIRS)
    assert sorted(table["property"].values) == sorted(retraining.NAMES)
    assert sorted(table["head"].values) == sorted(heads_of(own, own.layers))
    assert np.isfinite(table).all()


def test_nothing_was_measured_of_other_models_or_earlier_steps(model):
    assert retraining.read(replace(model, pretrained="304")) is None
    assert retraining.read(replace(model, name="ViT-B-32")) is None


def test_all_properties_but_the_number_can_be_left_out():
    assert set(PROPERTIES) - set(retraining.NAMES) == {"count"}
