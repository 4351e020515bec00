"""Probes find what is planted, and nothing where nothing is."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis import probes
from helpers.checks import WorkbookError

IMAGES = 150


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
