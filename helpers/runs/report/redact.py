"""What a page that is sent on must not say: where files lie on the sender's machine."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from helpers.runs.parameters import ROOT

ABOVE, HOME = "…", "~"
"""What stands for the folders above a file, and for the sender's own folder."""


def shortener(
    given: object, folder: Path, images: Iterable[str] = ()
) -> Callable[[object], object]:
    """Return a function that leaves out the folders above the files that a run has used."""
    paths = {PurePosixPath(path) for text in _texts(given) for path in _paths(text)}
    folders = {PurePosixPath(name).parent for name in images if name.startswith("/")}
    folders |= {path.parent for path in (*paths, folder, ROOT, Path(sys.prefix))}
    shorter = {f"{each}/": f"{ABOVE}/" for each in folders if len(each.parts) > 1}
    shorter |= {f"{Path.home()}": HOME}
    # Of a path in the root folder nothing is left out, but it is no longer one from the root.
    shorter |= {f"{path}": f"{ABOVE}{path}" for path in paths if len(path.parts) == 2}
    return _replacer(shorter)


def _replacer(shorter: dict[str, str]) -> Callable[[object], object]:
    # Longest first, so that what lies below the home folder is not cut short there. Code cells
    # hold paths with the escapes of a string.
    escaped = {json.dumps(path)[1:-1]: short for path, short in shorter.items()}
    shorter = escaped | shorter
    ordered = sorted(shorter, key=len, reverse=True)
    ends = {path: "" if path.endswith("/") else r"(?![\w-])" for path in ordered}
    pattern = re.compile("|".join(rf"(?<![\w.~{ABOVE}-]){re.escape(p)}{ends[p]}" for p in ordered))
    return lambda value: _mapped(value, lambda text: pattern.sub(lambda m: shorter[m[0]], text))


def _mapped(value: object, function: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return function(value)
    if isinstance(value, dict):
        return {function(name): _mapped(each, function) for name, each in value.items()}
    return [_mapped(each, function) for each in value] if isinstance(value, list) else value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in [*value, *(value.values() if isinstance(value, dict) else ())]:
            yield from _texts(each)


def _paths(text: str) -> Iterator[str]:
    """Find the path that a parameter is, or names after a colon as ``compare`` and URLs do."""
    for part in (text, text.partition(":")[2]):
        if re.match("/(?!/[^/])", part):
            yield f"/{part.lstrip('/')}"
