"""An image of a source, and several of them; pixels are decoded when they are asked for."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np

from helpers.data.decode import UnreadableImage


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a source.

    Attributes
    ----------
    id : str
        Its name, unique among the images opened with it and the same at every opening.
    read_pixels : callable
        From the id, for error messages, to the decoded pixels.
    told : str, callable or None
        What the source says the image shows: the caption itself, or how to read it given the id.
    path : Path or None
        The file that holds it; None where the id says all, as for scenes.
    source : str
        Short name of the source that it was opened from.
    state : tuple of int or None
        Size in bytes and time of change in nanoseconds of the file when it was listed; found where
        it is not given, and None where there is no file.
    """

    id: str
    read_pixels: Callable[[str], np.ndarray]
    told: str | Callable[[str], str | None] | None = None
    path: Path | None = None
    source: str = ""
    state: tuple[int, int] | None = None

    def __post_init__(self):
        if self.path and self.state is None:
            object.__setattr__(self, "state", state_of(self.path))

    @property
    def pixels(self) -> np.ndarray:
        """Upright RGB, uint8, height × width × 3; decoded anew at each access.

        Raises
        ------
        UnreadableImage
            If the image is missing, empty, truncated, corrupt, too large or none at all, or its
            file was changed after it was listed.
        """
        pixels = self.read_pixels(self.id)
        if self.path and state_of(self.path) != self.state:
            raise UnreadableImage(
                self.id, "its file was changed after the images were listed; list them again"
            )
        return pixels

    @property
    def caption(self) -> str | None:
        """What the image shows, where the source says so.

        Raises
        ------
        UnreadableImage
            If the caption is there and can't be read.
        """
        return self.told(self.id) if callable(self.told) else self.told


class Images(Sequence[Image]):
    """Images in a fixed order.

    Parameters
    ----------
    images : iterable of Image
    """

    def __init__(self, images: Iterable[Image]):
        self._images = tuple(images)

    @property
    def ids(self) -> list[str]:
        """The images' ids, in order."""
        return [image.id for image in self._images]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the ids and of the sizes and times of the files: other images, another one."""
        digest = hashlib.sha256()
        for image in self._images:
            digest.update(repr((image.id, image.state)).encode())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, index: int) -> Image: ...

    @overload
    def __getitem__(self, index: slice) -> "Images": ...

    def __getitem__(self, index):
        if isinstance(index, slice):
            return Images(self._images[index])
        return self._images[index]

    def __repr__(self) -> str:
        return f"<{len(self)} images>"


def state_of(path: Path) -> tuple[int, int] | None:
    """Return a file's size and time of change, which tell whether it is still the same.

    Parameters
    ----------
    path : Path

    Returns
    -------
    tuple of int or None
        None where there is no such file.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # a name with NUL in it
        return None
    return status.st_size, status.st_mtime_ns
