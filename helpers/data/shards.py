"""Images in WebDataset-style tar shards, read in place."""

import json
import os
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from math import prod
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from braceexpand import braceexpand

from helpers.checks import WorkbookError
from helpers.data.decode import IMAGE_SUFFIXES, UnreadableImage, decode, refuse_if_passing
from helpers.data.files import expand, printable
from helpers.data.images import Image, state_of
from helpers.data.reading import open_file, why

MOST_SHARDS = 1_000_000
LONGEST_HEADER = 2**16
"""Bytes of what stands before a member's own header: a longer name, times, attributes."""

HEADERS_OF_OTHERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class Extent(NamedTuple):
    """Where a member's bytes are: a shard's path, and an offset and size in bytes.

    Every read opens the shard anew, so that threads and processes share no file position.
    """

    shard: Path
    offset: int
    size: int

    def read(self) -> bytes:
        """Read the member's bytes."""
        with open_file(self.shard) as file:
            file.seek(self.offset)
            return file.read(self.size)


def open_shards(pattern: str) -> list[Image]:
    """List the images of the shards that a brace pattern names.

    A sample is all members that share a name up to the first dot of the last part, its key. The id
    of an image is its shard's path below the folder common to all shards, without `.tar`, and the
    key, with the rest of the member's name where a sample has several images. A `.txt` member of
    the sample is the caption, or else the `caption` entry of its `.json` member. Hidden members
    are left out.

    Parameters
    ----------
    pattern : str
        Path of a `.tar` file, or of several as in `cc3m-{00000..00003}.tar`.

    Returns
    -------
    list of Image
        In the order of shards, and of members in a shard.

    Raises
    ------
    WorkbookError
        If the pattern is invalid, or a shard is missing, compressed, corrupt, cut short or without
        images, or holds a part of a sample that is a link, a device or a sparse file, or whose name
        leads out of a folder.
    """
    shards = _expand(pattern)
    missing = [shard for shard in shards if not os.path.exists(shard)]
    if missing:
        raise WorkbookError(
            f"Shard {str(missing[0])!r} is missing ({len(missing)} of the {len(shards)} that "
            f"{pattern!r} names are); check the pattern or download it."
        )
    common = os.path.commonpath([shard.parent for shard in shards])
    return [image for shard in shards for image in _open_shard(shard, Path(common))]


def _expand(pattern: str) -> list[Path]:
    # braceexpand would fill the memory with a mistyped range.
    ranges = re.findall(r"\{(-?\d+)\.\.(-?\d+)", pattern)
    if prod(abs(int(last) - int(first)) + 1 for first, last in ranges) > MOST_SHARDS:
        raise WorkbookError(
            f"Shard pattern {pattern!r} names more than {MOST_SHARDS:,} shards; check its range."
        )
    try:
        return [expand(path).absolute() for path in braceexpand(pattern)]
    except ValueError as error:
        raise WorkbookError(f"Shard pattern {pattern!r} is invalid: {error}.") from error


def _open_shard(shard: Path, common: Path) -> list[Image]:
    """List one shard's images."""
    state = state_of(shard)
    members = _members(shard)
    samples = Counter(_key(name) for name in members if _is_image(name))
    if not samples:
        raise WorkbookError(f"Shard {str(shard)!r} holds no images; it has {len(members)} members.")
    prefix = shard.relative_to(common).with_suffix("").as_posix()
    captions = {key: _caption_of(key, members) for key in samples}
    return [
        Image(
            id=printable(f"{prefix}/{name if samples[_key(name)] > 1 else _key(name)}"),
            read_pixels=partial(_pixels, extent, captions[_key(name)]),
            told=captions[_key(name)],
            path=shard,
            state=state,
        )
        for name, extent in members.items()
        if _is_image(name)
    ]


def _members(shard: Path) -> dict[str, Extent]:
    """Map names to where the bytes are; of two files of one name the later is taken."""
    try:
        with (
            open_file(shard) as file,
            tarfile.open(fileobj=file, mode="r:", tarinfo=_Member) as archive,
        ):
            found = list(_in_order(archive))
            end = archive.offset
    # tarfile lets errors of many kinds through, and needs more memory than there is for some.
    except Exception as error:
        raise WorkbookError(
            f"Shard {str(shard)!r} can't be read as an uncompressed tar file ({why(error)}); "
            "decompress it or download it again."
        ) from error
    _check_end(Extent(shard, end, tarfile.BLOCKSIZE))
    for member in found:
        _check_member(shard, member)
    return {
        PurePosixPath(member.name).as_posix(): Extent(shard, member.offset_data, member.size)
        for member in found
        if member.isfile()
    }


class _Member(tarfile.TarInfo):
    """A member whose headers are short; tarfile takes hours to search a long one for a number."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> "_Member":
        member = super().frombuf(buf, encoding, errors)
        if member.type in HEADERS_OF_OTHERS and member.size > LONGEST_HEADER:
            raise tarfile.ReadError(f"it has a header of {member.size:,} bytes")
        return member


def _in_order(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Go through an archive; a size below zero would lead back, and round for ever."""
    for member in archive:
        if archive.offset <= member.offset:
            raise tarfile.ReadError(f"a member at byte {member.offset:,} has no valid size")
        yield member


def _check_end(block: Extent) -> None:
    """Check that a shard's members are followed by its end mark.

    tarfile takes a damaged header for the end, and so would leave out all members after it without
    a word.
    """
    if block.read() != bytes(tarfile.BLOCKSIZE):
        raise WorkbookError(
            f"Shard {str(block.shard)!r} is damaged or cut short at byte {block.offset:,}; "
            "download it again."
        )


def _check_member(shard: Path, member: tarfile.TarInfo) -> None:
    """Check that what may belong to a sample lies in the shard itself, under a name of its own."""
    path = PurePosixPath(member.name)
    if path.suffix.lower() not in (*IMAGE_SUFFIXES, *_CAPTIONS):
        return
    if path.is_absolute() or ".." in path.parts:
        raise WorkbookError(
            f"Shard {str(shard)!r} holds {member.name!r}, a name that leads out of a folder; pack "
            "it again with names that don't start with / and go through no `..`."
        )
    if member.issparse() or not (member.isfile() or member.isdir()):
        kind = next(kind for is_kind, kind in _KINDS.items() if is_kind(member))
        raise WorkbookError(
            f"Shard {str(shard)!r} holds {member.name!r} as {kind}; pack it again with tar "
            "--dereference --hard-dereference, without --sparse."
        )


_KINDS = {
    tarfile.TarInfo.issym: "a link to another file",
    tarfile.TarInfo.islnk: "a link to another file",
    tarfile.TarInfo.issparse: "a sparse file",
    lambda member: True: "a pipe, a device or something else that is no file",
}


def _key(name: str) -> str:
    """Cut a member's name at the first dot of its last part; dots of folders stay."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def _is_image(name: str) -> bool:
    """Tell images from other members, and from the hidden files that some systems add."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and path.suffix.lower() in IMAGE_SUFFIXES


def _caption_of(key: str, members: dict[str, Extent]) -> Callable[[str], str | None] | None:
    """Find how to read a sample's caption, if it has one."""
    for suffix, read in _CAPTIONS.items():
        if key + suffix in members:
            return partial(read, members[key + suffix])
    return None


def _text_caption(extent: Extent, image_id: str) -> str:
    try:
        return _bytes(extent, image_id).decode().strip()
    except UnicodeDecodeError as error:
        raise UnreadableImage(image_id, "its caption is no UTF-8 text") from error


def _json_caption(extent: Extent, image_id: str) -> str | None:
    data = _bytes(extent, image_id)
    try:
        caption = json.loads(data).get("caption")
    except (ValueError, AttributeError, RecursionError) as error:
        raise UnreadableImage(image_id, f"its caption is no JSON object ({error})") from error
    if not isinstance(caption, str | None):
        raise UnreadableImage(image_id, f"its caption is no text but {type(caption).__name__}")
    # JSON can write halves of characters, which nothing else can.
    return caption and caption.encode("utf-8", "backslashreplace").decode()


_CAPTIONS = {".txt": _text_caption, ".json": _json_caption}
"""Suffix of a member that has a sample's caption → how it is read; the first that is there."""


def _pixels(
    extent: Extent, caption: Callable[[str], str | None] | None, image_id: str
) -> np.ndarray:
    """Read a sample's image; one whose caption can't be read counts as unreadable, too."""
    if caption:
        caption(image_id)
    return decode(BytesIO(_bytes(extent, image_id)), image_id)


def _bytes(extent: Extent, image_id: str) -> bytes:
    try:
        return extent.read()
    except OSError as error:
        refuse_if_passing(error, image_id)
        raise UnreadableImage(image_id, why(error)) from error
