"""Images that are files of their own: alone, in a folder, or named by a list."""

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from helpers.checks import WorkbookError
from helpers.data.decode import IMAGE_SUFFIXES, decode, is_image, suffix_of
from helpers.data.images import Image, Images, LeftOut
from helpers.data.metadata import (
    KEY_COLUMN,
    PATH_COLUMNS,
    SIDECARS,
    TABLE_SUFFIXES,
    Annotation,
    Row,
    annotation_of,
    merged,
    path_column,
    read_table,
)
from helpers.data.reading import BadFile, expand, inside, open_file, printable
from helpers.data.shards import SHARD_SUFFIX, open_all

METADATA = "metadata"
"""Name, without its ending, of the table that says something of the images of its folder."""

SPLITS = ("train", "test", "val", "valid", "validation", "dev")
"""Folders that split a set of images and name no class."""

YEAR = 4
"""Digits from which on a folder's number is a date or a shard, and no class."""

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_NO_FILES = (
    "the workbook downloads no images; fetch them with img2dataset, and give the folder that it"
    " writes."
)


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
    annotations, used = _annotations(folder, images, names, left_out)
    left_out.add_files(names, used)
    images = (_image(name, folder / name, annotations[name]) for name in images)
    return Images(images, left_out)


def open_image(spec: str) -> Images:
    """Open one image file, with what the files beside it say."""
    path, left_out = expand(spec), LeftOut()
    sidecars = [path.stem + ending for ending in SIDECARS if path.with_suffix(ending).is_file()]
    annotations, _ = _annotations(path.parent, [path.name], sidecars, left_out)
    left_out.add_file(path.name)
    return Images([_image(path.name, path, annotations[path.name])], left_out)


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
    images = open_all([folder.absolute() / name for name in shards])
    images.left_out.add_files(names, shards)
    return images


def _image(name: str, path: Path, annotation: Annotation) -> Image:
    captions, metadata = annotation
    return Image(printable(name), partial(decode, path), captions, path, metadata_source=metadata)


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


def _annotations(
    folder: Path, images: Sequence[str], names: Sequence[str], left_out: LeftOut
) -> tuple[dict[str, Annotation], set[str]]:
    """Return what is said of each image, and the names of the files that say it."""
    there = set(names)
    annotations: dict[str, list[Annotation]] = {name: [] for name in images}
    tables = [name for name in names if _is_metadata(name)]
    for table in tables:
        for name, annotation in _rows(folder, table, left_out):
            if name in annotations:
                annotations[name].append(annotation)
            elif name not in there:
                left_out.add(f"row of {METADATA} without its file", name)
    sidecars = {name: [file for file in _sidecars(name) if file in there] for name in images}
    for name, files in sidecars.items():
        read = (_read(folder, file, left_out) for file in files)
        annotations[name] += filter(None, read)
    classes = _classes(images)
    joined = {name: merged(several) for name, several in annotations.items()}
    whole = {
        name: Annotation(captions, {**classes.get(name, {}), **metadata})
        for name, (captions, metadata) in joined.items()
    }
    return whole, {*tables, *chain.from_iterable(sidecars.values())}


def _is_metadata(name: str) -> bool:
    stem, _ = posixpath.splitext(posixpath.basename(name))
    return stem == METADATA and suffix_of(name) in TABLE_SUFFIXES


def _rows(folder: Path, table: str, left_out: LeftOut) -> list[tuple[str, Annotation]]:
    """Return the image that each row of a folder's table names, and what the row says of it."""
    try:
        rows = _named_rows(read_table(folder / table))
    except BadFile as error:
        left_out.add(f"table that {str(error).rstrip('.')}", table)
        return []
    above = posixpath.dirname(table)
    return [
        (posixpath.normpath(posixpath.join(above, name.replace("\\", "/"))), annotation)
        for name, annotation in rows
    ]


def _sidecars(name: str) -> list[str]:
    stem, _ = posixpath.splitext(name)
    return [stem + ending for ending in SIDECARS]


def _read(folder: Path, name: str, left_out: LeftOut) -> Annotation | None:
    try:
        with open_file(folder / name) as file:
            return SIDECARS[suffix_of(name)](file.read())
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
    if all(name.isdecimal() and len(name) >= YEAR for name in classes):
        return {}
    split = {name: {"split": parts[0]} if splits else {} for name, parts in folders.items()}
    return {name: {"class": parts[0]} | split[name] for name, parts in below.items()}


def open_list(spec: str) -> Images:
    """List the images that a table names.

    Relative paths start at the list's folder, and no path may lead out of it: a list from elsewhere
    must not choose what is read on this machine. Rows that name one file are one image of several
    captions. What img2dataset writes beside a shard or a folder names their images by its keys.
    """
    path = expand(spec)
    try:
        rows = read_table(path)
        if not rows:
            raise BadFile("names no images; write one path a line.")
        if path_column(rows) is None and KEY_COLUMN in rows[0].cells:
            return _by_key(path, rows)
        return Images(_listed(path.parent, rows))
    except BadFile as error:
        raise WorkbookError(f"List {spec!r} {error}") from error


def _named_rows(rows: Sequence[Row]) -> list[tuple[str, Annotation]]:
    """Return the file that each row names, and what the row says of it."""
    column = path_column(rows)
    if rows and column is None:
        _refuse_without_paths(rows)
    return [(_name(row, column), _annotation(row, column)) for row in rows]


def _listed(folder: Path, rows: Sequence[Row]) -> list[Image]:
    named, annotations = {}, {}
    for name, annotation in _named_rows(rows):
        file = inside(folder, name)
        named.setdefault(file, name)
        annotations.setdefault(file, []).append(annotation)
    for file, several in annotations.items():
        if len(several) > 1 and not all(annotation.captions for annotation in several):
            raise BadFile(
                f"names the image {named[file]!r} {len(several)} times; name every image once, so"
                " that none counts more than the others."
            )
    return [_image(name, file, merged(annotations[file])) for file, name in named.items()]


def _name(row: Row, column: str) -> str:
    name = row.cells.get(column)
    if not isinstance(name, str | None):
        raise BadFile(
            f"has no paths in its column {column!r} but {type(name).__name__}; where that is the"
            " image itself, save the images as files, and give their folder."
        )
    if not name:
        raise BadFile(f"has no path in line {row.line}; complete or remove the line.")
    if _URL.match(name):
        raise BadFile(f"names an address of the web, {name!r}; {_NO_FILES}")
    return name


def _annotation(row: Row, column: str) -> Annotation:
    try:
        return annotation_of({name: value for name, value in row.cells.items() if name != column})
    except BadFile as error:
        raise BadFile(f"has a caption in line {row.line} that {error}") from error


def _refuse_without_paths(rows: Sequence[Row]) -> None:
    cells = rows[0].cells
    texts = (cell for cell in cells.values() if isinstance(cell, str))
    if url := next(filter(_URL.match, texts), ""):
        raise BadFile(f"names addresses of the web, such as {url!r}; {_NO_FILES}")
    raise BadFile(
        f"has no column {', '.join(PATH_COLUMNS[:-1])} or {PATH_COLUMNS[-1]}; it has"
        f" {', '.join(map(repr, cells))}."
    )


def _by_key(path: Path, rows: Sequence[Row]) -> Images:
    """Find the images of img2dataset's keys: in the shard of the list's name, or its folder."""
    if (shard := path.with_suffix(".tar")).is_file():
        return open_all([shard.absolute()])
    folder = path.with_suffix("")
    beside = sorted(folder.iterdir()) if folder.is_dir() else []
    files = {file.stem: file for file in beside if is_image(file.name)}
    if not files:
        _refuse_without_paths(rows)
    left_out, images = LeftOut(), []
    for row in rows:
        key = str(row.cells[KEY_COLUMN])
        if key in files:
            name = f"{folder.name}/{files[key].name}"
            images.append(_image(name, files[key], _annotation(row, KEY_COLUMN)))
        else:
            left_out.add("key without an image", key)
    return Images(images, left_out)
