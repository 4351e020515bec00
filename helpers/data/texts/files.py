"""Reading texts, their properties and values from a text or CSV file."""

import csv
from collections import Counter
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from helpers.checks import WorkbookError

TEXT_COLUMN, PROPERTY_COLUMN, VALUE_COLUMN = "text", "property", "value"


class Row(NamedTuple):
    """A text, the property that it is about, and which value of it the text names."""

    text: str
    property: str | None = None
    value: str | None = None


class _BadFile(ValueError):
    """What is wrong with a file, as a sentence without its subject."""


def read(path: Path) -> list[Row]:
    """Read texts and their properties.

    A text file has one text a line, without properties; empty lines are passed over. A CSV file
    starts with a header that names a column text and perhaps columns property and value.

    Parameters
    ----------
    path : pathlib.Path
        Ends in one of `SUFFIXES`, in any case.

    Returns
    -------
    list of Row
        In the file's order; what is not said is None.

    Raises
    ------
    WorkbookError
        If the file can't be read, names no text, or names one several times.
    """
    try:
        rows = _READERS[path.suffix.lower()](path.read_text(encoding="utf-8-sig"))
        _check(rows)
    except OSError as error:
        raise WorkbookError(f"Texts file {str(path)!r} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise WorkbookError(
            f"Texts file {str(path)!r} is no UTF-8 text; save it with that encoding."
        ) from error
    except csv.Error as error:
        raise WorkbookError(f"Texts file {str(path)!r} is no valid CSV: {error}.") from error
    except _BadFile as error:
        raise WorkbookError(f"Texts file {str(path)!r} {error}") from error
    return rows


def _check(rows: list[Row]) -> None:
    if not rows:
        raise _BadFile("holds no texts; write at least one.")
    # CLIP's tokenizer makes one of upper and lower case, and of any white space.
    times = Counter(" ".join(text.lower().split()) for text, *_ in rows)
    repeated = [text for text, count in times.items() if count > 1]
    if repeated:
        others = f" and {len(repeated) - 1} more" if len(repeated) > 1 else ""
        raise _BadFile(
            f"has the text {repeated[0]!r}{others} more than once (upper and lower case are the "
            "same to CLIP); keep each text once."
        )


def _text_rows(content: str) -> list[Row]:
    return [Row(line.strip()) for line in content.split("\n") if line.strip()]


def _csv_rows(content: str) -> list[Row]:
    reader = csv.reader(StringIO(content, newline=""), strict=True)
    header = [cell.strip().lower() for cell in next(reader, [])]
    if header and TEXT_COLUMN not in header:
        raise _BadFile(
            f"has no column {TEXT_COLUMN!r}, only {', '.join(header)}; name the columns in the "
            f"first line, {TEXT_COLUMN} and perhaps {PROPERTY_COLUMN}."
        )
    return [
        _named_row(header, [cell.strip() for cell in cells], reader.line_num)
        for cells in reader
        if any(cell.strip() for cell in cells)
    ]


def _named_row(header: list[str], cells: list[str], line: int) -> Row:
    if len(cells) > len(header):
        raise _BadFile(
            f"has {len(cells)} cells in line {line} and {len(header)} columns; put a text that "
            "contains a comma in double quotes."
        )
    row = dict(zip(header, cells, strict=False))
    if not row.get(TEXT_COLUMN):
        raise _BadFile(f"has no text in line {line}; complete or remove the line.")
    return Row(row[TEXT_COLUMN], row.get(PROPERTY_COLUMN) or None, row.get(VALUE_COLUMN) or None)


_READERS: dict[str, Callable[[str], list[Row]]] = {".txt": _text_rows, ".csv": _csv_rows}
SUFFIXES = tuple(_READERS)
"""What the names of files with texts end in, in lower case."""
