"""Images and views are integers, and bit-identical on every processor."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest

from helpers.data import open_images, views

PROGRAM = "from tests.test_data_opencv import digest; print(digest())"

# What libraries are told so that they run the code of other processors.
PROCESSORS = {
    "without AVX": {
        "OPENCV_CPU_DISABLE": "SSE4.1,SSE4.2,AVX,AVX2,FMA3,AVX512-SKX",
        "NPY_DISABLE_CPU_FEATURES": "AVX2,FMA3,AVX512F,AVX512CD,AVX512_SKX,AVX512_CLX,"
        "AVX512_CNL,AVX512_ICL,AVX512_SPR",
        "OPENBLAS_CORETYPE": "Prescott",
    },
    "of another generation": {"OPENBLAS_CORETYPE": "Nehalem", "OPENCV_IPP": "sse42"},
}


def digest():
    """Hash photographs and scenes, and their views at two severities."""
    photographs = [image for image in open_images("photos") if image.id in ("chelsea", "coins")]
    drawn = [
        view
        for image in [*photographs, *open_images("scenes:6")]
        for severity in (1.0, 2.5)
        for view in (image.pixels, *views(image.pixels, image.id, 0, severity).values())
    ]
    return sha256(b"".join(pixels.tobytes() for pixels in drawn)).hexdigest()


def test_every_thread_draws_the_same():
    with ThreadPoolExecutor(3) as pool:
        assert {future.result() for future in [pool.submit(digest) for _ in range(3)]} == {digest()}


@pytest.mark.parametrize("settings", PROCESSORS.values(), ids=PROCESSORS)
def test_another_processor_draws_the_same(settings):
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True)
    assert done.stdout.strip() == digest(), done.stderr


def test_images_and_views_are_those_of_every_machine():
    # As drawn on an AMD EPYC 9005. Where a library's upgrade changes them, raise ARRAYS_VERSION.
    assert digest() == "a5f18d113e0ed8e86f937294eb912ef1dc19ef485fa89a47cc27829088ca3080"
