"""Tables that users can add rows to: changes, scores, labellers and sources of images."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from helpers.checks import WorkbookError


class Row(Protocol):
    """What a registry holds: a row with a name and, where a user registered it, its origin.

    Attributes
    ----------
    name : str
    origin : str
        A hash of the code that it comes from; "" for the workbook's own.
    """

    name: str
    origin: str


R = TypeVar("R", bound=Row)


class Registry(Mapping[str, R], Generic[R]):
    """Rows by name, in the order in which they were added.

    Parameters
    ----------
    kind : str
        What a row is, in error messages.
    rows : iterable of Row
        The workbook's own.
    """

    def __init__(self, kind: str, rows: Iterable[R] = ()):
        self.kind = kind
        self._rows: dict[str, R] = {row.name: row for row in rows}

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
        if row.name in self._rows and not self._rows[row.name].origin:
            raise WorkbookError(
                f"There is a {self.kind} {row.name!r} already; give yours another name."
            )
        self._rows[row.name] = row

    def own(self) -> dict[str, R]:
        """Return the rows that users registered."""
        return {name: row for name, row in self._rows.items() if row.origin}

    def __getitem__(self, name: str) -> R:
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def named(function: Callable, label: str | None = None) -> tuple[str, str]:
    """Return the name of the row of a function, and its label: by default its name, in words."""
    name = function.__name__
    return name, label or name.replace("_", " ").capitalize()
