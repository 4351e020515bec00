"""Reading texts, their properties and values from a text or CSV file."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from helpers.checks import WorkbookError
from helpers.data.reading import BadFile, read_rows, read_text

TEXT_COLUMN, PROPERTY_COLUMN, VALUE_COLUMN = "text", "property", "value"


class Row(NamedTuple):
    """A text, the property that it is about, and which value of it the text names."""

    text: str
    property: str | None = None
    value: str | None = None


def read(path: Path) -> list[Row]:
    """Read texts and their properties, in the file's order; what is not said is None.

    A text file has one text a line, without properties; empty lines are passed over. A CSV file
    starts with a header that names a column text and perhaps columns property and value.
    """
    try:
        rows = _READERS[path.suffix.lower()](read_text(path))
        _check(rows)
    except BadFile as error:
        raise WorkbookError(f"Texts file {str(path)!r} {error}") from error
    return rows


def _check(rows: list[Row]) -> None:
    if not rows:
        raise BadFile("holds no texts; write at least one.")
    # CLIP's tokenizer makes one of upper and lower case, and of any white space.
    times = Counter(" ".join(text.lower().split()) for text, *_ in rows)
    repeated = [text for text, count in times.items() if count > 1]
    if repeated:
        others = f" and {len(repeated) - 1} more" if len(repeated) > 1 else ""
        raise BadFile(
            f"has the text {repeated[0]!r}{others} more than once (upper and lower case are the "
            "same to CLIP); keep each text once."
        )


def _text_rows(content: str) -> list[Row]:
    return [Row(line.strip()) for line in content.split("\n") if line.strip()]


def _csv_rows(content: str) -> list[Row]:
    rows = read_rows(content, lambda cells: TEXT_COLUMN in map(str.lower, cells))
    header = [cell.lower() for cell in rows[0].cells] if rows else []
    if rows and TEXT_COLUMN not in header:
        named = ", ".join(map(repr, header))  # with what would break the line as an escape
        raise BadFile(
            f"has no column {TEXT_COLUMN!r}, only {named}; name the columns in the first line, "
            f"{TEXT_COLUMN} and perhaps {PROPERTY_COLUMN}."
        )
    return [_named_row(row.named(header), row.line) for row in rows[1:]]


def _named_row(cells: dict[str, str], line: int) -> Row:
    if not cells.get(TEXT_COLUMN):
        raise BadFile(f"has no text in line {line}; complete or remove the line.")
    said = (cells.get(name) or None for name in (PROPERTY_COLUMN, VALUE_COLUMN))
    return Row(cells[TEXT_COLUMN], *said)


_READERS: dict[str, Callable[[str], list[Row]]] = {".txt": _text_rows, ".csv": _csv_rows}
SUFFIXES = tuple(_READERS)
"""What the names of files with texts end in, in lower case."""
