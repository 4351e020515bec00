"""Images at the size of views, kept in memory: runs of the same images read each of them once."""

from dataclasses import dataclass

import numpy as np

from helpers.data import Image, Preprocessing, views
from helpers.data.changes import ORIGINAL
from helpers.runs.compute.output_variables import content_of

ROOM = 2**27
"""Bytes that are kept: 891 originals of 224 × 224 pixels."""


@dataclass(frozen=True)
class Original:
    """An image as views show it when nothing is changed."""

    pixels: np.ndarray  # uint8, height × width × 3, of the size of views; read only
    content: np.ndarray  # what `content_of` gives of the image as it was decoded


class Originals:
    """Reads originals, and keeps those that were read first, as many as there is room for."""

    def __init__(self, room: int = ROOM):
        self._room = room
        self._kept: dict[tuple, Original] = {}

    def read(self, image: Image, preprocessing: Preprocessing) -> Original:
        """Return the original of an image; raise `UnreadableImage` if it can't be read."""
        key = image.id, image.state, preprocessing
        if key in self._kept and not image.was_changed:
            return self._kept[key]
        decoded = image.pixels
        drawn = views(decoded, image.id, changes=(), preprocessing=preprocessing)
        original = Original(drawn[ORIGINAL], content_of(decoded))
        original.pixels.setflags(write=False)
        if self._room >= original.pixels.nbytes:
            self._room -= original.pixels.nbytes
            self._kept[key] = original
        return original


NONE_KEPT = Originals(room=0)
