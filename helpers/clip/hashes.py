"""SHA-256 of files, taken once: large ones are kept by path, size and time of the last change."""

import contextlib
import hashlib
import json
import os
import re
import time
from functools import cache
from pathlib import Path

from helpers.checks import WorkbookError

LARGE = 2**24
"""Bytes from which a hash is kept between processes."""
SETTLED = 2
"""Seconds after which a file that changes again has another time of change on any file system."""


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as it was taken before where the file has not changed.

    Parameters
    ----------
    path : Path

    Returns
    -------
    str
    """
    path = path.resolve()
    state = path.stat()
    return _of_state(path, state.st_size, state.st_mtime_ns)


def check_promise(path: Path, promised: str | None) -> None:
    """Compare a downloaded file with the SHA-256 that its publisher gave for it."""
    there = path.resolve()
    promised = promised or (there.name if re.fullmatch("[0-9a-f]{64}", there.name) else "")
    if not sha256(path).startswith(promised):
        raise WorkbookError(
            f"{path} is damaged: its SHA-256 is not the one that it was published with"
            f" ({promised[:12]}…). Delete {there}, and it will be downloaded again."
        )


@cache
def _of_state(path: Path, size: int, changed: int) -> str:
    if size < LARGE:
        return _computed(path)
    kept = _folder() / f"{hashlib.sha256(bytes(path)).hexdigest()}.json"
    given = {"path": str(path), "size": size, "changed": changed}
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        found = json.loads(kept.read_text(encoding="utf-8"))
        if {name: found[name] for name in given} == given:
            return str(found["sha256"])
    digest = _computed(path)
    if time.time() - changed / 1e9 > SETTLED:
        _keep(kept, given | {"sha256": digest})
    return digest


def _computed(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder() -> Path:
    cache_home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache_home).expanduser() / "clip-shift-workbook" / "hashes"


def _keep(kept: Path, values: dict) -> None:
    # A place that can't be written costs time only.
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        written = kept.with_suffix(f".{os.getpid()}")
        written.write_text(json.dumps(values), encoding="utf-8")
        written.replace(kept)
