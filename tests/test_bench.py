"""What `make bench` compares with computes the same, and its table is kept row by row."""

import numpy as np
import pandas as pd
import torch

from helpers.analysis.scores import pixel_scores
from helpers.clip import load
from helpers.data import open_images, views
from tests import bench, published_way
from tests.materialised import contributions


def test_the_materialised_decomposition_is_ours(pixels):
    model = load("embedded", device="cpu")
    ours = model.encode(pixels, by_token=True).tokens_of_heads()
    other = contributions(model.clip.visual, model._normalised(pixels)).transpose(2, 3)
    # Two passes in float32, in other kernels: each of half a million entries to four digits.
    np.testing.assert_allclose(other, ours, atol=5e-5 * abs(ours).max())


def test_the_published_way_gives_our_scores():
    image = open_images("photos")[3]
    small = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = published_way.hugging_face_clip(vision_config=small, text_config=small)
    found = np.array(published_way.study_image(model, image))
    drawn = np.stack(list(views(image.pixels, image.id).values()))
    ours = pixel_scores(drawn[0], drawn[1:])
    for column, name in ((3, "patch"), (4, "edge"), (5, "detail")):
        np.testing.assert_allclose(found[:, column], ours[f"{name}_similarity"], rtol=1e-6)
    assert (abs(found[:, 0]) <= 1).all()


def test_albumentations_draws_as_many_views_as_ours():
    photograph = open_images("photos")[3]
    made = bench.views_by_albumentations(photograph.pixels, photograph.id)
    ours = views(photograph.pixels, photograph.id)
    assert np.array_equal(made[0], ours["original"])
    assert [view.shape for view in made] == [view.shape for view in ours.values()]
    flip = list(ours).index("horizontal_flip")
    assert np.array_equal(made[flip], ours["horizontal_flip"])


def test_times_are_ratios_of_theirs_to_ours(monkeypatch):
    took = iter([2.0, 6.0, 1.0, 4.0])
    monkeypatch.setattr(bench, "seconds", lambda function: next(took))
    assert bench.times_faster(list, list, rounds=2) == [3.0, 4.0]


def test_a_row_that_is_measured_again_replaces_its_old_one(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "OUTPUTS", tmp_path)
    bench.keep([bench.line("b", "one", [1.0]), bench.line("b", "two", [1.0])], "b")
    bench.keep([bench.line("a", "first", [1.0, 3.0, 2.0])], "a")
    bench.keep([bench.line("b", "three", [5.0])], "b")
    table = pd.read_csv(tmp_path / "bench" / "bench.csv")
    assert list(table["what"]) == ["first", "three"]
    assert tuple(table.loc[0, ["median", "low", "high"]]) == (2.0, 1.0, 3.0)


def test_rounds_cover_all_images_once():
    parts = bench.parts_of(open_images("scenes:12"), 5)
    ids = [image.id for part in parts for image in part]
    assert len(parts) == 5
    assert sorted(ids) == sorted(open_images("scenes:12").ids)


def test_bytes_are_those_of_the_arrays(monkeypatch):
    monkeypatch.setattr(bench, "SIZED", ("embedded",))
    lines = bench.bytes_per_image(bench.Options(rounds=1, images="photos", models=(), counts=()))
    sizes = {one.what: one.median for one in lines}
    features = load("embedded", device="cpu").features
    assert sizes["array embedding, embedded"] == 10 * features * torch.float32.itemsize
    assert sizes["array heads, embedded"] == 4 * 6 * features * torch.float16.itemsize


def test_photographs_are_of_their_size_and_no_two_alike(tmp_path):
    bench.photographs(tmp_path / "own", 3)
    images = open_images(str(tmp_path / "own"))
    assert {image.pixels.shape for image in images} == {(375, 500, 3)}
    assert len({image.pixels.tobytes() for image in images}) == 3
    assert all(3e4 < path.stat().st_size < 1e5 for path in (tmp_path / "own").iterdir())
