"""Shares and their sums, the depth they are written at, and mean ablation, against plain loops."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers.analysis import dissection
from helpers.analysis.dissection import component_labels, shift_shares
from helpers.checks import WorkbookError
from helpers.clip import load
from helpers.data import AUGMENTATIONS, views
from helpers.data.scenes import scene

NAMES = list(AUGMENTATIONS)
AXES = ("image", "augmentation", "component")
CHANGES = ["noise", "blur"]
PARTS = ["class token", "L0.attention", "L0.MLP", "L1.attention", "L1.MLP", "constant"]
PART_AXES = ("image", "part", "feature")


def as_shares(values, labels):
    coords = {"augmentation": NAMES[: values.shape[1]], "component": labels}
    return xr.DataArray(values, dims=AXES, coords=coords)


@pytest.fixture
def heads():
    """Shares of six heads under three augmentations; L0.H1 is for the second, L1.H0 for all."""
    values = np.random.default_rng(2).normal(0, 0.01, (40, 3, 6))
    values[..., 3] += 0.2
    values[:, 1, 1] += 0.1
    return as_shares(values, [f"L{layer}.H{head}" for layer in range(2) for head in range(3)])


@pytest.fixture(scope="module")
def model():
    return load("embedded", device="cpu")


@pytest.mark.parametrize("severity", [1.0, 0.0])
def test_shares_of_every_augmentation_sum_to_one_or_are_zero(model, severity):
    drawn = views(scene(3).pixels, "scene-3", severity=severity)
    original, *augmented = (pixels[None] for pixels in drawn.values())
    found = dissection.shares(model.encode(original), model.encode(np.concatenate(augmented)))
    moved = [(pixels != original).any() for pixels in augmented]
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum("component"), moved, atol=1e-5)
    assert (found.values[~np.array(moved)] == 0).all()


def test_an_image_beside_itself_has_no_shift(model):
    encoding = model.encode(scene(0).pixels[None])
    assert (dissection.shares(encoding, encoding) == 0).all()


def test_shares_equal_the_formula_in_plain_loops():
    rng = np.random.default_rng(0)
    original, augmented = rng.normal(size=(2, 4, 5, 7))
    for image in range(4):
        change = augmented[image] - original[image]
        shift = change.sum(0)
        expected = [sum(part * shift) / sum(shift * shift) for part in change]
        found = shift_shares(original, augmented)[image]
        np.testing.assert_allclose(found, expected)
        assert found.sum() == pytest.approx(1)


def test_encodings_of_different_models_do_not_match(model, untrained, pixels):
    with pytest.raises(WorkbookError, match="don't match"):
        dissection.shares(model.encode(pixels), untrained.encode(pixels))


def test_parts_add_up_what_belongs_to_a_layer():
    labels = component_labels(12, 2)
    values = np.random.default_rng(0).random((2, 3, len(labels)))
    parts = dissection.part_shares(as_shares(values, labels))
    assert parts["part"].values[[0, 1, 20, 23, 24]].tolist() == [
        "L0 heads",
        "L0 MLP",
        "L10 heads",
        "L11 MLP",
        "rest",
    ]
    by_label = dict(zip(labels, values[1, 2], strict=True))
    own = parts.isel(image=1, augmentation=2)
    assert own.sel(part="L10 heads").item() == pytest.approx(
        by_label["L10.H0"] + by_label["L10.H1"]
    )
    assert own.sel(part="L2 MLP").item() == pytest.approx(by_label["L2.MLP"])
    rest = [share for label, share in by_label.items() if "H" not in label and "MLP" not in label]
    assert own.sel(part="rest").item() == pytest.approx(sum(rest))
    np.testing.assert_allclose(parts.sum("part"), values.sum(-1))


def test_a_pool_with_an_mlp_of_its_own_is_a_part():
    labels = component_labels(2, 2, ("pool", "constant"))
    values = np.random.default_rng(0).random((1, 1, len(labels)))
    parts = dissection.part_shares(as_shares(values, labels))
    assert parts["part"].values[-2:].tolist() == ["pool", "rest"]
    np.testing.assert_allclose(parts.values[0, 0, -2:], values[0, 0, -2:])


def test_heads_come_on_their_grid_and_back():
    labels = component_labels(12, 11)
    values = np.random.default_rng(0).random((2, 3, len(labels)))
    shares = as_shares(values, labels)
    grid = dissection.on_grid(shares)
    assert grid.sizes == {"image": 2, "augmentation": 3, "layer": 12, "head": 11}
    for layer, head in [(0, 0), (2, 10), (11, 9)]:
        expected = shares.sel(component=f"L{layer}.H{head}")
        np.testing.assert_array_equal(grid.sel(layer=layer, head=head), expected)
    named = dissection.named_heads(grid)
    expected = shares.sel(component=named["component"].values)
    xr.testing.assert_equal(named.drop_attrs(), expected.drop_attrs())


@pytest.fixture
def shares():
    labels = component_labels(3, 4)
    values = np.random.default_rng(2).dirichlet(np.ones(len(labels)), size=(30, 2))
    coords = {"augmentation": CHANGES, "component": labels}
    return xr.DataArray(values, dims=("image", "augmentation", "component"), coords=coords)


def test_every_layer_has_its_heads_and_mlp(shares):
    found = dissection.shares_by_layer(shares)
    own = [name for name in shares["component"].values if name.startswith("L1.")]
    assert found["layer"].values.tolist() == [0, 1, 2]
    expected = shares.sel(component=own).sum("component")
    np.testing.assert_allclose(found.sel(layer=1), expected.transpose(*found.sel(layer=1).dims))


def written_in(layer, images=20):
    """Shares that one layer's MLP carries, nearly all of them."""
    labels = component_labels(3, 2)
    rng = np.random.default_rng(layer)
    values = 0.01 * rng.random((images, len(labels)))
    values[:, labels.index(f"L{layer}.MLP")] = 1
    coords = {"component": labels, "image": np.arange(images)}
    return xr.DataArray(values, coords, ("image", "component"))


def test_the_mean_depth_is_where_a_difference_is_written():
    for layer, depth in ((0, 0), (1, 0.5), (2, 1)):
        np.testing.assert_allclose(dissection.mean_depth(written_in(layer)), depth, atol=0.05)


def test_no_shift_is_written_nowhere():
    assert dissection.mean_depth(0 * written_in(1)).isnull().all()


@pytest.mark.parametrize(("ordinary", "beyond"), [(2, 0), (0, 1)])
def test_training_is_held_against_what_it_does_to_any_difference(ordinary, beyond):
    def depths(shift, other):
        return {
            "shift": dissection.mean_depth(written_in(shift).expand_dims(augmentation=CHANGES)),
            "ordinary": dissection.mean_depth(written_in(other)),
        }

    table = dissection.later_than_untrained(depths(2, ordinary), depths(0, 0))
    assert table.loc["shift", "low"] > 0.9
    assert table.loc["beyond", "mean"] == pytest.approx(beyond, abs=0.1)


def test_without_an_ordinary_difference_nothing_is_said_of_training():
    one = written_in(1, images=1).expand_dims(augmentation=CHANGES)
    none = xr.DataArray([np.nan], {"image": [0]}, "image")
    side = {"shift": dissection.mean_depth(one), "ordinary": none}
    assert dissection.later_than_untrained(side, side).isna().all(axis=None)


def test_labels_of_images_are_no_obstacle_even_where_one_side_has_none():
    labels = {"class": ("image", [f"class {number % 3}" for number in range(20)])}
    shift = dissection.mean_depth(written_in(2).expand_dims(augmentation=CHANGES))
    ordinary = dissection.mean_depth(written_in(1))
    plain = {"shift": shift, "ordinary": ordinary}
    expected = dissection.later_than_untrained(plain, plain)
    for labelled in ({"shift"}, {"ordinary"}, {"shift", "ordinary"}):
        side = {n: own.assign_coords(labels) if n in labelled else own for n, own in plain.items()}
        pd.testing.assert_frame_equal(dissection.later_than_untrained(side, side), expected)


@pytest.fixture
def parts():
    return xr.DataArray(
        np.random.default_rng(0).normal(size=(20, 6, 5)), {"part": PARTS}, PART_AXES
    )


@pytest.fixture
def texts():
    vectors = np.random.default_rng(1).normal(size=(12, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = ["colour"] * 6 + ["shape"] * 4 + [""] * 2
    return xr.DataArray(vectors, {"property": ("text", names)}, ("text", "feature"))


def test_what_is_ablated_becomes_its_mean(parts):
    kept = ["L1.attention", "constant"]
    expected = np.zeros((20, 5))
    for number, name in enumerate(PARTS):
        for image in range(20):
            own = parts.values[image, number]
            expected[image] += own if name in kept else parts.values[:, number].mean(axis=0)
    np.testing.assert_allclose(dissection.mean_ablated(parts, kept), expected, rtol=1e-12)


def test_last_layers_are_kept_with_and_without_the_rest(parts):
    steps = dissection.last_layers(parts)
    embedding = parts.sum("part").values
    np.testing.assert_allclose(steps["everything else"][2], embedding)
    np.testing.assert_allclose(steps["nothing else"][0], np.tile(embedding.mean(axis=0), (20, 1)))
    last = dissection.mean_ablated(parts, ["L1.attention"])
    np.testing.assert_allclose(steps["nothing else"][1], last)
    early = embedding - steps["everything else"][1]
    own = parts.sel(part="L0.attention")
    np.testing.assert_allclose(early, own - own.mean("image"), atol=1e-12)


def test_attention_may_come_by_heads_and_bias(parts):
    split = (
        parts.values[:, [0, 1, 1, 1, 2, 3, 4, 5]]
        * np.array([1, 0.5, 0.3, 0.2, 1, 1, 1, 1])[:, None]
    )
    names = ["class token", "L0.H0", "L0.H1", "L0.bias", *PARTS[2:]]
    by_heads = dissection.last_layers(xr.DataArray(split, {"part": names}, PART_AXES))
    whole = dissection.last_layers(parts)
    for title in whole:
        for n in whole[title]:
            np.testing.assert_allclose(by_heads[title][n], whole[title][n], atol=1e-12)


def test_measures_of_an_ablation_that_leaves_all_or_nothing(parts, texts):
    embedding = parts.sum("part").values
    everything = dissection.remaining(embedding, embedding, texts, ["colour", "shape"])
    assert everything == pytest.approx({"variance": 1, "cosine": 1, "predictions": 1})
    mean = np.tile(embedding.mean(axis=0), (20, 1))
    nothing = dissection.remaining(embedding, mean, texts, ["colour", "shape"])
    assert nothing["variance"] == pytest.approx(0)
    assert nothing["predictions"] < 1
    against = dissection.remaining(embedding, -embedding, texts, ["colour"])
    assert against["variance"] == pytest.approx(-3)
    assert against["cosine"] == pytest.approx(-1)


def test_equal_images_and_pools_without_properties_leave_nothing_to_measure(texts):
    alike = np.ones((4, 5))
    left = dissection.remaining(alike, alike, texts, [])
    assert np.isnan([left["variance"], left["predictions"]]).all()
