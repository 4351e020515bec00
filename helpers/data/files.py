"""Images that are files of their own: in a folder, or named by a list."""

import csv
import os
from collections.abc import Iterator
from functools import partial
from io import StringIO
from pathlib import Path

from helpers.checks import WorkbookError
from helpers.data.decode import IMAGE_SUFFIXES, decode
from helpers.data.images import Image

PATH_COLUMNS = ("path", "image", "filepath")
CAPTION_COLUMN = "caption"


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
    r"""Write bytes of a file name that are no UTF-8 as escapes, so that an id is valid text.

    Parameters
    ----------
    path : str
        As Python decodes it, such bytes being surrogates.

    Returns
    -------
    str
        With `\udcff` and the like in their place.
    """
    return path.encode("utf-8", "backslashreplace").decode()


def open_list(spec: str) -> list[Image]:
    """List the images that a text or CSV file names.

    A text file has one path a line. A CSV file has the paths in its first column, or starts with a
    header that names a column path, image or filepath and perhaps a column caption. Relative paths
    start at the list's folder.

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
        If the list is no UTF-8 text, names nothing or has a row without a path.
    """
    path = expand(spec)
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = _READERS[path.suffix.lower()](text)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WorkbookError(f"List {spec!r} can't be read: {error}.") from error
    except _BadList as error:
        raise WorkbookError(f"List {spec!r} {error}") from error
    if not rows:
        raise WorkbookError(f"List {spec!r} names no images; write one path a line.")
    files = [path.parent / expand(name) for name, _ in rows]
    return [
        Image(name, partial(decode, file), caption, path=file)
        for (name, caption), file in zip(rows, files, strict=True)
    ]


class _BadList(ValueError):
    """What is wrong with a list, as a sentence without its subject."""


def _text_rows(text: str) -> list[tuple[str, str | None]]:
    return [(line.strip(), None) for line in text.split("\n") if line.strip()]


def _csv_rows(text: str) -> list[tuple[str, str | None]]:
    rows = [[cell.strip() for cell in row] for row in csv.reader(StringIO(text, newline=""))]
    rows = [row for row in rows if any(row)]
    if not rows:
        return []
    header = [cell.lower() for cell in rows[0]]
    column = next((name for name in PATH_COLUMNS if name in header), None)
    if column is not None:
        return [_named_row(header, column, row) for row in rows[1:]]
    if Path(rows[0][0]).suffix.lower() not in IMAGE_SUFFIXES:
        raise _BadList(
            f"starts with {rows[0][0]!r}, neither an image file nor a header with a column "
            f"{', '.join(PATH_COLUMNS[:-1])} or {PATH_COLUMNS[-1]}."
        )
    return [_named_row(["path"], "path", row) for row in rows]


def _named_row(header: list[str], column: str, row: list[str]) -> tuple[str, str | None]:
    cells = dict(zip(header, row, strict=False))
    if not cells.get(column):
        raise _BadList(f"has the row {','.join(row)!r} without a path; complete or remove it.")
    return cells[column], cells.get(CAPTION_COLUMN) or None


_READERS = {".txt": _text_rows, ".csv": _csv_rows}
LIST_SUFFIXES = tuple(_READERS)
"""What the names of lists end in, in lower case."""
