"""Every score against loops written from the equations of arXiv 2503.23495, A.1."""

import math
import time

import numpy as np
import pytest
import torch
from scipy.spatial import distance

from helpers.analysis import scores
from helpers.checks import WorkbookError

RTOL = 1e-6
PIXEL_SCORES = [row for row in scores.SCORES.values() if row.needs == "pixels"]


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def pair(rng):
    """An image with a uniform corner and a noisy copy; no grid divides its 35 by 42 pixels."""
    ramp = np.linspace(20, 220, 35)[:, None, None] + np.linspace(-20, 20, 42)[None, :, None]
    image = np.clip(ramp + rng.normal(0, 12, (35, 42, 3)), 0, 255).astype(np.uint8)
    image[:9, :11] = 77
    noisy = np.clip(image + rng.normal(0, 40, image.shape), 0, 255).astype(np.uint8)
    return image, noisy


def loop_patches(image, grid):
    tall, wide = image.shape[0] // grid, image.shape[1] // grid
    for i in range(grid):
        for j in range(grid):
            yield image[i * tall : (i + 1) * tall, j * wide : (j + 1) * wide].astype(float)


def loop_patch(image, other):
    total = 0.0
    for p, q in zip(loop_patches(image, 4), loop_patches(other, 4), strict=True):
        total += 1 / (1 + sum((p - q).ravel() ** 2) / p.size / 255**2)
    return total / 16


def loop_edge_map(image):
    grey = [[0.299 * r + 0.587 * g + 0.114 * b for r, g, b in row] for row in image.astype(float)]
    h, w = len(grey), len(grey[0])
    edges = np.zeros((h, w))
    for i in range(h):
        for j in range(w):
            up, down = max(i - 1, 0), min(i + 1, h - 1)
            left, right = max(j - 1, 0), min(j + 1, w - 1)
            gy = (grey[down][j] - grey[up][j]) / (down - up)
            gx = (grey[i][right] - grey[i][left]) / (right - left)
            edges[i, j] = abs(gx) + abs(gy)
    return edges / edges.max()


def loop_edge(image, other):
    e, f = loop_edge_map(image), loop_edge_map(other)
    return 1 - sum(abs(a - b) for a, b in zip(e.ravel(), f.ravel(), strict=True)) / e.size


def loop_detail(image, other, divisor=None):
    terms = []
    for p, q in zip(loop_patches(image, 8), loop_patches(other, 8), strict=True):
        if p.std() >= 1e-6:
            terms.append(math.exp(-abs(math.log(q.std() / p.std()))))
    return sum(terms) / (divisor or len(terms))


LOOPS = {
    "patch_similarity": loop_patch,
    "edge_similarity": loop_edge,
    "detail_similarity": loop_detail,
}


@pytest.mark.parametrize("row", PIXEL_SCORES, ids=lambda row: row.name)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_pixel_scores_equal_the_loops(row, dtype, pair):
    image, other = pair
    score = row.function(image.astype(dtype), other.astype(dtype))
    assert score.dtype == np.float64
    np.testing.assert_allclose(score, LOOPS[row.name](image, other), rtol=RTOL)


def formula_edge_map(image):
    """Equation (10) for the image as a whole, in float32 as edge maps are."""
    grey = image.astype(np.float32) @ np.array([299, 587, 114], np.float32)
    edges = np.sum(np.abs(np.gradient(grey)), axis=0)
    return edges / edges.max()


def formula_change(image, other):
    return np.sqrt(((image.astype(float) - other) ** 2).mean()) / 255


def formula_edge(image, other):
    difference = formula_edge_map(image) - formula_edge_map(other)
    return 1 - np.abs(difference).astype(float).mean()


IN_ONE_GO = {
    "pixel_change": formula_change,
    "patch_similarity": loop_patch,
    "edge_similarity": formula_edge,
    "detail_similarity": loop_detail,
}


@pytest.mark.parametrize("name", IN_ONE_GO)
@pytest.mark.parametrize("shape", [(35, 42, 3), (224, 224, 3), (300, 520, 3)])
def test_scores_in_one_go_equal_the_formulas(name, shape, rng):
    original = np.clip(rng.normal(120, 40, shape), 0, 255).astype(np.uint8)
    noise = rng.normal(0, 60, (2, *shape))
    augmented = np.clip(original + noise, 0, 255).astype(np.uint8)
    found = scores.pixel_scores(original, augmented)[name]
    expected = [IN_ONE_GO[name](original, other) for other in augmented]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    alone = getattr(scores, name)(original, augmented)
    np.testing.assert_array_equal(found, alone)


@pytest.mark.parametrize("row", PIXEL_SCORES, ids=lambda row: row.name)
def test_float_images_need_not_hold_whole_numbers(row, pair, rng):
    image, other = (np.clip(side + rng.uniform(0, 1, side.shape), 0, 255) for side in pair)
    np.testing.assert_allclose(row.function(image, other), LOOPS[row.name](image, other), rtol=RTOL)


def test_embedding_scores_equal_scipy(rng):
    u, v = rng.normal(size=(2, 5, 16))
    expected = [1 - distance.cosine(a, b) for a, b in zip(u, v, strict=True)]
    np.testing.assert_allclose(scores.embedding_similarity(u, v), expected, rtol=RTOL)
    expected = [distance.euclidean(a, b) for a, b in zip(u, v, strict=True)]
    np.testing.assert_allclose(scores.l2_distance(u, v), expected, rtol=RTOL)


def test_attention_similarity_equals_the_loop(rng):
    a, b = rng.random((2, 6, 5))
    total = sum((a[i, j] - b[i, j]) ** 2 for i in range(6) for j in range(5))
    expected = 1 / (1 + total / 30)
    np.testing.assert_allclose(scores.attention_similarity(a, b), expected, rtol=RTOL)


@pytest.mark.parametrize("row", scores.SCORES.values(), ids=lambda row: row.name)
def test_nothing_is_closer_than_the_image_itself(row, rng):
    core = {"embedding": (16,), "attention": (7, 7), "pixels": (24, 24, 3)}[row.needs]
    original, other = rng.integers(0, 256, (2, *core), dtype=np.uint8)
    itself = row.function(original, original)
    assert itself == pytest.approx(1 if row.higher_is_closer else 0, abs=1e-12)
    gap = row.function(original, other) - itself
    assert gap < 0 if row.higher_is_closer else gap > 0


@pytest.mark.parametrize("row", scores.SCORES.values(), ids=lambda row: row.name)
def test_leading_axes_batch_and_broadcast(row, rng):
    core = {"embedding": (16,), "attention": (7, 7), "pixels": (24, 26, 3)}[row.needs]
    original = rng.integers(0, 256, (3, 1, *core), dtype=np.uint8)
    augmented = rng.integers(0, 256, (3, 2, *core), dtype=np.uint8)
    batch = row.function(original, augmented)
    single = [[row.function(original[i, 0], augmented[i, j]) for j in range(2)] for i in range(3)]
    assert batch.shape == (3, 2)
    np.testing.assert_allclose(batch, single, rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_cosine_does_not_depend_on_scale(scale, rng):
    u, v = rng.normal(size=(2, 16))
    expected = scores.embedding_similarity(u, v)
    np.testing.assert_allclose(scores.embedding_similarity(scale * u, v), expected, rtol=RTOL)


# What the equations leave undefined


def test_a_zero_vector_has_no_direction():
    similarity = scores.embedding_similarity(np.zeros(4), np.ones(4))
    assert np.isnan(similarity)
    assert scores.l2_distance(np.zeros(4), np.ones(4)) == 2


def test_a_blank_image_has_no_edges(pair):
    image, _ = pair
    blank = np.full_like(image, 200)
    assert np.isnan(scores.edge_similarity(image, blank))
    assert np.isnan(scores.edge_similarity(blank, image))
    assert np.isfinite(scores.edge_similarity(image, image))


def test_a_uniform_original_has_no_valid_patch(pair):
    image, _ = pair
    blank = np.full_like(image, 200)
    assert np.isnan(scores.detail_similarity(blank, image))
    assert scores.detail_similarity(blank, image, divide_by_all_patches=True) == 0


def test_a_patch_made_uniform_keeps_no_detail(pair):
    image, _ = pair
    assert scores.detail_similarity(image, np.full_like(image, 200)) == 0


def test_undefined_scores_leave_the_rest_of_the_batch_alone(pair):
    image, other = pair
    blank = np.full_like(image, 9)
    batch = scores.edge_similarity(np.stack([image, blank]), np.stack([other, other]))
    np.testing.assert_allclose(batch[0], loop_edge(image, other), rtol=RTOL)
    assert np.isnan(batch[1])


# Attention maps


@pytest.mark.parametrize("size", [14, 50, 224])
def test_attention_map_is_bilinear_then_scaled(size, rng):
    grid = rng.random((2, 7, 7))
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(grid)[:, None], size=(size, size), mode="bilinear", align_corners=False
    )[:, 0].numpy()
    low, high = resized.min(axis=(1, 2)), resized.max(axis=(1, 2))
    expected = (resized - low[:, None, None]) / (high - low)[:, None, None]
    maps = scores.attention_map(grid, size)
    np.testing.assert_allclose(maps, expected, atol=1e-12)
    assert maps.min() == 0 and maps.max() == 1


def test_a_constant_attention_map_is_zeros():
    grids = np.stack([np.full((7, 7), 0.1), np.arange(49.0).reshape(7, 7)])
    maps = scores.attention_map(grids, 33)
    assert (maps[0] == 0).all()
    assert maps[1].max() == 1


# The published departures


def test_uint8_wraparound_is_the_published_code(pair):
    image, other = pair
    total = 0.0
    for i in range(4):
        for j in range(4):
            h, w = image.shape[0] // 4, image.shape[1] // 4
            p = image[i * h : (i + 1) * h, j * w : (j + 1) * w]
            q = other[i * h : (i + 1) * h, j * w : (j + 1) * w]
            total += 1 / (1 + np.mean((p - q) ** 2) / 255**2)
    wrapped = scores.patch_similarity(image, other, uint8_wraparound=True)
    np.testing.assert_allclose(wrapped, total / 16, rtol=RTOL)


def test_uint8_wraparound_hides_noise(rng):
    black, white = np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)
    assert scores.patch_similarity(black, white) == 0.5
    assert scores.patch_similarity(black, white, uint8_wraparound=True) > 0.9999
    noise = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert scores.patch_similarity(black, noise) < 0.8
    assert scores.patch_similarity(black, noise, uint8_wraparound=True) > 0.99


def test_detail_can_be_divided_by_all_patches(pair):
    image, other = pair
    score = scores.detail_similarity(image, other, divide_by_all_patches=True)
    np.testing.assert_allclose(score, loop_detail(image, other, divisor=64), rtol=RTOL)
    assert score < scores.detail_similarity(image, other)


# The table, bad input and speed


def test_the_table_lists_each_score_by_its_function_name():
    assert list(scores.SCORES) == [row.function.__name__ for row in scores.SCORES.values()]
    assert {row.needs for row in scores.SCORES.values()} == {"embedding", "attention", "pixels"}
    assert [name for name, row in scores.SCORES.items() if not row.higher_is_closer] == [
        "l2_distance"
    ]


@pytest.mark.parametrize("row", scores.SCORES.values(), ids=lambda row: row.name)
def test_shapes_that_do_not_match_are_named(row):
    with pytest.raises(WorkbookError, match=r"\(2, 24, 24, 3\).*\(3, 24, 24, 3\)"):
        row.function(np.zeros((2, 24, 24, 3), np.uint8), np.zeros((3, 24, 24, 3), np.uint8))
    with pytest.raises(WorkbookError, match="last axes"):
        row.function(np.zeros((24, 24, 3), np.uint8), np.zeros((24, 24, 4), np.uint8))


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (np.zeros((24, 24, 4), np.uint8), "h, w, 3"),
        (np.zeros((7, 24, 3), np.uint8), "at least 8"),
        (np.zeros((24, 24, 3), np.int64), "int64"),
        (np.full((24, 24, 3), 255.5), "from 0 to 255"),
        (np.full((24, 24, 3), np.nan), "from 0 to 255"),
    ],
)
def test_what_is_no_image_is_refused(image, sentence):
    with pytest.raises(WorkbookError, match=sentence):
        scores.detail_similarity(image, image)


def test_wraparound_needs_uint8():
    image = np.zeros((24, 24, 3))
    with pytest.raises(WorkbookError, match="uint8"):
        scores.patch_similarity(image, image, uint8_wraparound=True)


def test_a_grid_needs_rows_and_columns():
    with pytest.raises(WorkbookError, match="rows, columns"):
        scores.attention_map(np.zeros(7))
    with pytest.raises(WorkbookError, match="size 0"):
        scores.attention_map(np.zeros((7, 7)), 0)


def test_pixel_scores_take_no_loop_over_images(rng):
    """32 originals against 9 views each take about 1.5 s on two cores; loops take minutes."""
    original = rng.integers(0, 256, (32, 1, 224, 224, 3), dtype=np.uint8)
    augmented = rng.integers(0, 256, (32, 9, 224, 224, 3), dtype=np.uint8)
    start = time.process_time()
    shapes = {row.function(original, augmented).shape for row in PIXEL_SCORES}
    assert shapes == {(32, 9)}
    assert time.process_time() - start < 12


def test_detail_of_grey_is_that_of_an_image_without_colour(rng):
    pixels = rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    grey = np.repeat(pixels @ np.array([0.299, 0.587, 0.114]), 3, axis=-1).reshape(2, 64, 64, 3)
    # All three channels alike: colour values deviate as grey does.
    expected = scores.detail_similarity(*grey)
    assert scores.detail_similarity(*pixels, grey=True) == pytest.approx(expected, rel=1e-6)
    assert scores.detail_similarity(*pixels) != pytest.approx(float(expected), rel=1e-3)
