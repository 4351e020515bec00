import numpy as np
import pytest
from PIL import Image

from helpers.checks import WorkbookError
from helpers.data import SOURCES, VIEWS, open_images, views
from helpers.data.sources import PHOTOS, absolute


def folder(path, *names):
    path.mkdir(parents=True)
    for name in names:
        Image.new("RGB", (6, 4), "red").save(path / name)
    return str(path)


# Photographs and scenes


def test_photos_are_bundled_captioned_and_in_colour_or_grey():
    images = open_images("photos")
    assert len(images) == len(PHOTOS) >= 15
    assert "chelsea" in images.ids
    for image in images:
        pixels = image.pixels
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.std() > 2
        grey = (np.ptp(pixels.astype(int), axis=-1) == 0).all()
        assert grey == image.caption.endswith("black and white")


def test_scenes_come_with_captions():
    images = open_images("scenes:3")
    assert len(images) == 3
    assert open_images("scenes").ids[:3] == images.ids
    seed = images.ids[0].split("-")[1]
    assert images.ids == [f"scene-{seed}-{index}" for index in range(3)]
    assert images[2].pixels.shape == (224, 224, 3)
    assert np.array_equal(images[2].pixels, images[2].pixels)
    assert len({image.caption for image in images}) > 1


@pytest.mark.parametrize("spec", ["scenes:", "scenes:0", "scenes:-1", "scenes:many", "scenes:1.5"])
def test_invalid_numbers_of_scenes(spec):
    with pytest.raises(WorkbookError, match="write scenes:N with N a whole number of 1 or more"):
        open_images(spec)


# Which source is meant


def test_every_row_says_how_it_is_written():
    assert [source.form for source in SOURCES] == [
        "photos",
        "scenes:N",
        "SHARD.tar",
        "LIST.csv",
        "FOLDER",
        "IMAGE.jpg",
    ]


def test_a_folder_may_be_named_like_another_source(tmp_path, monkeypatch):
    for name in ("photos", "list.txt", "shard.tar"):
        folder(tmp_path / name, "a.png")
    monkeypatch.chdir(tmp_path)
    assert open_images("list.txt").ids == open_images("shard.tar").ids == ["a.png"]
    assert open_images("./photos").ids == ["a.png"]
    assert len(open_images("photos")) == len(PHOTOS)


@pytest.mark.parametrize("spec", ["photoz", "", "/gone", "x" * 5000, "~nobody-of-that-name/x"])
def test_unknown_sources(spec):
    with pytest.raises(WorkbookError, match="does not exist; choose one of photos, scenes:N, "):
        open_images(spec)


def test_a_file_of_another_kind(tmp_path):
    path = tmp_path / "a.mp4"
    path.touch()
    with pytest.raises(WorkbookError, match="it is no folder and of no kind that is read; choose"):
        open_images(path)


@pytest.mark.parametrize("source", [None, 3, [3], {"photos": 1}, b"photos"])
def test_no_source_at_all(source):
    with pytest.raises(WorkbookError, match="images has no value"):
        open_images(source)


def test_an_empty_list_of_sources():
    with pytest.raises(WorkbookError, match="images names no source"):
        open_images([])


def test_paths_become_absolute_and_names_stay(tmp_path, monkeypatch):
    folder(tmp_path / "mine", "a.png")
    monkeypatch.chdir(tmp_path)
    assert absolute("mine") == str(tmp_path / "mine")
    assert absolute("photos") == "photos"
    assert absolute("scenes:7") == "scenes:7"
    assert absolute("cc3m-{0..3}.tar") == str(tmp_path / "cc3m-{0..3}.tar")
    with pytest.raises(WorkbookError):
        absolute("gone")


# Several sources


def test_sources_follow_one_another(tmp_path):
    mine = folder(tmp_path / "mine", "a.png", "b.png")
    images = open_images([mine, "scenes:2", "photos"])
    assert images.ids[:2] == ["a.png", "b.png"]
    assert images.ids[4:] == open_images("photos").ids
    assert [image.source for image in images[:5]] == ["mine"] * 2 + ["scenes"] * 2 + ["photos"]


def test_only_ids_that_would_repeat_get_their_source(tmp_path):
    one = folder(tmp_path / "one" / "set", "a.png", "b.png")
    two = folder(tmp_path / "two" / "set", "a.png", "c.png")
    images = open_images([one, two])
    assert images.ids == ["set/a.png", "b.png", "set-2/a.png", "c.png"]
    assert open_images([one, two]).ids == images.ids


def test_a_repeated_source_is_refused():
    with pytest.raises(WorkbookError, match="names the source 'photos' 2 times"):
        open_images(["photos", "scenes", "photos"])


def test_ids_that_stay_ambiguous_are_refused(tmp_path):
    one = folder(tmp_path / "x" / "set", "a.png")
    two = folder(tmp_path / "y" / "other", "a.png")
    folder(tmp_path / "z" / "set", "a.png")
    with pytest.raises(WorkbookError, match=r"have an image 'set/a\.png'"):
        open_images([one, two, str(tmp_path / "z")])


# Limit and seed


def test_limit_takes_the_first():
    ids = open_images("photos").ids
    assert open_images("photos", limit=4).ids == ids[:4]
    assert open_images("photos", limit=10**6).ids == ids
    assert open_images("photos", limit=np.int64(1)).ids == ids[:1]


def test_seed_takes_a_random_subset_in_the_order_of_the_source():
    ids = open_images("photos").ids
    chosen = open_images("photos", limit=6, seed=1).ids
    assert chosen == open_images("photos", limit=6, seed=1).ids
    assert chosen == sorted(set(chosen), key=ids.index)
    assert len(chosen) == 6
    others = [open_images("photos", limit=6, seed=seed).ids for seed in range(5)]
    assert len({tuple(one) for one in others}) == 5
    assert set(chosen) < set(open_images("photos", limit=9, seed=1).ids)
    assert open_images("photos", seed=1).ids == ids


@pytest.mark.parametrize("limit", [0, -1, 1.5, "3", True])
def test_invalid_limits(limit):
    with pytest.raises(WorkbookError, match=r"limit has no value .* whole number of 1 or more"):
        open_images("photos", limit=limit)


@pytest.mark.parametrize("seed", [-1, 0.5, "0"])
def test_invalid_seeds(seed):
    with pytest.raises(WorkbookError, match=r"seed has no value .* whole number of 0 or more"):
        open_images("photos", limit=2, seed=seed)


def test_every_photo_has_its_views():
    for image in open_images("photos", limit=3):
        assert tuple(views(image.pixels, image.id)) == VIEWS
