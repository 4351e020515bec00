"""Files that are written whole or not at all, and carry the checksum of all their bytes.

A file has room for its own SHA-256: an entry in JSON, a comment in HTML or at the end of a zip. So
file and checksum are replaced at one moment, whoever is killed and however many write, and a file
that is moved or copied takes its checksum along.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.checks import WorkbookError

BLANK = "0" * 64
"""Stands where `sealed` puts the checksum."""
ROOM = f"checksum: {BLANK}"
"""Room for a checksum in a comment."""
_SEAL = re.compile(rb'checksum"?: "?([0-9a-f]{64})')
_ROOM = re.compile(rf'checksum"?: "?{BLANK}'.encode())


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


def write_sealed(path: Path, data: str | bytes) -> None:
    """Write a file that has room for a checksum, with its checksum."""
    with replaced(path) as partial:
        partial.write_bytes(sealed(data))


def read_sealed(path: Path) -> bytes | None:
    """Read a file that `write_sealed` wrote; None where it is missing, or any byte has changed."""
    data = path.read_bytes() if path.exists() else b""
    return data if is_sealed(data) else None


def sealed(data: str | bytes) -> bytes:
    """Put their own SHA-256 into bytes, or into a text."""
    data = data.encode() if isinstance(data, str) else data
    digest = hashlib.sha256(data).hexdigest().encode()
    return _ROOM.sub(lambda match: match[0].replace(BLANK.encode(), digest), data)


def is_sealed(data: bytes) -> bool:
    """Return whether `sealed` gave these bytes, and none has changed since."""
    # What a notebook prints may look like a seal, too.
    return any(
        hashlib.sha256(_without(seal, data)).hexdigest().encode() == seal
        for seal in set(_SEAL.findall(data))
    )


def _without(seal: bytes, data: bytes) -> bytes:
    blank = BLANK.encode()
    return _SEAL.sub(lambda m: m[0].replace(seal, blank) if m[1] == seal else m[0], data)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
