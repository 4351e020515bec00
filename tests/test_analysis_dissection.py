"""Shares, groups of shares, which heads respond, and how alike profiles are."""

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


def test_heads_are_described_by_their_first_texts():
    readings = xr.Dataset(
        {
            "property": (("layer", "head"), np.array([["colour", "shape"]], dtype=object)),
            "text": (("layer", "head", "choice"), np.array([[[2, 0, 1], [1, 2, 0]]])),
        },
        coords={"layer": [3], "head": [0, 1]},
    )
    table = dissection.describe_heads(readings, ["a", "b", "c"])
    expected = pd.DataFrame(
        {"property": ["colour", "shape"], "texts": ["c · a", "b · c"]},
        index=pd.Index(["L3.H0", "L3.H1"], name="head"),
    )
    pd.testing.assert_frame_equal(table, expected, check_dtype=False)


def heads_with_means(means, images=60, spread=0.01):
    """Shares of heads that have the given means over images, (augmentations, heads)."""
    noise = np.random.default_rng(0).normal(0, spread, (images, *np.shape(means)))
    noise -= noise.mean(axis=0)
    coords = {
        "augmentation": list(AUGMENTATIONS)[: len(means)],
        "component": [f"L0.H{head}" for head in range(len(means[0]))],
    }
    return xr.DataArray(np.array(means) + noise, dims=("image", *coords), coords=coords)


def test_the_head_with_the_largest_mean_share_leads():
    table = dissection.leading_heads(heads_with_means([[0.1, 0.5, 0.2], [0.3, 0.1, 0.29998]]))
    assert table["head"].tolist() == ["L0.H1", "L0.H0"]
    np.testing.assert_allclose(table["mean"], [0.5, 0.3])
    np.testing.assert_allclose(table["second"], [0.2, 0.29998])
    assert (table["low"] < table["mean"]).all() and (table["mean"] < table["high"]).all()
    assert table["stays"].iloc[0] == 1 and 0.2 < table["stays"].iloc[1] < 0.8


def test_of_heads_with_nearly_the_same_share_the_earlier_leads():
    heads = heads_with_means([[0.1, 0.3, 0.3 + 2e-6]], spread=0)
    assert dissection.leading_heads(heads)["head"].tolist() == ["L0.H1"]


def test_every_image_counts_equally_for_a_leader():
    shares = heads_with_means([[0.0, 0.0]], images=3, spread=0)
    shares[:, 0] = np.array([[0.9, 0.1], [0.1, 0.3], [0.1, 0.3]])
    assert dissection.leading_heads(shares)["head"].item() == "L0.H0"


def test_without_a_shift_no_head_leads_and_one_image_has_no_interval():
    table = dissection.leading_heads(heads_with_means([[0.0, 0.0]], spread=0))
    assert table["head"].item() == "" and table["mean"].item() == 0
    one = dissection.leading_heads(heads_with_means([[0.2, 0.1]])[:1])
    assert one[["low", "high", "stays"]].isna().all(axis=None)
