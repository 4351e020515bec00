"""Files that a command writes where its user says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.checks import WorkbookError


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
