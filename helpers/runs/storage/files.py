"""Files that are written whole or not at all, and texts that carry their own checksum."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.checks import WorkbookError

CHECKSUMS = "checksums.txt"
BLANK = "0" * 64
"""Stands where `sealed` puts the checksum."""
_SEAL = re.compile(rb'checksum"?: "?([0-9a-f]{64})')
_ROOM = re.compile(rf'checksum"?: "?{BLANK}')


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Write a file aside and then put it in its place.

    A process that is killed, or a disk that is full, leaves the old file or the new one.
    """
    # The ending stays, as Matplotlib chooses the format by it.
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def seal_folder(folder: Path) -> None:
    """Write the checksums of all files in a folder into one more, as ``sha256sum`` does."""
    text = f"# checksum: {BLANK}\n{_checksums(folder)}"
    (folder / CHECKSUMS).write_text(sealed(text), encoding="utf-8")


def damaged_files(folder: Path) -> list[str]:
    """Compare a folder with what `seal_folder` wrote."""
    path = folder / CHECKSUMS
    data = path.read_bytes() if path.exists() else b""
    if not is_sealed(data):
        return [CHECKSUMS]
    told = data.decode().splitlines()[1:]
    return sorted(
        {line.partition("  ")[2] for line in {*told} ^ {*_checksums(folder).splitlines()}}
    )


def _checksums(folder: Path) -> str:
    names = sorted(path.relative_to(folder).as_posix() for path in _files(folder))
    return "".join(f"{sha256_of(folder / name)}  {name}\n" for name in names)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != CHECKSUMS]


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed(text: str) -> str:
    """Put a text's own SHA-256 into it."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return _ROOM.sub(lambda found: found[0].replace(BLANK, digest), text)


def is_sealed(data: bytes) -> bool:
    """Tell whether `sealed` gave these bytes, and none has changed since."""
    # What a notebook prints may look like a seal, too.
    return any(
        hashlib.sha256(_without(seal, data)).hexdigest().encode() == seal
        for seal in set(_SEAL.findall(data))
    )


def _without(seal: bytes, data: bytes) -> bytes:
    blank = BLANK.encode()
    return _SEAL.sub(lambda m: m[0].replace(seal, blank) if m[1] == seal else m[0], data)


@contextmanager
def writing(what: str, out: Path) -> Iterator[None]:
    """Make the folder above a file or folder that is to be written."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise WorkbookError(
            f"The {what} can't be written to {out}: {error.strerror or error}. Choose another place"
            " with --out."
        ) from error
