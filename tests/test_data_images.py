import os
from functools import partial

import numpy as np
import pytest

from helpers.data import Image, Images


def square(side, image_id):
    return np.full((side, side, 3), len(image_id), np.uint8)


def three():
    return Images(Image(name, partial(square, 4)) for name in ("a", "bb", "ccc"))


def test_a_sequence_of_images():
    images = three()
    assert len(images) == 3
    assert images.ids == ["a", "bb", "ccc"] == [image.id for image in images]
    assert images[-1].id == "ccc"
    assert repr(images) == "<3 images>"
    with pytest.raises(IndexError):
        images[3]


def test_a_slice_is_images_too():
    part = three()[1:]
    assert isinstance(part, Images)
    assert part.ids == ["bb", "ccc"]


def test_pixels_are_read_anew_at_each_access():
    image = three()[1]
    first, second = image.pixels, image.pixels
    assert np.array_equal(first, square(4, "bb"))
    assert first is not second


def test_captions_are_given_or_read():
    assert Image("a", square).caption is None
    assert Image("a", square, "a cat").caption == "a cat"
    assert Image("a", square, "caption of {}".format).caption == "caption of a"


def test_fingerprints_tell_other_images_and_changed_files(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"one")

    def fingerprint(*ids):
        return Images(Image(name, square, path=path) for name in ids).fingerprint

    first = fingerprint("a", "b")
    assert fingerprint("a", "b") == first
    assert fingerprint("a") != first
    assert fingerprint("b", "a") != first
    os.utime(path, ns=(0, 0))
    touched = fingerprint("a", "b")
    assert touched != first
    path.unlink()
    assert fingerprint("a", "b") not in (first, touched)
