"""Runs of the same images read and resize each of them once, as long as there is room."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from PIL import Image as pillow

from helpers import extend
from helpers.data import STUDY_PREPROCESSING, Image, UnreadableImage, open_images
from helpers.runs import open_run
from helpers.runs.compute.originals import Originals
from helpers.runs.variants import compared_run, runs_by_severity
from tests.registries import left_alone


@pytest.fixture
def reads(monkeypatch):
    """How often the pixels of each image were decoded."""
    counted, pixels = Counter(), Image.pixels

    def counting(image):
        counted[image.id] += 1
        return pixels.fget(image)

    monkeypatch.setattr(Image, "pixels", property(counting))
    return counted


def test_runs_below_a_run_read_no_image_again(parameters, reads, tmp_path):
    given = parameters | {"images": "scenes:3", "compare": ["embedded:0"]}
    run = open_run(**given)
    mild, strong = runs_by_severity(run, [0.5, 2.0]).values()
    below = [mild, strong, compared_run(run, "embedded:0")]
    opened = Counter(reads)
    for each in (run, *below):
        each.compute()
    assert reads - opened == Counter({image.id: 1 for image in run.images})
    alone = open_run(**given | {"severity": 2.0, "out": str(tmp_path / "alone")})
    xr.testing.assert_identical(strong.scores(), alone.scores())


def test_what_is_shown_is_what_was_kept_and_may_be_written_into(parameters, reads):
    run = open_run(**parameters | {"images": "scenes:3"})
    before = {name: view.copy() for name, view in run.views(run.images.ids[0]).items()}
    run.views(run.images.ids[0])["original"][:] = 0
    for name, view in run.views(run.images.ids[0]).items():
        np.testing.assert_array_equal(view, before[name])


def test_a_source_of_ones_own_is_asked_each_time(parameters):
    level = [50]
    with left_alone():

        @extend.source
        def changing(rest):
            yield "one", lambda: np.full((9, 9, 3), level[0], np.uint8)

        run = open_run(**parameters | {"images": "changing"})
        assert run.views("one", [])["original"].max() == 50
        level[0] = 90
        assert run.views("one", [])["original"].max() == 90
        below = run.variant("severities/2", severity=2.0)
        assert below.views("one", [])["original"].max() == 90


def test_no_more_is_kept_than_there_is_room_for(reads):
    images, originals = open_images("scenes:3"), Originals(room=2 * 224 * 224 * 3)
    for _ in range(2):
        for image in images:
            originals.read(image, STUDY_PREPROCESSING)
    assert [reads[image.id] for image in images] == [1, 1, 2]


def test_an_image_that_was_changed_or_is_to_have_another_size_is_read_again(tmp_path):
    pillow.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    originals = Originals()
    first = open_images(str(tmp_path))[0]
    originals.read(first, STUDY_PREPROCESSING)
    small = originals.read(first, replace(STUDY_PREPROCESSING, size=(32, 32)))
    assert small.pixels.shape == (32, 32, 3)
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(UnreadableImage):
        originals.read(first, STUDY_PREPROCESSING)
    with pytest.raises(UnreadableImage):
        originals.read(open_images(str(tmp_path))[0], STUDY_PREPROCESSING)
