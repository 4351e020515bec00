import numpy as np
import pytest
import xarray as xr

from helpers.analysis import aligned, scores
from helpers.checks import WorkbookError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def full_range(maps):
    maps[..., 0, 0], maps[..., 0, 1] = 0, 1
    return maps


def test_where_all_is_known_the_scores_are_the_published_ones(rng):
    before, after = full_range(rng.random((2, 5, 16, 16)))
    expected = scores.attention_similarity(before, after)
    assert aligned.attention_similarity(before, after) == pytest.approx(expected)
    before, after = rng.integers(0, 256, (2, 5, 16, 16, 3), dtype=np.uint8)
    expected = scores.patch_similarity(before, after)
    assert aligned.patch_similarity(before, after) == pytest.approx(expected, rel=1e-6)


def test_what_is_beyond_the_image_takes_no_part(rng):
    before = full_range(rng.random((16, 16)))
    after = before.copy()
    before[10:], after[10:] = np.nan, 7
    assert aligned.attention_similarity(before, after) == 1
    pixels = rng.uniform(0, 255, (16, 16, 3))
    other = pixels.copy()
    pixels[6:], other[6:] = np.nan, 0
    assert aligned.patch_similarity(pixels, other) == 1


def test_a_patch_counts_by_its_known_pixels(rng):
    before, after = rng.uniform(0, 255, (2, 8, 8, 3))
    before[3, 3] = before[6:, 6:] = np.nan
    similar = []
    for row in range(0, 8, 2):
        for column in range(0, 8, 2):
            patch = (slice(row, row + 2), slice(column, column + 2))
            squares = (before[patch] - after[patch]) ** 2
            if not np.isnan(squares).all():
                similar.append(1 / (1 + np.nanmean(squares) / 255**2))
    assert len(similar) == 15
    assert aligned.patch_similarity(before, after) == pytest.approx(np.mean(similar))


def test_the_shared_region_sets_the_scale():
    before = np.array([[np.nan, 0.2], [0.4, 0.6]])
    after = np.array([[1.0, 0.0], [0.1, 0.2]])
    assert aligned.attention_similarity(before, after) == pytest.approx(1)


def test_nothing_in_common_has_no_score():
    nothing, constant = np.full((4, 4), np.nan), np.ones((4, 4))
    assert np.isnan(aligned.attention_similarity(nothing, constant))
    assert np.isnan(aligned.patch_similarity(np.full((4, 4, 3), np.nan), np.ones((4, 4, 3))))
    assert aligned.attention_similarity(constant, constant) == 1


def test_what_does_not_fit_is_refused():
    with pytest.raises(WorkbookError, match="must be the same"):
        aligned.attention_similarity(np.ones((4, 4)), np.ones((4, 5)))
    with pytest.raises(WorkbookError, match="multiples"):
        aligned.patch_similarity(np.ones((5, 4, 3)), np.ones((5, 4, 3)))


def test_partners_are_other_images_of_the_same_source():
    sources = np.array(["a"] * 5 + ["b"] * 2 + ["c"])
    partner = aligned.partners(sources)
    assert partner[-1] == -1
    paired = partner[:-1]
    assert (paired != np.arange(7)).all() and (sources[paired] == sources[:-1]).all()
    assert sorted(paired) == list(range(7))


def test_attention_in_place_is_the_published_score(rng, monkeypatch):
    monkeypatch.setattr(aligned, "PAIRS_AT_ONCE", 2)
    grids = rng.random((5, 3, 4, 4))
    maps = scores.attention_map(grids, (40, 56))
    expected = scores.attention_similarity(maps[:, :1], maps[:, 1:])
    found = aligned.attention_in_place(grids[:, :1], grids[:, 1:], (40, 56))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert (found != aligned.attention_in_place(grids[:, :1], grids[:, 1:], 224)).all()


def grids_of(rng, sources):
    values = rng.random((len(sources), 2, 3, 3))
    coords = {
        "image": [str(number) for number in range(len(sources))],
        "view": ["original", "noise"],
        "source": ("image", sources),
    }
    return xr.DataArray(values, coords, ("image", "view", "row", "column"))


def test_the_floor_is_that_of_another_image_of_the_same_source(rng):
    grids = grids_of(rng, ["photos"] * 3 + ["scenes"])
    floor = aligned.between_images(grids, seed=2, size=224)
    partner = aligned.partners(grids["source"].values, 2)
    for image in range(3):
        pair = (scores.attention_map(grids.values[each, 0]) for each in (image, partner[image]))
        assert floor[image, 0].item() == pytest.approx(float(scores.attention_similarity(*pair)))
    assert np.isnan(floor[3, 0])


def test_a_single_image_has_no_floor(rng):
    assert aligned.between_images(grids_of(rng, ["photos"]), size=224).isnull().all()


def test_the_brightest_patches_get_what_they_get(rng, monkeypatch):
    monkeypatch.setattr(aligned, "BRIGHTEST", 0.2)  # 2 of 9 patches
    grids = grids_of(rng, ["photos"] * 2)
    share = aligned.brightest_share(grids)
    flat = np.sort(grids.values.reshape(2, 2, 9))
    np.testing.assert_allclose(share, flat[..., -2:].sum(axis=-1) / flat.sum(axis=-1))
    even = xr.ones_like(grids)
    np.testing.assert_allclose(aligned.brightest_share(even), 2 / 9)
