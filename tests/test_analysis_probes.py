"""Probes, weights and misled probes find what is planted, and nothing where nothing is."""

import numpy as np
import pytest
import torch
import xarray as xr

from helpers.analysis import probes
from helpers.checks import WorkbookError
from helpers.clip import load
from tests.conftest import UNTRAINED

IMAGES = 150
LAYERS, HEADS, ROWS, FEATURES, PICTURES = 2, 3, 8, 40, 60
TEXTS = ["red", "blue", "green", "left", "right", "middle", "large", "small", "tiny"]
PROPERTIES = ["colour"] * 3 + ["position"] * 3 + ["size"] * 3


@pytest.fixture
def attributes():
    rng = np.random.default_rng(0)
    return {
        "colour": rng.choice(["red", "green", "blue"], IMAGES),
        "size": rng.choice(["small", "large"], IMAGES),
    }


@pytest.fixture
def heads(attributes):
    """Head 0 varies with colour, head 1 with size and a trace of colour, head 2 with nothing."""
    rng = np.random.default_rng(1)
    data = 0.05 * rng.normal(size=(IMAGES, 1, 3, 6))
    colours = np.unique(attributes["colour"], return_inverse=True)[1]
    data[:, 0, 0, :3] += np.eye(3)[colours]
    data[:, 0, 1, :3] += 0.3 * np.eye(3)[colours]
    data[:, 0, 1, 4] += 3 * (attributes["size"] == "large")
    coords = {"layer": [5], "head": [0, 1, 2]}
    return xr.DataArray(data, coords, ("image", "layer", "head", "feature"))


def test_a_trace_can_be_read_and_is_little_of_the_variance(heads, attributes):
    skill = probes.probe_skill(heads, attributes)[0]
    share = probes.variance_between(heads, attributes)[0]
    assert skill.sel(head=0, attribute="colour") > 0.95
    assert skill.sel(head=1).min() > 0.95
    assert share.sel(head=0, attribute="colour") > 0.9
    assert share.sel(head=1, attribute="size") > 0.9
    assert share.sel(head=1, attribute="colour") < 0.1
    assert abs(skill.sel(head=2)).max() < 0.25
    assert abs(share.sel(head=2)).max() < 0.03
    assert probes.strongest(share.expand_dims("layer")).values[0, :2].tolist() == ["colour", "size"]


def test_shuffled_attributes_cannot_be_read(heads, attributes):
    rng = np.random.default_rng(2)
    shuffled = {name: rng.permutation(values) for name, values in attributes.items()}
    assert abs(probes.probe_skill(heads, shuffled)).max() < 0.25


def test_shares_are_an_analysis_of_variance(heads, attributes):
    values, data = attributes["colour"], heads.values[:, 0, 0]
    within = sum(
        np.square(data[values == name] - data[values == name].mean(axis=0)).sum()
        for name in np.unique(values)
    )
    total = np.square(data - data.mean(axis=0)).sum()
    expected = 1 - (within / (IMAGES - 3)) / (total / (IMAGES - 1))
    share = probes.variance_between(heads, {"colour": values})
    assert share.values[0, 0, 0] == pytest.approx(expected)


def test_a_head_that_does_not_vary_has_no_share_and_no_strongest(heads, attributes):
    heads[:, 0, 2] = 1.0
    share = probes.variance_between(heads, attributes)
    assert np.isnan(share[0, 2]).all()
    assert probes.strongest(share).values[0, 2] == ""


def test_heads_are_taken_out_of_components():
    names = ["L0.H0", "L0.H1", "L1.H0", "L1.H1", "L0.MLP", "class token", "L1.bias"]
    data = np.arange(2 * 7 * 3).reshape(2, 7, 3)
    components = xr.DataArray(data, {"component": names}, ("image", "component", "feature"))
    heads = probes.by_head(components)
    assert heads.dims == ("image", "layer", "head", "feature")
    np.testing.assert_array_equal(heads.values.reshape(2, 4, 3), data[:, :4])
    np.testing.assert_array_equal(heads.sel(layer=1, head=0), data[:, 2])


def test_agreement_is_counted_against_shuffled_names():
    names = np.array([["a", "a", "b"], ["b", "c", "c"]])
    same = probes.agreement(names, names)
    assert (same.heads, same.agreeing, same.rate) == (6, 6, 1)
    # Of 6!/(2! 2! 2!) = 90 orders, one agrees everywhere; each head agrees in a third of them.
    assert same.p == pytest.approx(1 / 90, abs=0.004)
    assert same.chance == pytest.approx(1 / 3, abs=0.01)
    none = probes.agreement(names, np.full_like(names, "d"))
    assert (none.rate, none.p) == (0, 1)


def test_names_that_are_all_alike_prove_nothing():
    alike = probes.agreement(["a"] * 5, ["a"] * 5)
    assert (alike.rate, alike.chance, alike.p) == (1, 1, 1)


@pytest.mark.parametrize(
    "values, message",
    [
        (["a", "b"] * 10, "has 20 values for 150 images"),
        (["a"] * IMAGES, "1 different values"),
        (["a"] * (IMAGES - 1) + ["b"], "the value 'b' in 1 images"),
    ],
)
def test_bad_attributes_are_told(heads, values, message):
    with pytest.raises(WorkbookError, match=message):
        probes.probe_skill(heads, {"colour": values})


def test_names_of_different_heads_are_told():
    with pytest.raises(WorkbookError, match=r"shape \(2,\) and \(3,\)"):
        probes.agreement(["a", "b"], ["a", "b", "c"])


def test_shares_of_answers_equal_a_plain_loop_and_add_up():
    rng = np.random.default_rng(4)
    axes = ("image", "layer", "head", "feature")
    parts = xr.DataArray(rng.normal(size=(30, 1, 3, 5)), {"layer": [2], "head": [0, 1, 2]}, axes)
    whole, prompts = parts.sum(("layer", "head")), {"colour": rng.normal(size=(4, 5))}
    found = probes.share_of_answers(parts, whole, prompts)
    scores = np.zeros((3, 30, 4))
    for image in range(30):
        length = np.linalg.norm(whole.values[image])
        for head in range(3):
            for value in range(4):
                own = parts.values[image, 0, head] @ prompts["colour"][value] / length
                scores[head, image, value] = own
    scores -= scores.mean(axis=2, keepdims=True)
    scores -= scores.mean(axis=1, keepdims=True)
    total = scores.sum(axis=0)
    expected = [(one * total).sum() / (total**2).sum() for one in scores]
    np.testing.assert_allclose(found.sel(layer=2, attribute="colour"), expected, rtol=1e-4)
    assert found.sum().item() == pytest.approx(1, abs=1e-5)


def test_a_head_that_alone_tells_a_property_accounts_for_all_its_answers():
    parts = np.zeros((40, 1, 2, 4))
    parts[np.arange(40), 0, 0, np.arange(40) % 2] = 1
    parts[np.arange(40), 0, 1, 2 + np.arange(40) // 20] = 1
    axes = ("image", "layer", "head", "feature")
    parts = xr.DataArray(parts, {"layer": [0], "head": [0, 1]}, axes)
    prompts = {"colour": np.eye(4)[:2], "shape": np.eye(4)[2:]}
    found = probes.share_of_answers(parts, parts.sum(("layer", "head")), prompts)
    np.testing.assert_allclose(found[0], np.eye(2), atol=1e-6)


@pytest.fixture
def texts():
    values = np.random.default_rng(1).normal(size=(len(TEXTS), FEATURES))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    coords = {"text": TEXTS, "property": ("text", PROPERTIES)}
    return xr.DataArray(values, coords, ("text", "feature"))


@pytest.fixture
def planted(texts):
    """Weights of heads each of which writes one text most strongly, and which text."""
    rng = np.random.default_rng(0)
    weights = 0.05 * rng.normal(size=(LAYERS, HEADS, ROWS, FEATURES))
    chosen = np.arange(LAYERS * HEADS).reshape(LAYERS, HEADS) + 1
    atoms = (texts - texts.mean("text")).values
    for place, text in np.ndenumerate(chosen):
        weights[place] += np.outer(rng.normal(size=ROWS), atoms[text])
    return weights, chosen


def contributions(weights, rng):
    """What heads of these weights write when all rows are excited alike."""
    excited = rng.normal(size=(PICTURES, LAYERS, HEADS, ROWS))
    values = np.einsum("ilhr,lhrf->ilhf", excited, weights)
    coords = {"layer": [4, 5], "head": np.arange(HEADS)}
    return xr.DataArray(values, coords, ("image", "layer", "head", "feature"))


def test_the_text_that_a_head_writes_is_named_from_its_weights(planted, texts):
    weights, chosen = planted
    found = probes.leading_directions(weights)
    assert (found["strength"][:, :, 0] > 0.5).all() and int(found["dimensions"]) == ROWS
    sums = probes.in_texts(found["direction"], texts)
    assert (sums >= 0).all()
    table = probes.first_texts(sums)
    for (layer, head), text in np.ndenumerate(chosen):
        assert TEXTS[text] in table.loc[f"L{layer}.H{head}"].to_list()[0].split(", ")[0]
    expected = np.array(PROPERTIES)[chosen]
    names = probes.properties_written(sums, found["strength"])
    assert names.values.tolist() == expected.tolist()


def test_a_direction_has_no_sign_of_its_own(planted, texts):
    weights, _ = planted
    found = probes.leading_directions(weights)["direction"]
    one, other = (probes.in_texts(own, texts) for own in (found, -found))
    xr.testing.assert_allclose(one, other)


def test_heads_vary_in_their_own_directions_more_than_in_others(planted):
    weights, _ = planted
    heads = contributions(weights, np.random.default_rng(2))
    shares = probes.variance_within(heads, probes.leading_directions(weights))
    assert shares.index.tolist() == [f"L{layer}.H{head}" for layer in (4, 5) for head in range(3)]
    assert (shares["own"] > 0.8).all() and (shares["others"] < 0.4).all()
    assert (shares["even"] == 3 / ROWS).all()
    means = probes.mean_shares(shares)
    assert means.loc["beyond", "low"] > 0.3
    assert means.loc["own", "mean"] == pytest.approx(shares["own"].mean())


def test_weights_of_other_heads_hold_no_more_than_others_do(planted):
    weights, _ = planted
    heads = contributions(weights, np.random.default_rng(2))
    mixed = probes.leading_directions(np.roll(weights, 1, axis=1))
    means = probes.mean_shares(probes.variance_within(heads, mixed))
    assert means.loc["beyond", "low"] < 0.1


def test_heads_that_do_not_vary_have_no_share(planted):
    weights, _ = planted
    heads = contributions(weights, np.random.default_rng(2))
    found = probes.leading_directions(weights)
    for still in (heads * 0, heads[:1]):
        shares = probes.variance_within(still, found)
        assert shares["own"].isna().all()
        assert probes.mean_shares(shares).isna().all(axis=None)


def test_with_no_text_near_a_head_has_no_name(texts):
    nothing = xr.DataArray(np.zeros((1, 1, 2, FEATURES)), dims=("layer", "head", "rank", "feature"))
    nothing = nothing.assign_coords(layer=[0], head=[0], rank=[0, 1])
    sums = probes.in_texts(nothing, texts)
    strength = xr.DataArray([[[0.7, 0.2]]], dims=("layer", "head", "rank"))
    assert probes.properties_written(sums, strength).item() == ""
    assert probes.first_texts(sums).loc["L0.H0"].tolist() == ["", ""]


@pytest.mark.parametrize("name", ["embedded", UNTRAINED])
def test_weights_are_those_of_the_value_and_output_matrices(name):
    model = load(name, device="cpu")
    visual, size = model.clip.visual, model.head_width
    found = model.head_weights(2)
    assert found.shape == (2, model.heads, size, model.features)
    block = visual.transformer.resblocks[-1]
    value = block.attn.in_proj_weight.double().chunk(3)[2]
    for head in (0, model.heads - 1):
        part = slice(head * size, (head + 1) * size)
        reading = torch.diag(block.ln_1.weight.double()) @ value[part].T
        reading = reading - reading.mean(dim=0)  # the norm takes the mean off what is read
        writing = block.attn.out_proj.weight.double()[:, part].T
        writing = writing - writing.mean(dim=1, keepdim=True)
        writing = writing * visual.ln_post.weight.double() @ visual.proj.double()
        product = (reading @ writing).detach().numpy()
        own = found[-1, head].astype(float)
        scale = np.abs(product.T @ product).max()
        np.testing.assert_allclose(own.T @ own, product.T @ product, rtol=0, atol=1e-5 * scale)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def misled(rng, images=400, features=12):
    """A task in which head 0 writes an attribute that goes with the class, and little else does."""
    learning = np.arange(images) < images // 2
    label = rng.random(images) < 0.5
    group = np.where(learning & (rng.random(images) < 0.97), label, rng.random(images) < 0.5)
    heads = 0.1 * rng.normal(size=(images, 6, features))
    heads[:, 0, 0] += 6 * group
    embeddings = heads.sum(axis=1) + 0.5 * rng.normal(size=(images, features))
    embeddings[:, 1] += 1.2 * label
    names = (np.where(label, "yes", "no"), np.where(group, "with", "without"))
    return probes.ProbeTask(embeddings, heads, *names, learning)


def test_the_head_that_writes_the_attribute_is_found_and_ablating_it_helps(rng):
    task = misled(rng)
    learned = task.learning
    varying = probes.between_groups(task.heads[learned], task.label[learned], task.group[learned])
    order = np.argsort(-varying)
    assert order[0] == 0
    asked = ~learned
    sides = (task.label[asked], task.group[asked])
    first = probes.worst_group(probes.answered_without(task, order), *sides)
    last = probes.worst_group(probes.answered_without(task, order[::-1]), *sides)
    assert first.loc[1, "low"] > first.loc[0, "high"]
    judged = probes.judged_ablation({"contribution": first, probes.AT_RANDOM: last})
    assert judged.loc["contribution", "helps"]
    assert not judged.loc[probes.AT_RANDOM, "helps"]


def test_the_worst_group_is_the_smallest_accuracy():
    label = np.array(["a", "a", "b", "b"])
    group = np.array(["x", "y", "x", "y"])
    right = np.array([[1, 1, 0, 1]])
    found = probes.worst_group(right, label, group)
    assert found.loc[0, "mean"] == 0
    assert found.loc[0, "all"] == 0.75
