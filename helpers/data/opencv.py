"""OpenCV, made to give the same pixels on every processor.

By default it chooses code by what the processor can do, and the variants round differently: with
AVX2, with AVX-512 or with Intel's IPP, a warped or blurred image differs in a few grey levels. What
is left without them is the code that every x86 processor runs, which costs no time on images of
this size.
"""

import os

# Only the environment reaches every thread: `cv2.ipp.setUseIPP` holds for the calling one alone.
os.environ["OPENCV_IPP"] = "disabled"

import cv2

_level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
cv2.setUseOptimized(False)  # would warn that it finds IPP disabled
cv2.utils.logging.setLogLevel(_level)

__all__ = ["cv2"]
