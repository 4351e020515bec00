"""Images that are files of their own, in a folder or alone, and what lies beside them."""

import os
import posixpath
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from helpers.checks import WorkbookError
from helpers.data.about import BESIDE, About, together
from helpers.data.decode import IMAGE_SUFFIXES, decode, is_image, suffix_of
from helpers.data.images import Image, Images, LeftOut
from helpers.data.lists import named_rows
from helpers.data.reading import BadFile, expand, open_file, printable
from helpers.data.shards import SHARD_SUFFIX, open_all
from helpers.data.tables import SUFFIXES, read_table

METADATA = "metadata"
"""Name, without its ending, of the table that says something of the images of its folder."""

SPLITS = ("train", "test", "val", "valid", "validation", "dev")
"""Folders that part a set of images and name no class."""

YEAR = 4
"""Digits from which on a folder's number is a date or a shard, and no class."""


def open_folder(spec: str) -> Images:
    """List the images in a folder and the folders below it.

    Hidden files and folders are left out, and links to folders are not followed. Captions and
    metadata come from files of the image's name that end in `.txt`, `.caption` or `.json`, and from
    tables called metadata (`metadata.csv`, `.tsv`, `.jsonl`, `.parquet`) that name files of their
    folder. Where all images lie in sub-folders one level below, perhaps in turn of train and test,
    the sub-folder is the image's `class`. Of a folder without images, the shards are read.
    """
    folder = expand(spec)
    names = sorted(_files(folder))
    images = [name for name in names if is_image(name)]
    left_out = LeftOut()
    if not images:
        return _shards_in(spec, folder, names)
    said, used = _said_beside(folder, images, names, left_out)
    left_out.add_files(names, used)
    return Images((_image(folder, name, said[name]) for name in images), left_out)


def open_image(spec: str) -> Images:
    """Open one image file, with what the files beside it say."""
    path, left_out = expand(spec), LeftOut()
    beside = [path.stem + ending for ending in BESIDE if path.with_suffix(ending).is_file()]
    said, _ = _said_beside(path.parent, [path.name], beside, left_out)
    left_out.add_file(path.name)
    return Images([_image(path.parent, path.name, said[path.name])], left_out)


def _shards_in(spec: str, folder: Path, names: Sequence[str]) -> Images:
    shards = [name for name in names if suffix_of(name) == SHARD_SUFFIX]
    if not shards:
        left_out = LeftOut()
        left_out.add_files(names)
        has = f" It has {'; '.join(left_out.sentences())}." if left_out else ""
        raise WorkbookError(
            f"Folder {spec!r} holds no images; their names end in {', '.join(IMAGE_SUFFIXES)}, in "
            f"any case, and don't start with a dot.{has}"
        )
    found = open_all([folder.absolute() / name for name in shards])
    found.left_out.add_files(names, shards)
    return found


def _image(folder: Path, name: str, said: About) -> Image:
    path = folder / name
    return Image(
        printable(name), partial(decode, path), said.captions, path=path, facts=said.metadata
    )


def _files(folder: Path) -> Iterator[str]:
    """Yield the files in and below a folder that are not hidden, as ids write them."""
    for root, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(root).relative_to(folder).as_posix()
        yield from (posixpath.normpath(f"{below}/{name}") for name in names if name[0] != ".")


def _refuse(error: OSError) -> None:
    # Left to itself, os.walk passes over a folder that it can't list.
    raise WorkbookError(
        f"Folder {error.filename!r} can't be listed ({error.strerror}); make it "
        "readable or move it."
    ) from error


def _said_beside(
    folder: Path, images: Sequence[str], names: Sequence[str], left_out: LeftOut
) -> tuple[dict[str, About], set[str]]:
    """Return what is said of each image, and the names of the files that say it."""
    there = set(names)
    said: dict[str, list[About]] = {name: [] for name in images}
    tables = [name for name in names if _is_metadata(name)]
    for table in tables:
        for name, one in _rows(folder, table, left_out):
            if name in said:
                said[name].append(one)
            elif name not in there:
                left_out.add(f"row of {METADATA} without its file", name)
    beside = {name: [one for one in _beside(name) if one in there] for name in images}
    for name, files in beside.items():
        said[name] += [one for file in files if (one := _read(folder, file, left_out))]
    classes = _classes(images)
    joined = {name: together(several) for name, several in said.items()}
    about = {
        name: About(one.captions, {**classes.get(name, {}), **one.metadata})
        for name, one in joined.items()
    }
    return about, {*tables, *chain.from_iterable(beside.values())}


def _is_metadata(name: str) -> bool:
    stem, _ = posixpath.splitext(posixpath.basename(name))
    return stem == METADATA and suffix_of(name) in SUFFIXES


def _rows(folder: Path, table: str, left_out: LeftOut) -> list[tuple[str, About]]:
    """Return the image that each row of a folder's table names, and what the row says of it."""
    try:
        rows = named_rows(read_table(folder / table))
    except BadFile as error:
        left_out.add(f"table that {str(error).rstrip('.')}", table)
        return []
    above = posixpath.dirname(table)
    return [
        (posixpath.normpath(posixpath.join(above, name.replace("\\", "/"))), one)
        for name, one in rows
    ]


def _beside(name: str) -> list[str]:
    stem, _ = posixpath.splitext(name)
    return [stem + ending for ending in BESIDE]


def _read(folder: Path, name: str, left_out: LeftOut) -> About | None:
    try:
        with open_file(folder / name) as file:
            return BESIDE[suffix_of(name)](file.read())
    except (OSError, BadFile):
        left_out.add(f"{suffix_of(name)} beside an image that can't be read", name)
        return None


def _classes(images: Sequence[str]) -> dict[str, dict[str, str]]:
    """Take sub-folders for classes where all images lie in one, one level below the others."""
    folders = {name: name.split("/")[:-1] for name in images}
    splits = all(parts and parts[0].lower() in SPLITS for parts in folders.values())
    below = {name: parts[splits:] for name, parts in folders.items()}
    classes = {parts[0] for parts in below.values() if parts}
    if {len(parts) for parts in below.values()} != {1} or len(classes) < 2:
        return {}
    if all(one.isdecimal() and len(one) >= YEAR for one in classes):
        return {}
    split = {name: {"split": parts[0]} if splits else {} for name, parts in folders.items()}
    return {name: {"class": parts[0]} | split[name] for name, parts in below.items()}
