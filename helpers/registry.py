"""Tables that users can add rows to: changes, scores, labellers and sources of images."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from helpers.checks import WorkbookError

R = TypeVar("R")


class Registry(dict[str, R]):
    """Rows by name, in the order in which they were added.

    A row has a ``name`` and an ``origin``: a hash of the user's code that it comes from, or "" for
    the workbook's own. The ``kind`` is what a row is, in error messages.
    """

    def __init__(self, kind: str, rows: Iterable[R] = ()):
        super().__init__({row.name: row for row in rows})
        self.kind = kind

    def add(self, row: R) -> None:
        """Add a user's row, or put it in place of the user's earlier one of that name.

        Raises
        ------
        WorkbookError
            If the name is none, or that of one of the workbook's own.
        """
        if not row.name.isidentifier():
            raise WorkbookError(
                f"A {self.kind} can't be called {row.name!r}; give a name of letters, digits and"
                " underscores."
            )
        if row.name in self and not self[row.name].origin:
            raise WorkbookError(
                f"There is a {self.kind} {row.name!r} already; give yours another name."
            )
        self[row.name] = row

    def own(self) -> dict[str, R]:
        """Return the rows that users registered."""
        return {name: row for name, row in self.items() if row.origin}


def named(function: Callable, label: str | None = None) -> tuple[str, str]:
    """Return the name of the row of a function, and its label: by default its name, in words."""
    name = function.__name__
    return name, label or name.replace("_", " ").capitalize()
