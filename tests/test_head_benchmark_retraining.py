import numpy as np
import pytest
import torch

from helpers.checks import WorkbookError
from helpers.clip import load
from helpers.data.scenes import PROPERTIES, scene
from helpers.data.scenes.captions import full_caption
from helpers.head_benchmark import retraining
from helpers.head_benchmark.methods import heads_of


@pytest.fixture(scope="module")
def model():
    return load("embedded", device="cpu")


@pytest.fixture(scope="module")
def retrained(model):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retraining, "STEPS", 2)
        return retraining.retrain(model, (retraining.NOTHING, "colour"), training=0)


def vision_weights(model):
    return model.clip.visual.state_dict()


@pytest.mark.parametrize("name", retraining.LEFT_OUT)
def test_captions_leave_out_a_property_and_nothing_else(name):
    one = scene(3, count="one")
    told = full_caption(one.objects, one.medium, one.background, np.random.default_rng(0))
    everything = {"medium": one.medium, "background": one.background, **one.objects[0]}
    words = {key: everything[key] for key in retraining.LEFT_OUT}
    written = retraining.without(told, name)
    for key, value in words.items():
        assert (value in written) == (key != name), written


def test_the_control_leaves_out_nothing_more():
    one = scene(3, count="two")
    told = full_caption(one.objects, one.medium, one.background, np.random.default_rng(0))
    written = retraining.without(told, retraining.NOTHING)
    everything = [*told.scene.values(), *(v for item in told.objects for v in item.values())]
    assert all(value in written for value in everything)


def test_scenes_are_the_recipes_own_and_new_in_each_training(monkeypatch):
    monkeypatch.setattr(retraining, "STEPS", 1)
    for name in ("embedded", "embedded-clip"):
        (one,), (other,) = (list(retraining.batches(name, training)) for training in (0, 1))
        assert 0 < len(one) <= retraining.PICTURES
        assert not any(np.array_equal(one[0].pixels, each.pixels) for each in other)


def test_all_walk_equally_far_in_what_heads_own_alone(model, retrained, monkeypatch):
    monkeypatch.setattr(retraining, "STEPS", 1)
    (one,) = retraining.retrain(model, ["shape"], training=0)
    before, after = vision_weights(model), vision_weights(one)
    moved = {key: (after[key] - before[key]).square().sum().item() for key in before}
    owned = {key for key in before if ".attn." in key and not key.endswith("out_proj.bias")}
    assert {key for key, value in moved.items() if value} <= owned
    assert sum(moved.values()) ** 0.5 == pytest.approx(retraining.LENGTH, rel=1e-3)
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


def test_what_is_lost_is_lost_beyond_the_control(model, retrained):
    control, own = retrained
    question, heads = retraining.Question.drawn(model, "colour", range(3)), ["L3.H2", "L5.H1"]
    found = retraining.unlearnt(model, own, control, question, heads)
    assert found.columns.tolist() == [*heads, retraining.ALL_HEADS]
    whole = (question.gaps(control) - question.gaps(own)) / question.gaps(model).mean()
    np.testing.assert_allclose(found[retraining.ALL_HEADS], whole)
    assert (found.abs().max() > 0).all()
    assert (retraining.unlearnt(model, own, own, question, heads) == 0).all(axis=None)


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
    table = retraining.read(name)
    assert dict(table.sizes) == {"training": 2, "pair": 24, "property": 7, "head": 37}
    assert set(table["property"].values) == set(retraining.LEFT_OUT)
    assert set(table["head"].values) == {*heads_of(own, own.layers), retraining.ALL_HEADS}
    assert np.isfinite(table).all()


def test_a_table_of_other_weights_is_refused(monkeypatch):
    monkeypatch.setattr(retraining.weights, "fingerprint", lambda *_: "0")
    with pytest.raises(WorkbookError, match="measured with other weights of embedded"):
        retraining.read("embedded")


def test_all_properties_but_the_number_can_be_left_out():
    assert set(PROPERTIES) - set(retraining.LEFT_OUT) == {"count"}
