"""Attacks: the same pixels for the same draw, larger with severity, wrong for the image."""

import re

import numpy as np
import pytest

from helpers.checks import WorkbookError
from helpers.data import CHANGES, SETS, open_images, views
from helpers.data.attacks import UNKNOWN, WORDS, Subject, _square, subject_of
from helpers.data.changes import changed
from helpers.data.images import Image
from helpers.data.scenes.drawing import object_alone

GREY = np.full((224, 224, 3), 128, np.uint8)
SCENE = Subject(is_scene=True, captions=("a red star and a solid blue circle",))
SUBJECTS = {"scene": SCENE, "photograph": Subject()}
OF_SIZE = ("typographic", "pasted")


def area(name, severity, subject, pixels=GREY):
    view = changed(pixels, name, "a", 0, severity, subject=subject)
    return (view != pixels).any(axis=-1).mean()


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)
@pytest.mark.parametrize("name", OF_SIZE)
def test_severity_is_size(name, subject):
    areas = [area(name, severity, subject) for severity in (0, 1, 2, 3, 4, 5)]
    assert areas[0] == 0
    assert (np.diff(areas) > 0).all()
    assert areas[1] < 0.05
    assert areas[-1] < 0.5
    other_size = np.full((336, 336, 3), 128, np.uint8)
    assert area(name, 3, subject, other_size) == pytest.approx(areas[3], rel=0.05)


@pytest.mark.parametrize("name", [*OF_SIZE, "adversarial_noise"])
def test_an_attack_is_one_draw_for_an_image(name):
    once, again = (changed(GREY, name, "a", 0, 2) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert any((changed(GREY, name, other, 0, 2) != once).any() for other in "bcd")


def test_a_word_is_written_where_it_fits_however_long():
    word = Subject(wrong_words=("an improbably long name of a class of animals",))
    view = changed(GREY, "typographic", "a", 0, 5, subject=word)
    assert {0, 128, 255} <= set(np.unique(view))
    short = changed(GREY[:40], "typographic", "a", 0, 5, subject=Subject(wrong_words=("a",)))
    assert short.shape == (40, 224, 3)


def test_words_are_other_classes_or_else_of_the_list_and_never_said():
    cat = Image("a", lambda _: GREY, "a cat on a sofa", metadata_source={"label": "cat"})
    assert subject_of(cat, ["cat", "dog", "big cat"]).wrong_words == ("dog",)
    assert set(WORDS) - set(subject_of(cat).wrong_words) == {"sofa"}
    assert subject_of(cat, ["cat"]).wrong_words == subject_of(cat).wrong_words
    assert not subject_of(cat).is_scene


def test_only_a_drawn_scene_is_a_scene(tmp_path):
    (scene,) = open_images("scenes:1")
    assert subject_of(scene).is_scene
    assert subject_of(scene).captions == scene.captions
    file = tmp_path / "scene-1-2.png"
    file.write_bytes(b"")
    assert not subject_of(Image("scene-1-2", lambda _: GREY, path=file)).is_scene


def test_on_scenes_an_object_of_a_colour_and_shape_that_are_not_named_is_pasted():
    for image in map(str, range(8)):
        view = changed(GREY, "pasted", image, 0, 3, subject=SCENE)
        inside = view[(view != GREY).any(axis=-1)].astype(int)
        reddish = (inside[:, 0] > 180) & (inside[:, 1:] < 90).all(axis=1)
        bluish = (inside[:, 2] > 180) & (inside[:, :2] < 90).all(axis=1)
        assert reddish.mean() < 0.05
        assert bluish.mean() < 0.05


def test_on_photographs_another_photograph_is_pasted():
    photo = next(image for image in open_images("photos") if image.id == "chelsea")
    original = views(photo.pixels, photo.id, changes=())["original"]
    view = changed(original, "pasted", photo.id, 0, 5, subject=subject_of(photo))
    rows, columns = np.nonzero((view != original).any(axis=-1))
    patch = view[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    own = _square(photo.caption).mean((0, 1))
    assert np.abs(patch.mean((0, 1)) - own).max() > 5


def test_an_object_alone_covers_what_it_is_drawn_on():
    item = {"shape": "square", "colour": "red", "fill": "solid"}
    tones, cover = object_alone(item | {"x": 100, "y": 60, "radius": 30, "angle": 0})
    assert cover[60, 100] == 1
    assert cover[0, 0] == 0
    np.testing.assert_array_equal(tones[60, 100], (214, 36, 40))
    assert cover.sum() == pytest.approx((2 * 0.78 * 30) ** 2, rel=0.05)


@pytest.mark.parametrize("severity", [0.9, 1, 2.7, 5])
def test_noise_takes_as_many_grey_levels_as_it_may(severity):
    moved = changed(GREY, "adversarial_noise", "a", 0, severity).astype(int) - GREY
    assert set(np.unique(np.abs(moved))) == {int(severity)}
    assert abs(moved.mean()) <= 0.02 * max(1, int(severity))
    black = np.zeros_like(GREY)
    assert changed(black, "adversarial_noise", "a", 0, severity).max() == int(severity)


def test_a_view_that_needs_a_model_is_drawn_by_a_run():
    with pytest.raises(WorkbookError, match=r"'adversarial' needs a model.*open a run"):
        changed(GREY, "adversarial", "a")
    with pytest.raises(WorkbookError, match="needs a model"):
        views(GREY, "a", changes=SETS["attacks"])
    assert (changed(GREY, "adversarial", "a", severity=0) == GREY).all()


def test_every_attack_says_what_it_does_and_needs():
    rows = [CHANGES[name] for name in SETS["attacks"]]
    assert [row.needs for row in rows] == ["subject", "subject", "model", ""]
    assert all(re.search(r"\w{4,}", row.parameters) and row.scaled for row in rows)
    assert UNKNOWN.wrong_words == WORDS


def test_pixels_of_attacks_are_the_same_on_every_processor():
    from hashlib import sha256

    names = [name for name in SETS["attacks"] if CHANGES[name].needs != "model"]
    photo = next(image for image in open_images("photos") if image.id == "chelsea")
    (scene,) = open_images("scenes:1")
    drawn = [
        view.tobytes()
        for image in (photo, scene)
        for severity in (1, 2.5, 5)
        for view in views(
            image.pixels,
            image.id,
            severity=severity,
            changes=names,
            subject=subject_of(image),
        ).values()
    ]
    assert sha256(b"".join(drawn)).hexdigest()[:16] == "a14b40d4b00506fe"
