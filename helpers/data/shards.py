"""Images in WebDataset-style tar shards, read in place."""

import json
import os
import tarfile
from collections import Counter
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from braceexpand import braceexpand

from helpers.checks import WorkbookError
from helpers.data.decode import IMAGE_SUFFIXES, UnreadableImage, decode
from helpers.data.files import expand, printable
from helpers.data.images import Image


class Extent(NamedTuple):
    """Where a member's bytes are: a shard's path, and an offset and size in bytes.

    Every read opens the shard anew, so that threads and processes share no file position.
    """

    shard: Path
    offset: int
    size: int

    def read(self) -> bytes:
        """Read the member's bytes."""
        with open(self.shard, "rb") as file:
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
        images.
    """
    shards = _expand(pattern)
    missing = [shard for shard in shards if not os.path.isfile(shard)]
    if missing:
        raise WorkbookError(
            f"Shard {str(missing[0])!r} is missing ({len(missing)} of the {len(shards)} that "
            f"{pattern!r} names are); check the pattern or download it."
        )
    common = os.path.commonpath([shard.parent for shard in shards])
    return [image for shard in shards for image in _open_shard(shard, Path(common))]


def _expand(pattern: str) -> list[Path]:
    try:
        return [expand(path) for path in braceexpand(pattern)]
    except ValueError as error:
        raise WorkbookError(f"Shard pattern {pattern!r} is invalid: {error}.") from error


def _open_shard(shard: Path, common: Path) -> list[Image]:
    """List one shard's images."""
    members = _members(shard)
    samples = Counter(_key(name) for name in members if _is_image(name))
    if not samples:
        raise WorkbookError(f"Shard {str(shard)!r} holds no images; it has {len(members)} members.")
    prefix = shard.relative_to(common).with_suffix("").as_posix()
    return [
        Image(
            id=printable(f"{prefix}/{name if samples[_key(name)] > 1 else _key(name)}"),
            read_pixels=partial(_pixels, extent),
            told=_caption_of(_key(name), members),
            path=shard,
        )
        for name, extent in members.items()
        if _is_image(name)
    ]


def _members(shard: Path) -> dict[str, Extent]:
    """Map names to where the bytes are; of two files of one name the later is taken."""
    try:
        with tarfile.open(shard, "r:") as archive:
            found = list(archive)
            end = archive.offset
    except (tarfile.TarError, OSError, ValueError) as error:
        raise WorkbookError(
            f"Shard {str(shard)!r} can't be read as an uncompressed tar file ({error}); "
            "decompress it or download it again."
        ) from error
    _check_end(Extent(shard, end, tarfile.BLOCKSIZE))
    for member in found:
        if (member.issym() or member.islnk()) and _is_image(member.name):
            raise WorkbookError(
                f"Shard {str(shard)!r} holds {member.name!r} as a link to another file; pack it "
                "again with tar --dereference --hard-dereference."
            )
    return {
        PurePosixPath(member.name).as_posix(): Extent(shard, member.offset_data, member.size)
        for member in found
        if member.isfile()
    }


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


def _key(name: str) -> str:
    """Cut a member's name at the first dot of its last part; dots of folders stay."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def _is_image(name: str) -> bool:
    """Tell images from other members, and from the hidden files that some systems add."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and path.suffix.lower() in IMAGE_SUFFIXES


def _caption_of(key: str, members: dict[str, Extent]):
    """Find how to read a sample's caption, if it has one."""
    for suffix, read in {".txt": _text_caption, ".json": _json_caption}.items():
        if key + suffix in members:
            return partial(read, members[key + suffix])
    return None


def _text_caption(extent: Extent, image_id: str) -> str:
    try:
        return extent.read().decode().strip()
    except ValueError as error:
        raise UnreadableImage(image_id, f"its caption is no UTF-8 text ({error})") from error


def _json_caption(extent: Extent, image_id: str) -> str | None:
    try:
        return json.loads(extent.read()).get("caption")
    except (ValueError, AttributeError) as error:
        raise UnreadableImage(image_id, f"its caption is no JSON object ({error})") from error


def _pixels(extent: Extent, image_id: str) -> np.ndarray:
    return decode(BytesIO(extent.read()), image_id)
