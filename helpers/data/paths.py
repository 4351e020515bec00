"""Paths as users write them, and as ids and errors show them."""

import os
import re
from pathlib import Path

from helpers.data.reading import BadFile

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def expand(path: str) -> Path:
    """Expand `~`; unlike pathlib, leave `~name` as it is where no user has that name."""
    return Path(os.path.expanduser(path))


def printable(path: str) -> str:
    r"""Write what is no character to show as escapes, so that an id is one line of valid text."""
    text = path.encode("utf-8", "backslashreplace").decode()
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def inside(folder: Path, name: str) -> Path:
    """Find a file that a list names, which may be a link, below the list's folder."""
    path = Path(os.path.abspath(folder / expand(name)))
    if "\\" in name and not os.path.lexists(path):
        path = Path(os.path.abspath(folder / expand(name.replace("\\", "/"))))
    # A list made with absolute paths may name its folder by another way than the user does.
    if not any(path.is_relative_to(way(folder)) for way in (os.path.abspath, os.path.realpath)):
        raise BadFile(
            f"names {name!r}, which is not in its folder; put the list into a folder that all its "
            "images are in or below."
        )
    return path
