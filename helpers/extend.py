"""Rows of your own: a change, a score, a labeller of heads, a source of images.

In a notebook's cell, or in a ``.py`` file that the parameter ``extend`` names:

>>> from helpers.extend import change
>>> @change(severity="grey levels per step, 32 times severity")
... def posterized(pixels, severity, rng):
...     step = int(32 * severity)
...     return pixels // step * step
>>> import numpy as np
>>> posterized(np.array([20, 50, 90], np.uint8), severity=1.0, rng=None)
array([ 0, 32, 64], dtype=uint8)

The function's name is the row's. **A file given by** ``extend`` **is run**, with all that you may
do yourself: give none that you wouldn't start. Arrays know it by a hash of its text, those of a
cell by a hash of the function's; so arrays of another version are never mixed with its own. What a
function reads beside its own text, such as a global of the notebook, is not in that hash.
"""

import hashlib
import inspect
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path
from runpy import run_path
from typing import NoReturn, TypeVar

from helpers.checks import WorkbookError, one_of
from helpers.data import CHANGES, SOURCES, Source
from helpers.data.change import NEEDS, row_of
from helpers.data.changes import ORIGINAL, SETS
from helpers.data.images import Image, Images
from helpers.data.sources import OWN_SOURCES
from helpers.registry import Registry, named

F = TypeVar("F", bound=Callable)

COMPARED = ("embedding", "attention", "pixels")
"""What a score may compare."""

_last_read: list[str] = []
_reading: list[str] = []
_of_this_file: list[tuple[str, str]] = []


def change(
    *, severity: str, does: str = "", label: str | None = None, needs: str = ""
) -> Callable[[F], F]:
    """Register a change: ``function(pixels, severity, rng)`` returns the changed pixels.

    Parameters
    ----------
    severity : str
        What severity means, in words.
    does : str
        What the change does, in words; by default the function's docstring.
    label : str, optional
        Its name in figures; by default the function's, with spaces.
    needs : {"", "model", "subject"}
        What the function takes as its fourth argument: the run's model, or what is known of the
        image. Views that need the model are drawn once and kept with the run.

    Returns
    -------
    callable
        A decorator, which returns the function as it is. See `helpers.data.change.Change` for what
        the function takes.
    """
    one_of("needs", needs, ["", *NEEDS])

    def register(function: F) -> F:
        if function.__name__ in (ORIGINAL, *SETS):
            raise WorkbookError(
                f"{function.__name__!r} names the original view or a set of changes already; give"
                " your change another name."
            )
        does_ = does or inspect.getdoc(function) or "your own"
        about = {"label": label, "needs": needs, "origin": _origin(function)}
        _add(CHANGES, row_of(function, does_, severity, **about))
        return function

    return register


def score(
    *, needs: str, higher_is_closer: bool = True, label: str | None = None
) -> Callable[[F], F]:
    """Register a score: ``function(original, changed)`` returns a number per view.

    Parameters
    ----------
    needs : {"embedding", "attention", "pixels"}
        What it compares: embeddings (…, features), maps of attention (…, height, width) or
        pixels (…, height, width, 3). The first axis of the original is 1 long, that of the changed
        views n.
    higher_is_closer : bool
        Whether a higher value means that less has changed.
    label : str, optional
        Its name in figures; by default the function's, with spaces.

    Returns
    -------
    callable
        A decorator, which returns the function as it is.

    Examples
    --------
    >>> @score(needs="embedding", higher_is_closer=False)
    ... def largest_difference(original, changed):
    ...     return abs(original - changed).max(axis=-1)
    >>> from helpers.analysis.scores import SCORES
    >>> SCORES["largest_difference"].label
    'Largest difference'
    """
    from helpers.analysis.scores import SCORES, Score

    one_of("needs", needs, COMPARED)

    def register(function: F) -> F:
        row = (*named(function, label), function, needs, higher_is_closer, "own")
        _add(SCORES, Score(*row, _origin(function)))
        return function

    return register


def labeller(*, label: str | None = None) -> Callable[[F], F]:
    """Register a labeller: ``function(texts)`` names a head from its texts, the most telling first.

    Parameters
    ----------
    label : str, optional
        The column's title; by default the function's name, with spaces.

    Returns
    -------
    callable
        A decorator, which returns the function as it is. `helpers.analysis.labels.label_heads`
        takes the function, too.
    """
    from helpers.analysis.labels import LABELLERS, NamedLabeller

    def register(function: F) -> F:
        _add(LABELLERS, NamedLabeller(*named(function, label), function, _origin(function)))
        return function

    return register


def source(function: F) -> F:
    """Register a source of images: ``function(rest)`` yields pairs of an id and how to read it.

    A decorator without arguments, which returns the function as it is. The source is written
    ``NAME`` or ``NAME:REST``; the function gets what stands behind the colon, or "". It yields
    pairs of an id and a function without arguments that returns pixels (uint8, height × width × 3),
    read when they are asked for; then, perhaps, a caption, and metadata: a dict of texts, of which
    ``label`` names the class.
    """
    name = function.__name__

    def listed(spec: str) -> Images:
        rows = function(spec.partition(":")[2])
        if not isinstance(rows, Iterable):
            _refuse_row(spec, rows)
        images = Images(_image(spec, row) for row in rows)
        if not images:
            raise WorkbookError(f"The source {spec!r} gave no image.")
        return images

    is_named = lambda spec: spec.partition(":")[0] == name  # noqa: E731
    _check_free(name)
    _check_once("source", name)
    origin = _origin(function)
    OWN_SOURCES[name] = Source(f"{name}:…", is_named, listed, is_path=False, origin=origin)
    return function


def _check_free(name: str) -> None:
    for row in SOURCES:
        if row.recognises(name):
            raise WorkbookError(f"{name!r} is a source already ({row.form}); use another name.")


def _image(spec: str, row: tuple) -> Image:
    match row:
        case [str(name), read, *told] if callable(read) and len(told) <= 2:
            caption, metadata = (*told, None, None)[:2]
            return Image(name, lambda _: read(), caption, metadata_source=metadata or {})
    _refuse_row(spec, row)


def _refuse_row(spec: str, row: object) -> NoReturn:
    raise WorkbookError(
        f"The source {spec!r} gave {row!r:.80}; it must yield pairs of an id (a text) and a"
        " function without arguments that returns pixels, then, perhaps, a caption and metadata."
    )


def load(path: str) -> str:
    """Run a file that registers rows, unless it was the last one run, and return its SHA-256."""
    file = Path(path).expanduser().resolve()
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise WorkbookError(
            f"extend has no value {path!r}: {error.strerror}; give a .py file that registers"
            " changes, scores, labellers or sources (helpers.extend)."
        ) from error
    if _last_read != [digest]:  # another file may have rows of the same names
        with _rows_from(digest):
            _run(file)
        _last_read[:] = [digest]
    return digest


def _run(file: Path) -> None:
    try:
        run_path(str(file), run_name="extension")
    except WorkbookError:
        raise
    except (Exception, SystemExit) as error:
        raise WorkbookError(
            f"extend: {file.name} failed with {type(error).__name__}: {error}. Mend it, or leave"
            " extend out."
        ) from error


@contextmanager
def _rows_from(digest: str):
    _reading.append(digest)
    try:
        yield
    finally:
        _reading.pop()
        _of_this_file.clear()


def _add(registry: Registry, row: object) -> None:
    _check_once(registry.kind, row.name)
    registry.add(row)


def _check_once(kind: str, name: str) -> None:
    """Check that a file says each name once; a cell may be executed again."""
    if not _reading:
        return
    if (kind, name) in _of_this_file:
        raise WorkbookError(
            f"extend: the file has two rows of the kind {kind} called {name!r}; give one of them"
            " another name."
        )
    _of_this_file.append((kind, name))


def _origin(function: Callable) -> str:
    """Hash the code that a row comes from: of the file that is being run, else the function's."""
    if _reading:
        return _reading[-1]
    try:
        return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()
    except (OSError, TypeError) as error:
        raise WorkbookError(
            f"The code of {function.__name__!r} can't be found, so arrays could not be"
            " distinguished from those of another version; write it in a notebook's cell or a file."
        ) from error


def fingerprint(changes: Iterable[str]) -> dict[str, str]:
    """Return the hashes of users' code that a run's arrays depend on: name → hash.

    That is, of their changes among those given, and of all their scores and sources.
    """
    from helpers.analysis.scores import SCORES

    registered = CHANGES.own()
    used = {"change": {name: registered[name] for name in changes if name in registered}}
    used |= {"score": SCORES.own(), "source": OWN_SOURCES}
    return {f"{kind} {name}": row.origin for kind in used for name, row in used[kind].items()}
