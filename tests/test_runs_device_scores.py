import numpy as np
import pytest
import torch

from helpers.analysis import scores
from helpers.data import views
from helpers.data.scenes import scene
from helpers.runs.compute import device_scores


@pytest.fixture(scope="module")
def drawn():
    """Views of two scenes, of a black image and of one pixel in black, images × views × …"""
    black = np.zeros((224, 224, 3), np.uint8)
    dot = black.copy()
    dot[100, 50] = 255
    images = [scene(0).pixels, scene(1).pixels, black, dot]
    return np.stack(
        [np.stack(list(views(image, str(i)).values())) for i, image in enumerate(images)]
    )


def test_pixel_scores_are_those_of_the_processor(drawn):
    ours = device_scores.pixel_scores(torch.from_numpy(drawn))
    expected = scores.pixel_scores(drawn[:, :1], drawn[:, 1:])
    assert list(ours) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(ours[name].numpy(), values, rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("side", [37, 101])
def test_rows_and_columns_that_are_left_over_belong_to_no_patch(side):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 3, side, side + 9, 3), np.uint8)
    ours = device_scores.pixel_scores(torch.from_numpy(images))
    for name, values in scores.pixel_scores(images[:, :1], images[:, 1:]).items():
        np.testing.assert_allclose(ours[name].numpy(), values, rtol=0, atol=1e-12, err_msg=name)


def test_attention_similarity_is_that_of_the_processor():
    grids = np.random.default_rng(0).random((3, 4, 7, 5), np.float32)
    grids[1, 2] = 0.25  # a map without a range
    maps = scores.attention_map(grids)
    expected = scores.attention_similarity(maps[:, :1], maps[:, 1:])
    ours = device_scores.attention_similarity(torch.from_numpy(grids))
    np.testing.assert_allclose(ours.numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["embedding_similarity", "l2_distance"])
def test_embeddings_are_compared_as_on_the_processor(name):
    embeddings = np.random.default_rng(0).standard_normal((3, 4, 16), np.float32)
    embeddings[1, 0] = embeddings[2, 3] = 0  # without an angle
    with np.errstate(invalid="ignore"):
        expected = scores.SCORES[name].function(embeddings[:, :1], embeddings[:, 1:])
    ours = device_scores.BY_MODEL[name](torch.from_numpy(embeddings))
    np.testing.assert_allclose(ours.numpy(), expected, rtol=0, atol=1e-12)


def test_no_score_of_the_study_is_missing():
    pixels = torch.zeros((1, 2, 16, 16, 3), dtype=torch.uint8)
    computed = {*device_scores.pixel_scores(pixels), *device_scores.BY_MODEL}
    assert computed == {*scores.SCORES, "pixel_change"}
