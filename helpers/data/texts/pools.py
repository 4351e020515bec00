"""Pools of texts that heads are described with: the workbook's own, and a user's files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from os import PathLike, fspath
from pathlib import Path

from helpers.checks import WorkbookError, one_of
from helpers.data.reading import expand
from helpers.data.texts.files import SUFFIXES, Row, read

FOLDER = Path(__file__).parent

MEMORISED = "photograph"
"""Property, in the workbook's own pools, of captions of photographs that models were trained on."""


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
        said = [self.texts, self.properties, self.values]
        return sha256(json.dumps(said).encode()).hexdigest()

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
        return _texts(spec, read(FOLDER / file_of(spec)))
    if not spec.lower().endswith(SUFFIXES):
        one_of("texts", spec, [*POOLS, *(f"FILE{suffix}" for suffix in SUFFIXES)])
    path = expand(spec)
    return _texts(path.name, read(path))


def _texts(name: str, rows: list[Row]) -> Texts:
    texts, properties, values = zip(*rows, strict=True)
    named = tuple(value or text for text, value in zip(texts, values, strict=True))
    return Texts(name, texts, properties, named)
