"""What is known to be true of images."""

from helpers.data import open_images
from helpers.data.scenes import PROPERTIES, scene
from helpers.data.sources import PHOTOS
from helpers.data.truth import known_truth, truth_of_views


def test_a_scene_has_the_properties_that_all_its_objects_share():
    images = open_images("scenes:12")
    truth = known_truth(images)
    assert list(truth.index) == images.ids
    for index, (_, row) in enumerate(truth.iterrows()):
        drawn = scene(index)
        assert row["caption"] == drawn.full_caption
        assert row["count"] == drawn.count and row["medium"] == drawn.medium
        for name in (name for name, one in PROPERTIES.items() if one.of == "object"):
            values = {item[name] for item in drawn.objects}
            assert row[name] == (values.pop() if len(values) == 1 else "")
    assert (truth["colour"] == "").any() and (truth["colour"] != "").any()


def test_a_photograph_is_asked_only_which_it_is():
    images = open_images(["photos", "scenes:3"])
    truth = known_truth(images)
    photos = truth.loc[[image.id for image in images if image.source == "photos"]]
    assert set(photos["photograph"]) == set(PHOTOS.values())
    assert (photos[list(PROPERTIES)] == "").all(axis=None)
    assert (truth["photograph"].iloc[len(PHOTOS) :] == "").all()


def test_of_other_images_nothing_is_known_but_a_caption(folder_of_images, tmp_path):
    truth = known_truth(open_images(str(folder_of_images)))
    assert list(truth.columns) == ["caption"] and (truth["caption"] == "").all()
    (folder_of_images / "0.png").rename(folder_of_images / "scene-20260-1.png")
    assert list(known_truth(open_images(str(folder_of_images))).columns) == ["caption"]


def test_in_a_mirror_left_is_right_and_all_else_stays():
    truth = known_truth(open_images("scenes:40"))
    views = truth_of_views(truth)
    mirrored = views.pop("horizontal_flip")
    assert all(own.equals(truth) for own in views.values()) and len(views) == 9
    assert mirrored.drop(columns="position").equals(truth.drop(columns="position"))
    pairs = set(zip(truth["position"], mirrored["position"], strict=True))
    assert {("top left", "top right"), ("right", "left"), ("top", "top"), ("", "")} <= pairs
    photos = known_truth(open_images("photos"))
    assert truth_of_views(photos)["horizontal_flip"].equals(photos)
