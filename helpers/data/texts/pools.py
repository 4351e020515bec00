"""Pools of texts that heads are described with: the workbook's own, and a user's files."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from os import PathLike, fspath
from pathlib import Path
from typing import NamedTuple

from helpers.checks import WorkbookError, one_of
from helpers.data.reading import BadFile, expand, read_rows, read_text

FOLDER = Path(__file__).parent
TEXT_COLUMN, PROPERTY_COLUMN, VALUE_COLUMN = "text", "property", "value"

MEMORISED = "photograph"
"""Property, in the workbook's own pools, of captions of photographs that models were trained on."""


class Row(NamedTuple):
    """A text, the property that it is about, and which value of it the text names."""

    text: str
    property: str | None = None
    value: str | None = None


@dataclass(frozen=True)
class Texts:
    """Texts, each perhaps with the property that it is about.

    Attributes
    ----------
    name : str
        Name of the pool or of the file.
    texts : tuple of str
        All different, upper and lower case being the same.
    properties : tuple of str or None
        What each text is about; None where nothing is said.
    values : tuple of str
        Which value of its property each text names: wordings of one value share it. The text
        itself, where nothing is said.
    """

    name: str
    texts: tuple[str, ...]
    properties: tuple[str | None, ...]
    values: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of texts, properties and values, in hexadecimal; the name has no part in it."""
        columns = [self.texts, self.properties, self.values]
        return sha256(json.dumps(columns).encode()).hexdigest()

    @cached_property
    def vocabulary(self) -> Mapping[str, tuple[str, ...]]:
        """Property → its texts, in the order of the pool; texts without a property are left out."""
        grouped: dict[str, tuple[str, ...]] = {}
        for text, name in zip(self.texts, self.properties, strict=True):
            if name is not None:
                grouped[name] = (*grouped.get(name, ()), text)
        return grouped


POOLS = ("general", "scenes")
"""The workbook's own: descriptions of images in general, for any CLIP; and of the scenes by their
properties and of the photographs, for the embedded models. `helpers.data.texts.make` writes them.
"""


def file_of(pool: str) -> str:
    """Name the file of one of `POOLS`."""
    return f"{pool}.csv"


def open_texts(source: str | PathLike) -> Texts:
    """Open a pool of texts."""
    if not isinstance(source, (str, PathLike)):
        raise WorkbookError(
            f"texts has no value {source!r}; choose one of {', '.join(POOLS)}, or a file."
        )
    spec = fspath(source)
    if spec in POOLS:
        return _texts(spec, _read(FOLDER / file_of(spec)))
    if not spec.lower().endswith(SUFFIXES):
        one_of("texts", spec, [*POOLS, *(f"FILE{suffix}" for suffix in SUFFIXES)])
    path = expand(spec)
    return _texts(path.name, _read(path))


def _texts(name: str, rows: list[Row]) -> Texts:
    texts, properties, values = zip(*rows, strict=True)
    named = tuple(value or text for text, value in zip(texts, values, strict=True))
    return Texts(name, texts, properties, named)


def _read(path: Path) -> list[Row]:
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
    others = (cells.get(name) or None for name in (PROPERTY_COLUMN, VALUE_COLUMN))
    return Row(cells[TEXT_COLUMN], *others)


_READERS: dict[str, Callable[[str], list[Row]]] = {".txt": _text_rows, ".csv": _csv_rows}
SUFFIXES = tuple(_READERS)
"""What the names of files with texts end in, in lower case."""
