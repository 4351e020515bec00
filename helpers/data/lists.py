"""Images that a list names: a table of any kind with their files, captions and metadata."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from helpers.checks import WorkbookError
from helpers.data.about import About, about, together
from helpers.data.decode import decode, is_image
from helpers.data.images import Image, Images, LeftOut
from helpers.data.reading import BadFile, expand, inside, printable
from helpers.data.shards import open_all
from helpers.data.tables import KEY_COLUMN, PATH_COLUMNS, Row, path_column, read_table

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_NO_FILES = (
    "the workbook downloads no images; fetch them with img2dataset, and give the folder that it"
    " writes."
)


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


def named_rows(rows: Sequence[Row]) -> list[tuple[str, About]]:
    """Return the file that each row names, and what the row says of it."""
    column = path_column(rows)
    if rows and column is None:
        _refuse_without_paths(rows)
    return [(_name(row, column), _about(row, column)) for row in rows]


def _listed(folder: Path, rows: Sequence[Row]) -> list[Image]:
    named, said = {}, {}
    for name, one in named_rows(rows):
        file = inside(folder, name)
        named.setdefault(file, name)
        said.setdefault(file, []).append(one)
    for file, several in said.items():
        if len(several) > 1 and not all(one.captions for one in several):
            raise BadFile(
                f"names the image {named[file]!r} {len(several)} times; name every image once, so"
                " that none counts more than the others."
            )
    return [_image(name, file, together(said[file])) for file, name in named.items()]


def _image(name: str, file: Path, said: About) -> Image:
    return Image(
        printable(name), partial(decode, file), said.captions, path=file, facts=said.metadata
    )


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


def _about(row: Row, column: str) -> About:
    try:
        return about({name: value for name, value in row.cells.items() if name != column})
    except BadFile as error:
        raise BadFile(f"has a caption in line {row.line} that {error}") from error


def _refuse_without_paths(rows: Sequence[Row]) -> None:
    cells = rows[0].cells
    if url := next((one for one in cells.values() if isinstance(one, str) and _URL.match(one)), ""):
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
    files = {file.stem: file for file in _files(folder) if is_image(file.name)}
    if not files:
        _refuse_without_paths(rows)
    left_out, found = LeftOut(), []
    for row in rows:
        key = str(row.cells[KEY_COLUMN])
        if key in files:
            name = f"{folder.name}/{files[key].name}"
            found.append(_image(name, files[key], _about(row, KEY_COLUMN)))
        else:
            left_out.add("key without an image", key)
    return Images(found, left_out)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
