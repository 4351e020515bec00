"""What is said of an image, by a row of a table or a file beside it: captions and metadata."""

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from helpers.data.reading import BadFile, decode_text

CAPTION_COLUMNS = ("caption", "captions", "title", "text", "comment")
"""Names of captions; the first that is there is taken, and the others are metadata."""

LONGEST = 1000
"""Characters of a value that is kept as metadata; longer ones are files in disguise."""


class About(NamedTuple):
    """What is said of an image: its captions, and all else by name."""

    captions: tuple[str, ...] = ()
    metadata: Mapping[str, str] = {}


def about(cells: Mapping[str, object]) -> About:
    """Part what is said of an image into captions and metadata."""
    cells = {name.strip().lower(): value for name, value in cells.items()}
    column = next((name for name in CAPTION_COLUMNS if cells.get(name) not in ("", None)), None)
    texts = {name: _text(value) for name, value in cells.items() if name != column}
    metadata = {name: text for name, text in texts.items() if text and len(text) <= LONGEST}
    return About(_captions(cells[column]) if column else (), metadata)


def together(said: Iterable[About]) -> About:
    """Join what several rows or files say of one image: all captions, all values."""
    captions, metadata = {}, {}
    for one in said:
        captions |= dict.fromkeys(one.captions)
        for name, value in one.metadata.items():
            metadata.setdefault(name, {})[value] = None
    return About(tuple(captions), {name: "; ".join(values) for name, values in metadata.items()})


def read_caption(data: bytes) -> About:
    """Read the text file beside an image, which is a caption."""
    return about({CAPTION_COLUMNS[0]: decode_text(data).strip()})


def read_json(data: bytes) -> About:
    """Read the JSON object beside an image."""
    return about(json_object(data))


def json_object(data: bytes | str) -> dict[str, object]:
    """Read a JSON object."""
    try:
        read = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadFile(f"is no JSON object ({error}).") from error
    if not isinstance(read, dict):
        raise BadFile(f"is no JSON object but {type(read).__name__}.")
    return read


TEXTS = (".txt", ".caption")
"""Endings of files that are a caption as they stand."""

BESIDE = dict.fromkeys(TEXTS, read_caption) | {".json": read_json}
"""Endings of files that say something of the image of the same name → how they are read."""


def _captions(value: object) -> tuple[str, ...]:
    several = value if isinstance(value, list) else [value]
    if wrong := [one for one in several if not isinstance(one, str)]:
        raise BadFile(f"is no text but {type(wrong[0]).__name__}.")
    return tuple(dict.fromkeys(text for one in several if (text := _text(one).strip())))


def _text(value: object) -> str:
    if value is None or isinstance(value, list | dict):
        return ""
    # JSON can write halves of characters, which nothing else can.
    return str(value).encode("utf-8", "backslashreplace").decode()
