"""OpenCV, made to give the same pixels on every processor.

By default it chooses code by what the processor can do, and the variants round differently: with
AVX2, with AVX-512 or with Intel's IPP, a warped or blurred image differs in a few grey levels. What
is left without them is the code that every x86 processor runs, which costs no time on images of
this size.
"""

import cv2

cv2.setUseOptimized(False)
cv2.ipp.setUseIPP(False)

__all__ = ["cv2"]
