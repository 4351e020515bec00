"""An image of a source, and several of them; pixels are decoded when they are asked for."""

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
import pandas as pd

from helpers.data.decode import (
    MOVING_SUFFIXES,
    UnreadableImage,
    is_hidden,
    is_image,
    kind_of,
    suffix_of,
)
from helpers.data.reading import printable

LABEL = "label"
LABELS = ("class_name", LABEL, "class", "category")
"""Metadata that name an image's class; the first that is there is its label."""

MOST_GROUPS = 1000
"""Metadata of more different values divide images into no groups: addresses, widths, sentences."""

Captions = str | tuple[str, ...] | None


class Left(NamedTuple):
    """How many files of a kind a source leaves out, and the first of them."""

    count: int
    first: str


class LeftOut(dict[str, Left]):
    """What a source holds beside its images: kind → how many, and the first one's name."""

    def add(self, kind: str, name: str, count: int = 1) -> None:
        """Count files of a kind."""
        before = self.get(kind, Left(0, printable(name)))
        self[kind] = Left(before.count + count, before.first)

    def add_file(self, name: str, above: str = "") -> None:
        """Count a file that is no image; of an image, what is not read of it; nothing if hidden."""
        shown = f"{above}/{name}" if above else name
        if not is_image(name):
            if not is_hidden(name):
                self.add(kind_of(name), shown)
        elif suffix_of(name) in MOVING_SUFFIXES:
            self.add(f"later frames, if any, of {suffix_of(name)}", shown)

    def add_files(self, names: Iterable[str], used: Collection[str] = (), above: str = "") -> None:
        """Count the files of a folder or archive but for some that say something of images."""
        for name in names:
            if name not in used:
                self.add_file(name, above)

    def sentences(self) -> list[str]:
        """Write each kind in a line, such as ``3 × .mp4, the first clips/a.mp4``."""
        return [f"{n:,} × {kind}, the first {first}" for kind, (n, first) in sorted(self.items())]


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a source.

    Attributes
    ----------
    id : str
        Its name, unique among the images opened with it and the same at every opening.
    read_pixels : callable
        From the id, for error messages, to the decoded pixels.
    caption_source : str, tuple of str, callable or None
        What the source says the image shows: the captions themselves, or how to read them given
        the id.
    path : Path or None
        The file that holds it; None where the id says all, as for scenes.
    source : str
        Short name of the source that it was opened from.
    state : tuple of int or None
        Size in bytes and time of change in nanoseconds of the file when it was listed; found where
        it is not given, and None where there is no file.
    metadata_source : dict of str to str, or callable
        What else the source says of the image, by name, or how to read it given the id.
    """

    id: str
    read_pixels: Callable[[str], np.ndarray]
    caption_source: Captions | Callable[[str], Captions] = None
    path: Path | None = None
    source: str = ""
    state: tuple[int, int] | None = None
    metadata_source: Mapping[str, str] | Callable[[str], Mapping[str, str]] = field(
        default_factory=dict, hash=False
    )

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
        if self.was_changed:
            raise UnreadableImage(
                self.id, "its file was changed after the images were listed; list them again"
            )
        return pixels

    @property
    def was_changed(self) -> bool:
        """Whether its file is gone or another one since it was listed."""
        return self.path is not None and state_of(self.path) != self.state

    @property
    def captions(self) -> tuple[str, ...]:
        """All that the source says the image shows.

        Raises
        ------
        UnreadableImage
            If captions are there and can't be read.
        """
        captions = _read(self.caption_source, self.id)
        return captions if isinstance(captions, tuple) else (captions,) if captions else ()

    @property
    def caption(self) -> str | None:
        """What the image shows: the first of `captions`, None where there is none.

        Raises
        ------
        UnreadableImage
            If captions are there and can't be read.
        """
        return next(iter(self.captions), None)

    @property
    def metadata(self) -> Mapping[str, str]:
        """What else the source says of the image: name of a column → value, both texts.

        Raises
        ------
        UnreadableImage
            If it is there and can't be read.
        """
        return _read(self.metadata_source, self.id)

    @property
    def label(self) -> str | None:
        """The name of the image's class, where its metadata say one (`LABELS`).

        Raises
        ------
        UnreadableImage
            If metadata are there and can't be read.
        """
        return _label_of(self.metadata)[1]


class Images(Sequence[Image]):
    """Images in a fixed order.

    Parameters
    ----------
    images : iterable of Image
    left_out : LeftOut, optional
        What their sources hold beside them.

    Attributes
    ----------
    left_out : LeftOut
    """

    def __init__(self, images: Iterable[Image], left_out: LeftOut | None = None):
        self._images = tuple(images)
        self.left_out = LeftOut() if left_out is None else left_out

    @property
    def ids(self) -> list[str]:
        """The images' ids, in order."""
        return [image.id for image in self._images]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of ids, of the sizes and times of files, and of what lists say of them."""
        digest = hashlib.sha256()
        for image in self._images:
            digest.update(repr((image.id, image.state)).encode())
            # What is read from the image's own file has changed only if that has.
            sources = (image.caption_source, image.metadata_source)
            listed = [source for source in sources if source and not callable(source)]
            if image.path and listed:
                digest.update(repr(listed).encode())
        return digest.hexdigest()

    def metadata(self) -> pd.DataFrame:
        """Return the metadata that divide the images into groups.

        Returns
        -------
        DataFrame of str
            A row per image, indexed by id. A column per name of metadata with at most
            `MOST_GROUPS` different values; the one that names classes (`LABELS`) is called
            ``label``. "" where an image has none.
        """
        table = pd.DataFrame(
            [_metadata_of(image) for image in self._images], index=self.ids, dtype=str
        )
        few = [name for name in table if name == LABEL or table[name].nunique() <= MOST_GROUPS]
        return table[few].fillna("").rename_axis("image")

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, index: int) -> Image: ...

    @overload
    def __getitem__(self, index: slice) -> "Images": ...

    def __getitem__(self, index):
        if isinstance(index, slice):
            return Images(self._images[index], self.left_out)
        return self._images[index]

    def __repr__(self) -> str:
        return f"<{len(self)} images>"


def _read(source: object, image_id: str) -> object:
    """Return what a source says of an image: what it is, or what it reads given the id."""
    return source(image_id) if callable(source) else source


def _label_of(metadata: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the column that names the class of an image, and the class."""
    return next(((name, metadata[name]) for name in LABELS if metadata.get(name)), (None, None))


def _metadata_of(image: Image) -> dict[str, str]:
    try:
        metadata = image.metadata
    except UnreadableImage:  # a run reports the image, which it can't read either
        return {}
    column, label = _label_of(metadata)
    others = {name: text for name, text in metadata.items() if name != column}
    return others | {LABEL: label} if label else others


def state_of(path: Path) -> tuple[int, int] | None:
    """Return a file's size and time of change, which are others once it was changed."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # a name with NUL in it
        return None
    return status.st_size, status.st_mtime_ns
