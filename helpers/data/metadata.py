"""Captions and metadata of images, in files beside them and in tables of any kind."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from helpers.data.decode import IMAGE_SUFFIXES, suffix_of
from helpers.data.reading import BadFile, decode_text, open_file, read_rows, read_text, why

CAPTION_COLUMNS = ("caption", "captions", "title", "text", "comment")
"""Names of captions; the first that is there is taken, and the others are metadata."""

LONGEST = 1000
"""Characters of a value that is kept as metadata; longer ones are files in disguise."""

PATH_COLUMNS = (
    *("path", "filepath", "file_name", "filename", "image_path", "image_name", "file"),
    *("image", "img"),
)
"""Names of the column that names the images' files; the first that is there is taken."""

KEY_COLUMN = "key"
URL_COLUMNS = ("url", "image_url", "urls")
OF_KEYS = (KEY_COLUMN, *URL_COLUMNS)

_NUMBERED = re.compile(r"(.+)#\d+")


class Annotation(NamedTuple):
    """What a row or a file says of an image: its captions, and all else by name."""

    captions: tuple[str, ...] = ()
    metadata: Mapping[str, str] = {}


def annotation_of(cells: Mapping[str, object]) -> Annotation:
    """Divide what is said of an image into captions and metadata."""
    cells = {name.strip().lower(): value for name, value in cells.items()}
    column = next((name for name in CAPTION_COLUMNS if cells.get(name) not in ("", None)), None)
    texts = {name: _text(value) for name, value in cells.items() if name != column}
    metadata = {name: text for name, text in texts.items() if text and len(text) <= LONGEST}
    return Annotation(_captions(cells[column]) if column else (), metadata)


def merged(annotations: Iterable[Annotation]) -> Annotation:
    """Join what several rows or files say of one image: all captions, all values."""
    captions, metadata = {}, {}
    for each in annotations:
        captions |= dict.fromkeys(each.captions)
        for name, value in each.metadata.items():
            metadata.setdefault(name, {})[value] = None
    return Annotation(
        tuple(captions), {name: "; ".join(values) for name, values in metadata.items()}
    )


def read_caption(data: bytes) -> Annotation:
    """Read the text file beside an image, which is a caption."""
    return annotation_of({CAPTION_COLUMNS[0]: decode_text(data).strip()})


def read_json(data: bytes) -> Annotation:
    """Read the JSON object beside an image."""
    return annotation_of(json_object(data))


def json_object(data: bytes | str) -> dict[str, object]:
    """Read a JSON object."""
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadFile(f"is no JSON object ({error}).") from error
    if not isinstance(parsed, dict):
        raise BadFile(f"is no JSON object but {type(parsed).__name__}.")
    return parsed


CAPTION_SUFFIXES = (".txt", ".caption")
"""Endings of files that are a caption as they stand."""

SIDECARS = dict.fromkeys(CAPTION_SUFFIXES, read_caption) | {".json": read_json}
"""Endings of files that say something of the image of the same name → how they are read."""


def _captions(value: object) -> tuple[str, ...]:
    captions = value if isinstance(value, list) else [value]
    if wrong := [caption for caption in captions if not isinstance(caption, str)]:
        raise BadFile(f"is no text but {type(wrong[0]).__name__}.")
    return tuple(dict.fromkeys(text for caption in captions if (text := _text(caption).strip())))


def _text(value: object) -> str:
    if value is None or isinstance(value, list | dict):
        return ""
    # JSON can write halves of characters, which nothing else can.
    return str(value).encode("utf-8", "backslashreplace").decode()


class Row(NamedTuple):
    """A row of a table: the line in which it ends, and its cells by the names of columns."""

    line: int
    cells: Mapping[str, object]


def read_table(path: Path) -> list[Row]:
    """Read a table of any kind.

    A text file has one path a line, or is a CSV file. A CSV file, its cells separated by commas,
    semicolons, tabs or bars, starts with a header that names a column of `PATH_COLUMNS`, or has the
    paths in its first column. JSON lines have an object each; Parquet needs pyarrow.
    """
    return _READERS[path.suffix.lower()](path)


def path_column(rows: Sequence[Row]) -> str | None:
    """Return the name of the column that names files; None where there is none."""
    return _first_of(PATH_COLUMNS, {name for row in rows for name in row.cells})


def _first_of(names: Sequence[str], columns: Collection[str]) -> str | None:
    return next((name for name in names if name in columns), None)


def _text_lines(path: Path) -> list[Row]:
    text = read_text(path)
    lines = [Row(n, {PATH_COLUMNS[0]: line.strip()}) for n, line in enumerate(text.split("\n"), 1)]
    lines = [row for row in lines if row.cells[PATH_COLUMNS[0]]]
    return _separated_rows(text) if lines and _is_table(lines[0]) else lines


def _is_table(first: Row) -> bool:
    """Return whether a line has several cells, and is not the name of a file."""
    line = first.cells[PATH_COLUMNS[0]]
    (row,) = read_rows(line, _is_first) or [None]
    return row is not None and len(row.cells) > 1 and _is_first(row.cells) and not _is_image(line)


def _separated(path: Path) -> list[Row]:
    return _separated_rows(read_text(path))


def _separated_rows(text: str) -> list[Row]:
    rows = read_rows(text, _is_first)
    if not rows:
        return []
    first = rows[0].cells
    if _starts_with_image(first):
        return [Row(row.line, _without_header(row.cells)) for row in rows]
    if not _is_header(first):
        raise BadFile(
            f"starts with {first[0]!r}, neither an image file nor a header with a column "
            f"{', '.join(PATH_COLUMNS[:-1])} or {PATH_COLUMNS[-1]}."
        )
    header = [cell.lower() for cell in first]
    return [Row(row.line, dict.fromkeys(header) | row.named(header)) for row in rows[1:]]


def _is_first(cells: Sequence[str]) -> bool:
    return _is_header(cells) or _starts_with_image(cells)


def _is_header(cells: Sequence[str]) -> bool:
    return _first_of((*PATH_COLUMNS, *OF_KEYS), [cell.lower() for cell in cells]) is not None


def _starts_with_image(cells: Sequence[str]) -> bool:
    return bool(cells) and _is_image(_without_number(cells[0]))


def _is_image(name: str) -> bool:
    # Hidden or not: whoever names a file means it.
    return suffix_of(name) in IMAGE_SUFFIXES


def _without_header(cells: Sequence[str]) -> dict[str, str]:
    name, *rest = cells
    if rest and name != _without_number(name):  # the captions of an image are numbered
        return {PATH_COLUMNS[0]: _without_number(name), "caption": rest[0]}
    return {PATH_COLUMNS[0]: name} | {f"column {n}": cell for n, cell in enumerate(rest, 2)}


def _without_number(name: str) -> str:
    match = _NUMBERED.fullmatch(name)
    return match[1] if match and _is_image(match[1]) else name


def _json_lines(path: Path) -> list[Row]:
    lines = enumerate(read_text(path).split("\n"), 1)
    return [Row(n, _json_line(n, line)) for n, line in lines if line.strip()]


def _json_line(number: int, line: str) -> dict[str, object]:
    try:
        return {name.strip().lower(): value for name, value in json_object(line).items()}
    except BadFile as error:
        raise BadFile(f"has a line {number} that {error}") from error


def _parquet(path: Path) -> list[Row]:
    try:
        with open_file(path) as file:
            table = pd.read_parquet(file)
    except ImportError as error:
        raise BadFile("needs pyarrow to be read; pip install pyarrow.") from error
    except OSError as error:
        raise BadFile(f"can't be read: {why(error)}.") from error
    except Exception as error:  # pyarrow has errors of many kinds for damaged files
        raise BadFile("is no valid Parquet file.") from error
    table.columns = [str(name).strip().lower() for name in table.columns]
    records = table.to_dict("records")
    return [Row(n, {k: _plain(v) for k, v in cells.items()}) for n, cells in enumerate(records, 1)]


def _plain(value: object) -> object:
    """Return a cell as JSON has it: lists for arrays, None for what is missing."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return None if pd.api.types.is_scalar(value) and pd.isna(value) else value


_READERS: Mapping[str, Callable[[Path], list[Row]]] = {
    ".txt": _text_lines,
    ".csv": _separated,
    ".tsv": _separated,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}
TABLE_SUFFIXES = tuple(_READERS)
"""What the names of tables end in, in lower case."""
