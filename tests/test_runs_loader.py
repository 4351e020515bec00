"""A GPU's way on a processor: processes that draw, scores on the device, shared passes."""

import subprocess
import sys
from dataclasses import replace

import pytest
import xarray as xr

from helpers.data import open_images
from helpers.runs import open_run
from helpers.runs.compute import engine, output_variables

EXACT = ("encodings", "contributions", "dissection")


@pytest.fixture
def plain(parameters, tmp_path):
    return open_run(**parameters | {"out": str(tmp_path / "plain")})


def as_on_a_gpu(parameters, tmp_path, monkeypatch, images):
    config = engine.DeviceConfig(images, processes=2, scores=True)
    monkeypatch.setitem(engine.DEVICE_CONFIGS, "cpu", config)
    return open_run(**parameters | {"out": str(tmp_path / "gpu")})


def test_who_draws_and_scores_changes_no_digit_that_counts(
    plain, parameters, tmp_path, monkeypatch
):
    run = as_on_a_gpu(parameters, tmp_path, monkeypatch, images=1)
    xr.testing.assert_allclose(run.scores(), plain.scores(), rtol=0, atol=1e-12)
    for kept in EXACT:
        xr.testing.assert_identical(getattr(run, kept)(), getattr(plain, kept)())
    assert list(run.unreadable["image"]) == list(plain.unreadable["image"]) == ["-broken.png"]


def test_images_that_share_a_pass_are_as_they_are_alone(plain, parameters, tmp_path, monkeypatch):
    run = as_on_a_gpu(parameters, tmp_path, monkeypatch, images=3)
    xr.testing.assert_allclose(run.scores(), plain.scores(), rtol=1e-6, atol=1e-6)
    assert run.timings["draw"]["seconds"] > 0


def test_values_too_large_to_be_kept_are_told(parameters, monkeypatch):
    heads = output_variables._heads
    rows = [
        replace(row, values=lambda *given: heads(*given) * 1e9) if row.name == "heads" else row
        for row in output_variables.OUTPUTS
    ]
    monkeypatch.setattr(output_variables, "OUTPUTS", tuple(rows))
    run = open_run(**parameters | {"limit": 2})
    assert "too large to be kept" in run.unreadable["reason"].iloc[-1]


THREADS_BEFORE = """
import numpy as np
from helpers.data import open_images
from helpers.data.opencv import cv2
from helpers.data.preprocessing import STUDY_PREPROCESSING
from helpers.runs.compute.loader import Batch, drawn_by_processes
from helpers.runs.parameters import from_profile

cv2.setNumThreads(4)
cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (0, 0), 9)
parameters = from_profile("quick", {"images": "scenes:2"})
passes = [Batch(np.array([n]), [image]) for n, image in enumerate(open_images("scenes:2"))]
options = parameters, parameters.change_names, STUDY_PREPROCESSING, ()
for drawn in drawn_by_processes(passes, *options, processes=2):
    print(*drawn.ids)
"""


def test_threads_that_opencv_has_already_don_t_block_those_that_draw():
    call = [sys.executable, "-c", THREADS_BEFORE]
    ended = subprocess.run(call, capture_output=True, text=True, check=True, timeout=120)
    assert ended.stdout.split() == open_images("scenes:2").ids
