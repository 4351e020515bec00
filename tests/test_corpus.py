"""Every kind of odd input becomes the right picture, or one line that says why not."""

import os
import re
import signal
import sys

import numpy as np
import pytest

from helpers.checks import WorkbookError
from helpers.data import UnreadableImage, open_images, views
from tests.corpus import KINDS, RED, encoded, file, plain

SECONDS = 20
opened: list[str] = []


def note(event, arguments):
    if event == "open" and isinstance(arguments[0], str | bytes):
        opened.append(os.path.realpath(os.fsdecode(arguments[0])))


sys.addaudithook(note)


@pytest.fixture(autouse=True)
def no_hang():
    """Stop what takes too long, wherever it waits."""

    def stop(*_):
        raise TimeoutError(f"took more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """A folder beside which a picture lies that nothing must read."""
    folder = tmp_path / "inside"
    folder.mkdir()
    plain().save(tmp_path / "outside.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    opened.clear()
    return folder


def outcome(kind, folder):
    """What comes of an input: pixels and caption of the first image, or a line."""
    try:
        images = open_images(kind.make(folder))
        if kind.meanwhile:
            kind.meanwhile(folder)
        return images[0].pixels, images[0].caption
    except (UnreadableImage, WorkbookError) as error:
        return str(error), None


def is_right(kind, found, caption):
    if kind.picture is None:
        return isinstance(found, str)
    return (
        isinstance(found, np.ndarray)
        and found.shape == kind.picture.shape
        and np.abs(found.astype(int) - kind.picture).max() <= kind.atol
        and caption == kind.caption
    )


def test_the_corpus_is_large_and_names_are_different():
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 60


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_picture_or_one_line(kind, inside, tally):
    found, caption = outcome(kind, inside)
    tally("kinds of input", lost=not is_right(kind, found, caption))
    assert is_right(kind, found, caption), found
    if isinstance(found, str):
        assert "\n" not in found
        assert " at 0x" not in found
        assert re.search(kind.reason, found)
    assert str(inside.parent / "outside.png") not in opened
    assert "/etc/hosts" not in opened


@pytest.mark.parametrize("name", ["JPEG, CMYK", "one pixel", "1 × 10,000", "PNG, 1 bit"])
def test_odd_pictures_have_views(name, inside):
    kind = next(kind for kind in KINDS if kind.name == name)
    image = open_images(kind.make(inside))[0]
    assert {view.shape for view in views(image.pixels, image.id).values()} == {(224, 224, 3)}


def test_a_file_that_may_not_be_read(inside, monkeypatch):
    file(encoded(plain(), "PNG"))(inside)
    image = open_images(inside)[0]
    allowed = os.open

    def refuse(path, *rest, **options):
        if os.fspath(path) == str(inside / "a.png"):
            raise PermissionError(13, "Permission denied", path)
        return allowed(path, *rest, **options)

    # A test may run as root, who may read everything.
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UnreadableImage, match="this user may not read the file"):
        image.pixels  # noqa: B018


def test_one_odd_file_leaves_the_others_alone(inside):
    os.mkfifo(inside / "a.png")
    plain().save(inside / "b.png")
    images = open_images(inside)
    assert images.ids == ["a.png", "b.png"]
    assert (images[1].pixels == RED).all()
