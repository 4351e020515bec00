"""Images in WebDataset-style tar shards, read in place."""

import os
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from glob import glob
from io import BytesIO
from math import prod
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from braceexpand import braceexpand

from helpers.checks import WorkbookError
from helpers.data.decode import (
    IMAGE_SUFFIXES,
    UnreadableImage,
    decode,
    is_image,
    refuse_if_passing,
    suffix_of,
)
from helpers.data.images import Image, Images, LeftOut, state_of
from helpers.data.metadata import CAPTION_SUFFIXES, SIDECARS, Annotation, merged
from helpers.data.reading import BadFile, expand, open_file, printable, why

SHARD_SUFFIX = ".tar"
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


def open_shards(pattern: str) -> Images:
    """List the images of the shards that a pattern names.

    A sample is all members that share a name up to the first dot of the last part, its key. The id
    of an image is its shard's path below the folder common to all shards, without `.tar`, and the
    key, with the rest of the member's name where a sample has several images. Captions and metadata
    come from members that end in `.txt`, `.caption` or `.json` and have the image's whole name, or
    else the sample's key; a sample's only such member may be called as it likes. Hidden members are
    left out.
    """
    shards = [path for name in _expand(pattern) for path in _matching(name)]
    missing = [shard for shard in shards if not os.path.exists(shard)]
    if missing:
        raise WorkbookError(
            f"Shard {str(missing[0])!r} is missing ({len(missing)} of the {len(shards)} that "
            f"{pattern!r} names are); check the pattern or download it."
        )
    return open_all(shards)


def open_all(shards: Sequence[Path]) -> Images:
    """List the images of shards that are there."""
    common, left_out = Path(os.path.commonpath([shard.parent for shard in shards])), LeftOut()
    images = [image for shard in shards for image in _open_shard(shard, common, left_out)]
    return Images(images, left_out)


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


def _matching(path: Path) -> list[Path]:
    """Return the files that a path with `*` or `?` stands for; itself where there is none."""
    return [Path(name) for name in sorted(glob(str(path)))] or [path]


def _open_shard(shard: Path, common: Path, left_out: LeftOut) -> list[Image]:
    """List one shard's images."""
    state = state_of(shard)
    prefix = shard.relative_to(common).with_suffix("").as_posix()
    members = _members(shard, prefix, left_out)
    samples: dict[str, list[str]] = {}
    for name in members:
        samples.setdefault(_key(name), []).append(name)
    images = Counter(_key(name) for name in members if is_image(name))
    if not images:
        raise WorkbookError(f"Shard {str(shard)!r} holds no images; it has {len(members)} members.")
    listed, used = [], set()
    for name in filter(is_image, members):
        key = _key(name)
        names = _sidecars(name, samples[key], alone=images[key] == 1)
        used.update(names)
        sidecars = tuple((members[file], SIDECARS[suffix_of(file)]) for file in names)
        listed.append(
            Image(
                id=printable(f"{prefix}/{name if images[key] > 1 else key}"),
                read_pixels=partial(_pixels, members[name], sidecars),
                caption_source=partial(_captions, sidecars) if sidecars else None,
                path=shard,
                state=state,
                metadata_source=partial(_metadata, sidecars) if sidecars else {},
            )
        )
    left_out.add_files(members, used, prefix)
    return listed


def _sidecars(name: str, sample: Sequence[str], *, alone: bool) -> list[str]:
    """Return the members of an image's sample that say something of it, captions first."""
    sidecars = [file for ending in SIDECARS for file in sample if suffix_of(file) == ending]
    same = [file for file in sidecars if _stem(file) == _stem(name)]
    same = same or [file for file in sidecars if _stem(file) == _key(name)]
    others = [file for file in sidecars if file not in same]
    captions = [file for file in others if suffix_of(file) in CAPTION_SUFFIXES]
    return same + captions if alone else same


def _members(shard: Path, prefix: str, left_out: LeftOut) -> dict[str, Extent]:
    """Map names to where the bytes are; of two files of one name the later is taken, as in tar."""
    try:
        with (
            open_file(shard) as file,
            tarfile.open(fileobj=file, mode="r:", tarinfo=_Member) as archive,
        ):
            listed = list(_in_order(archive))
            end = archive.offset
    # tarfile lets errors of many kinds through, and needs more memory than there is for some.
    except Exception as error:
        raise WorkbookError(
            f"Shard {str(shard)!r} can't be read as an uncompressed tar file ({why(error)}); "
            "decompress it or download it again."
        ) from error
    _check_end(Extent(shard, end, tarfile.BLOCKSIZE))
    for member in listed:
        _check_member(shard, member)
    extents: dict[str, Extent] = {}
    for member in filter(tarfile.TarInfo.isfile, listed):
        name = PurePosixPath(member.name).as_posix()
        if name in extents:
            left_out.add("member whose name comes again later", f"{prefix}/{name}")
        extents[name] = Extent(shard, member.offset_data, member.size)
    return extents


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
    if path.suffix.lower() not in (*IMAGE_SUFFIXES, *SIDECARS):
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


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


Sidecars = Sequence[tuple[Extent, Callable[[bytes], Annotation]]]


def _annotation(sidecars: Sidecars, image_id: str) -> Annotation:
    try:
        return merged(read(_bytes(extent, image_id)) for extent, read in sidecars)
    except BadFile as error:
        reason = f"its caption {str(error).rstrip('.')}"
        raise UnreadableImage(image_id, reason) from error


def _captions(sidecars: Sidecars, image_id: str) -> tuple[str, ...]:
    return _annotation(sidecars, image_id).captions


def _metadata(sidecars: Sidecars, image_id: str) -> Mapping[str, str]:
    return _annotation(sidecars, image_id).metadata


def _pixels(extent: Extent, sidecars: Sidecars, image_id: str) -> np.ndarray:
    """Read a sample's image; one whose caption can't be read counts as unreadable, too."""
    _annotation(sidecars, image_id)
    return decode(BytesIO(_bytes(extent, image_id)), image_id)


def _bytes(extent: Extent, image_id: str) -> bytes:
    try:
        return extent.read()
    except OSError as error:
        refuse_if_passing(error, image_id)
        raise UnreadableImage(image_id, why(error)) from error
