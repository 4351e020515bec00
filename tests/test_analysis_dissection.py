"""Shares, groups of shares, which heads respond, and how alike profiles are."""

import numpy as np
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
    grid = dissection.head_shares(shares)
    assert grid.sizes == {"image": 2, "augmentation": 3, "layer": 12, "head": 11}
    for layer, head in [(0, 0), (2, 10), (11, 9)]:
        expected = shares.sel(component=f"L{layer}.H{head}")
        np.testing.assert_array_equal(grid.sel(layer=layer, head=head), expected)
    named = dissection.named_heads(grid)
    expected = shares.sel(component=named["component"].values)
    xr.testing.assert_equal(named.drop_attrs(), expected.drop_attrs())
