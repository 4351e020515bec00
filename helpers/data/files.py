"""Images that are files of their own: in a folder, or named by a list."""

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from helpers.checks import WorkbookError
from helpers.data.decode import IMAGE_SUFFIXES, decode
from helpers.data.images import Image
from helpers.data.reading import BadFile, read_rows, read_text

PATH_COLUMNS = ("path", "image", "filepath")
CAPTION_COLUMN = "caption"

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def expand(path: str) -> Path:
    """Expand `~`; unlike pathlib, leave `~name` as it is where no user has that name.

    Parameters
    ----------
    path : str

    Returns
    -------
    pathlib.Path
    """
    return Path(os.path.expanduser(path))


def open_folder(spec: str) -> list[Image]:
    """List the images in a folder and the folders below it.

    Hidden files and folders are left out, and links to folders are not followed.

    Parameters
    ----------
    spec : str
        Path of the folder.

    Returns
    -------
    list of Image
        Sorted by id, the path relative to the folder.

    Raises
    ------
    WorkbookError
        If there are no images, or a folder can't be listed.
    """
    folder = expand(spec)
    paths = sorted(path.relative_to(folder).as_posix() for path in _image_files(folder))
    if not paths:
        raise WorkbookError(
            f"Folder {spec!r} holds no images; their names end in {', '.join(IMAGE_SUFFIXES)}, in "
            "any case, and don't start with a dot."
        )
    return [
        Image(printable(path), partial(decode, folder / path), path=folder / path) for path in paths
    ]


def _image_files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                yield Path(root, name)


def _refuse(error: OSError) -> None:
    # Left to itself, os.walk passes over a folder that it can't list.
    raise WorkbookError(
        f"Folder {error.filename!r} can't be listed ({error.strerror}); make it "
        "readable or move it."
    ) from error


def printable(path: str) -> str:
    r"""Write what is no character to show as escapes, so that an id is one line of valid text.

    Parameters
    ----------
    path : str
        As Python decodes it, bytes that are no UTF-8 being surrogates.

    Returns
    -------
    str
        With `\udcff`, `\n` and the like in the place of such bytes and of control characters.
    """
    text = path.encode("utf-8", "backslashreplace").decode()
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def open_list(spec: str) -> list[Image]:
    """List the images that a text or CSV file names.

    A text file has one path a line. A CSV file, its cells separated by commas, semicolons or tabs,
    has the paths in its first column, or starts with a header that names a column path, image or
    filepath and perhaps a column caption. Relative paths start at the list's folder, and no path
    may lead out of it: a list from elsewhere must not choose what is read on this machine.

    Parameters
    ----------
    spec : str
        Path of the list, which ends in `.txt` or `.csv`.

    Returns
    -------
    list of Image
        In the list's order; an id is the path as the list writes it. A missing file is an image
        that can't be read.

    Raises
    ------
    WorkbookError
        If the list is no text, names nothing, has a row without a path, or a path out of its
        folder.
    """
    path = expand(spec)
    try:
        rows = _READERS[path.suffix.lower()](read_text(path))
        files = [_inside(path.parent, name) for name, _ in rows]
    except BadFile as error:
        raise WorkbookError(f"List {spec!r} {error}") from error
    if not rows:
        raise WorkbookError(f"List {spec!r} names no images; write one path a line.")
    return [
        Image(printable(name), partial(decode, file), caption, path=file)
        for (name, caption), file in zip(rows, files, strict=True)
    ]


def _inside(folder: Path, name: str) -> Path:
    """Find a list's file, which may be a link, below the list's folder."""
    path = Path(os.path.abspath(folder / expand(name)))
    # A list made with absolute paths may name its folder by another way than the user does.
    if not any(path.is_relative_to(way(folder)) for way in (os.path.abspath, os.path.realpath)):
        raise BadFile(
            f"names {name!r}, which is not in its folder; put the list into a folder that all its "
            "images are in or below."
        )
    return path


def _text_rows(text: str) -> list[tuple[str, str | None]]:
    return [(line.strip(), None) for line in text.split("\n") if line.strip()]


def _csv_rows(text: str) -> list[tuple[str, str | None]]:
    rows = read_rows(text, lambda cells: _path_column(cells) or _starts_with_image(cells))
    if not rows:
        return []
    first = rows[0].cells
    column = _path_column(first)
    if column is None and not _starts_with_image(first):
        raise BadFile(
            f"starts with {first[0]!r}, neither an image file nor a header with a column "
            f"{', '.join(PATH_COLUMNS[:-1])} or {PATH_COLUMNS[-1]}."
        )
    if column is None:
        return [_path_and_caption({"path": row.cells[0]}, "path", row.line) for row in rows]
    header = [cell.lower() for cell in first]
    return [_path_and_caption(row.named(header), column, row.line) for row in rows[1:]]


def _path_column(cells: list[str]) -> str | None:
    header = [cell.lower() for cell in cells]
    return next((name for name in PATH_COLUMNS if name in header), None)


def _starts_with_image(cells: list[str]) -> bool:
    return bool(cells) and Path(cells[0]).suffix.lower() in IMAGE_SUFFIXES


def _path_and_caption(cells: dict[str, str], column: str, line: int) -> tuple[str, str | None]:
    if not cells.get(column):
        raise BadFile(f"has no path in line {line}; complete or remove the line.")
    return cells[column], cells.get(CAPTION_COLUMN) or None


_READERS = {".txt": _text_rows, ".csv": _csv_rows}
LIST_SUFFIXES = tuple(_READERS)
"""What the names of lists end in, in lower case."""
