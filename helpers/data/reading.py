"""Reading what others made: paths as users write them, regular files, text, and cells of tables."""

import csv
import errno
import os
import re
import stat
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from os import PathLike, fspath
from pathlib import Path
from typing import BinaryIO, NamedTuple

SEPARATORS = ",;\t|"
"""What may stand between the cells of a CSV file; the first that fits its first row is taken."""

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_UTF16 = (BOM_UTF16_LE, BOM_UTF16_BE)


class BadFile(ValueError):
    """What is wrong with a file, as a sentence without its subject."""


def open_file(path: str | PathLike) -> BinaryIO:
    """Open a file whose reading ends, to read bytes."""
    kind = os.stat(path).st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, no file", fspath(path))
    # Of a pipe that took the file's place meanwhile, opening doesn't wait for a writer. Windows has
    # no pipes among its files, nor this flag.
    no_wait = getattr(os, "O_NONBLOCK", 0)
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | no_wait))


def why(error: Exception) -> str:
    """Return why a file could not be opened, without its path, which a report may not show."""
    return getattr(error, "strerror", None) or str(error)


def read_text(path: str | PathLike) -> str:
    r"""Read a text file: UTF-8, or UTF-16 if it starts with that encoding's mark."""
    try:
        with open_file(path) as file:
            data = file.read()
    except (OSError, ValueError) as error:  # a name with NUL in it
        raise BadFile(f"can't be read: {why(error)}.") from error
    return decode_text(data)


def decode_text(data: bytes) -> str:
    r"""Decode a text: UTF-8, or UTF-16 if it starts with that encoding's mark."""
    try:
        text = data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadFile("is no UTF-8 text; save it with that encoding.") from error
    # UTF-16 without its mark, and many a binary file, is valid UTF-8 but for these.
    if "\0" in text:
        raise BadFile("is no UTF-8 text (it holds NUL); save it with that encoding.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def expand(path: str) -> Path:
    """Expand `~`; unlike pathlib, leave `~name` as it is where no user has that name."""
    return Path(os.path.expanduser(path))


def printable(path: str) -> str:
    r"""Write what is no character to show as escapes, so that an id is one line of valid text."""
    text = path.encode("utf-8", "backslashreplace").decode()
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def inside(folder: Path, name: str) -> Path:
    """Find a file that a list names, which may be a link, below the list's folder."""
    path = Path(os.path.abspath(folder / expand(name)))
    if "\\" in name and not os.path.lexists(path):
        path = Path(os.path.abspath(folder / expand(name.replace("\\", "/"))))
    # A list made with absolute paths may name its folder by another way than the user does.
    if not any(path.is_relative_to(way(folder)) for way in (os.path.abspath, os.path.realpath)):
        raise BadFile(
            f"names {name!r}, which is not in its folder; put the list into a folder that all its "
            "images are in or below."
        )
    return path


class Row(NamedTuple):
    """Cells of a CSV file, without white space around them, and the line in which they end."""

    line: int
    cells: list[str]

    def named(self, header: Sequence[str]) -> dict[str, str]:
        """Return the cells by the names of their columns; those missing at the end are left out."""
        if len(self.cells) > len(header):
            raise BadFile(
                f"has {len(self.cells)} cells in line {self.line} and {len(header)} columns; put a"
                " text that contains a comma in double quotes."
            )
        return dict(zip(header, self.cells, strict=False))


def read_rows(text: str, is_first: Callable[[list[str]], bool]) -> list[Row]:
    """Return the rows of a CSV file."""
    separators = (each for each in SEPARATORS if is_first(_first_cells(text, each)))
    try:
        return list(_rows(text, next(separators, SEPARATORS[0])))
    except csv.Error as error:
        raise BadFile(f"is no valid CSV: {error}.") from error


def _first_cells(text: str, separator: str) -> list[str]:
    try:
        return next(_rows(text, separator)).cells
    except (StopIteration, csv.Error):
        return []


def _rows(text: str, separator: str) -> Iterator[Row]:
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    for cells in reader:
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            yield Row(reader.line_num, stripped)
