"""What holds of scores, statistics and decompositions whatever the numbers, by hypothesis."""

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from open_clip.transformer import VisionTransformer

from helpers import ties
from helpers.analysis import dissection, proximity, scores, statistics
from helpers.analysis.maps import intersection_over_union
from helpers.analysis.order import rank_augmentations
from helpers.analysis.statistics import false_discovery_rates, mean_with_interval
from helpers.clip.decomposition import Encoding, Readout
from helpers.clip.forward import forward
from helpers.clip.towers import open_tower
from helpers.data import AUGMENTATIONS
from tests.test_clip_towers import random, relative_error

SEEDS = st.integers(0, 2**32 - 1)
SYMMETRIC = [name for name in scores.SCORES if name != "detail_similarity"]
CLOSEST = {"l2_distance": 0.0}
SHAPES = {"embedding": (7,), "attention": (5, 6), "pixels": (16, 17, 3)}

quickly = settings(max_examples=15, deadline=None, database=None, derandomize=True)
finite = st.floats(-1e3, 1e3, width=32)


@st.composite
def pairs(draw, needs):
    """Originals and augmented sides of some images, of one colour, of two, or random."""
    rng = np.random.default_rng(draw(SEEDS))
    count = draw(st.integers(1, 4))
    levels = draw(st.sampled_from([1, 2, 256]))
    drawn = rng.integers(0, levels, (2, count, *SHAPES[needs]))
    if needs == "pixels":
        return (drawn * (255 // max(1, levels - 1))).astype(np.uint8)
    return drawn / levels if needs == "attention" else drawn - levels / 3


@st.composite
def samples(draw):
    """A score of some images under some augmentations; with ties, and perhaps undefined values."""
    shape = draw(array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6))
    elements = st.one_of(finite, st.sampled_from([0.0, 1.0, 1.0 + 1e-9]), st.just(np.nan))
    values = draw(arrays(np.float64, shape, elements=elements))
    coords = {"image": np.arange(shape[0]), "augmentation": list(AUGMENTATIONS)[: shape[1]]}
    return xr.DataArray(values, dims=("image", "augmentation"), coords=coords)


# Scores


@pytest.mark.parametrize("name", scores.SCORES)
def test_scores_keep_to_their_range_and_know_the_same(name):
    row = scores.SCORES[name]

    @quickly
    @given(pairs(row.needs))
    def check(sides):
        one, other = sides
        found, same = row.function(one, other), row.function(one, one)
        known = found[~np.isnan(found)]
        low, high = (0, np.inf) if name in CLOSEST else (-1 if row.needs == "embedding" else 0, 1)
        assert (known >= low).all()
        assert (known <= high).all()
        np.testing.assert_allclose(same[~np.isnan(same)], CLOSEST.get(name, 1.0), atol=1e-9)
        if name in SYMMETRIC:
            np.testing.assert_allclose(found, row.function(other, one), atol=1e-9)

    check()


@pytest.mark.parametrize("name", scores.SCORES)
def test_scores_do_not_depend_on_batch_or_order(name):
    row = scores.SCORES[name]

    @quickly
    @given(pairs(row.needs), SEEDS)
    def check(sides, seed):
        one, other = sides
        order = np.random.default_rng(seed).permutation(len(one))
        together = row.function(one, other)
        np.testing.assert_array_equal(row.function(one[order], other[order]), together[order])
        alone = [row.function(*pair) for pair in zip(one, other, strict=True)]
        np.testing.assert_array_equal(alone, together)

    check()


@quickly
@given(arrays(np.float64, (3, 6), elements=finite))
def test_distances_keep_the_triangle_inequality(points):
    ab, bc, ac = (scores.l2_distance(points[i], points[j]) for i, j in ((0, 1), (1, 2), (0, 2)))
    assert ac <= ab + bc + 1e-9


@quickly
@given(arrays(np.float64, (2, 4, 4), elements=finite))
def test_attention_maps_lie_between_0_and_1(grids):
    maps = scores.attention_map(grids, 9)
    assert maps.min() == 0
    constant = np.ptp(grids, axis=(1, 2)) == 0
    np.testing.assert_allclose(maps.max(axis=(1, 2)), np.where(constant, 0, 1))


@quickly
@given(arrays(bool, (2, 5, 6)))
def test_overlap_is_symmetric_and_whole_with_itself(regions):
    one, other = regions
    found = intersection_over_union(one, other)
    np.testing.assert_array_equal(found, intersection_over_union(other, one))
    assert np.isnan(found) == (not regions.any())
    assert np.isnan(found) or 0 <= found <= 1
    assert not one.any() or intersection_over_union(one, one) == 1


# Statistics


@quickly
@given(samples(), SEEDS)
def test_means_lie_in_their_intervals_and_do_not_depend_on_the_order_of_images(values, seed):
    table = mean_with_interval(values)
    assert table["n"].tolist() == values.notnull().sum("image").values.tolist()
    known = table[table["n"] > 0]
    low, high = values.min("image").to_series(), values.max("image").to_series()
    assert (known["mean"] >= low[known.index] - 1e-9).all()
    assert (known["mean"] <= high[known.index] + 1e-9).all()
    certain = table.dropna()
    assert (certain["low"] <= certain["high"]).all()
    assert (certain["low"] >= low[certain.index] - 1e-9).all()
    assert (certain["high"] <= high[certain.index] + 1e-9).all()
    shuffled = values.isel(image=np.random.default_rng(seed).permutation(values.sizes["image"]))
    again = mean_with_interval(shuffled)
    np.testing.assert_allclose(again[["mean", "sd", "n"]], table[["mean", "sd", "n"]], atol=1e-9)


@quickly
@given(samples())
def test_ranks_are_those_of_the_opposite_score_and_shares_sum_to_1(values):
    closer = rank_augmentations(values, higher_is_closer=True)
    further = rank_augmentations(-values, higher_is_closer=False)
    names = closer.table.index
    np.testing.assert_array_equal(closer.table["rank"], further.table["rank"][names])
    defined = values.notnull().all("image").values
    if values.sizes["image"] > 1 and defined.all():
        np.testing.assert_allclose(closer.distribution.sum(axis=1), 1)
        assert 0 <= closer.order_agreement <= 1


@quickly
@given(samples())
def test_paired_differences_change_sign_with_the_pair(values):
    assume(values.sizes["augmentation"] > 1 and values.notnull().all("augmentation").any())
    table = statistics.paired_differences(values)
    turned = statistics.paired_differences(values.isel(augmentation=slice(None, None, -1)))
    turned = turned.set_index(["second", "first"])
    for row in table.itertuples():
        other = turned.loc[(row.first, row.second)]
        assert other["mean"] == pytest.approx(-row.mean, abs=1e-9)
        assert other["p"] == pytest.approx(row.p, abs=1e-9, nan_ok=True)
        assert np.isnan(row.p) or 0 <= row.p <= row.q <= 1


@quickly
@given(arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1) | st.just(np.nan)))
def test_false_discovery_rates_keep_the_order_and_are_no_smaller(p):
    rates = false_discovery_rates(p)
    known = ~np.isnan(p)
    np.testing.assert_array_equal(np.isnan(rates), ~known)
    assert (rates[known] >= p[known] - 1e-12).all()
    assert (rates[known] <= 1).all()
    assert (np.diff(rates[known][np.argsort(p[known])]) >= -1e-12).all()


@quickly
@given(arrays(np.float64, st.integers(1, 8), elements=finite))
def test_tied_values_are_merged_once_and_the_first_of_the_largest_is_taken(values):
    merged = ties.merged(values)
    np.testing.assert_array_equal(ties.merged(merged), merged)
    assert (merged >= values).all()
    first = ties.first_largest(values)
    assert values[first] >= values.max() - ties.TOLERANCE * np.abs(values).max()
    assert sorted(ties.largest_first(values)) == list(range(len(values)))


@quickly
@given(arrays(np.float64, (3, 4, 5), elements=finite), SEEDS)
def test_distances_to_cluster_do_not_depend_on_the_order_of_images(embeddings, seed):
    assume((np.linalg.norm(embeddings, axis=-1) > 1e-3).all())
    found = proximity.mean_cosine_distance(embeddings)
    order = np.random.default_rng(seed).permutation(len(embeddings))
    np.testing.assert_allclose(proximity.mean_cosine_distance(embeddings[order]), found)
    np.testing.assert_array_equal(found, found.T)
    assert (found >= 0).all()
    assert (found <= 2).all()
    assert not np.diagonal(found).any()


# Decompositions


@quickly
@given(
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([0.0, 1e-9, 1.0, 1e6]),
    SEEDS,
)
def test_shares_of_random_components_sum_to_1(images, layers, heads, size, seed):
    labels = dissection.component_labels(layers, heads)
    rng = np.random.default_rng(seed)
    original, change = rng.normal(size=(2, images, 1, len(labels), 6))
    found = dissection.shift_shares(original, original + size * change)
    np.testing.assert_allclose(found.sum(axis=-1), float(size > 1e-6), atol=1e-6)
    together = xr.DataArray(
        found,
        dims=("image", "augmentation", "component"),
        coords={"augmentation": ["noise"], "component": labels},
    )
    by_part = dissection.part_shares(together)
    np.testing.assert_allclose(by_part.sum("part"), together.sum("component"), atol=1e-9)
    one = dissection.shift_shares(original[:1], original[:1] + size * change[:1])
    np.testing.assert_array_equal(one, found[:1])


POOLS = (
    {},
    {"pool_type": "avg"},
    {"pool_type": "avg", "final_ln_after_pool": True},
    {"attentional_pool": True, "attn_pooler_queries": 3},
)


@st.composite
def towers(draw):
    """A vision transformer of any small shape, with weights that all matter."""
    heads, layers = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    width, grid = heads * draw(st.sampled_from([2, 8])), draw(st.integers(1, 3))
    options = draw(st.sampled_from(POOLS)) | {
        "ls_init_value": draw(st.sampled_from([None, 0.3])),
        "no_ln_pre": draw(st.booleans()),
    }
    torch.manual_seed(draw(SEEDS))
    return random(
        VisionTransformer(4 * grid, 4, width, layers, heads, 2.0, output_dim=16, **options)
    )


@settings(quickly, max_examples=25)
@given(towers(), st.integers(1, 3))
def test_every_small_tower_is_the_sum_of_its_parts(visual, count):
    size = visual.image_size[0]
    images = torch.randn(count, 3, size, size)
    with torch.inference_mode():
        tower = open_tower(visual)
        encoding = Encoding(forward(tower, images, by_token=True), Readout(tower))
        turned = Encoding(forward(tower, images.flip(0), by_token=True), Readout(tower))
        expected = visual(images).numpy()
    assert relative_error(encoding.embedding, expected) <= 1e-4
    assert relative_error(encoding.total(), expected) <= 1e-4
    assert relative_error(turned.heads[::-1], encoding.heads) <= 1e-4
    assert relative_error(encoding.tokens_of_heads().sum(3), encoding.heads) <= 1e-4
    np.testing.assert_allclose(encoding.attention.sum((-2, -1)) <= 1 + 1e-5, True)
