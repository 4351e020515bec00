"""Counts of what the tests tried, in the table of tests/README.md.

A test calls the fixture ``tally("bytes flipped", 12, lost=0)``; calls of one name are summed over
the session. ``pytest --tally test`` then rewrites the cells of that column whose names were
counted. Without the option, nothing is written.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

README = Path(__file__).with_name("README.md")
COLUMNS = ("test", "soak")
HEADING = "| what was tried | in `make test` | lost or silent | in `make soak` | lost or silent |"
RULE = "|---|--:|--:|--:|--:|"
TABLE = re.compile(f"{re.escape(HEADING)}\n{re.escape(RULE)}\n((?:\\|.*\n)*)")
NOT_COUNTED = ("", "")

_counts: dict[str, Counter] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tally", choices=COLUMNS, help="column of tests/README.md to write")


@pytest.fixture(scope="session")
def tally() -> Callable[..., None]:
    """Count cases of a kind, and how many of them were lost or passed over in silence."""

    def add(what: str, cases: int = 1, *, lost: int = 0) -> None:
        _counts.setdefault(what, Counter()).update(cases=cases, lost=lost)

    return add


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    column = session.config.getoption("--tally")
    complete = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    if column and complete:
        README.write_text(with_counts(README.read_text(encoding="utf-8"), column, _counts))


def with_counts(page: str, column: str, counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return a page with counts put into a column of its table.

    Parameters
    ----------
    page : str
        With a table that has `HEADING`.
    column : str
        One of `COLUMNS`.
    counts : mapping of str to mapping
        Name of a row, new or old → ``cases`` and ``lost``.

    Returns
    -------
    str
    """
    lines = TABLE.search(page).group(1).splitlines()
    rows = dict(_row(line) for line in lines)
    for what, count in counts.items():
        cells = (f"{count['cases']:,}", f"{count['lost']:,}")
        rows[what] = rows.get(what, {}) | {column: cells}
    table = "".join(_line(what, rows[what]) for what in sorted(rows))
    return TABLE.sub(lambda _: f"{HEADING}\n{RULE}\n{table}", page)


def _row(line: str) -> tuple[str, dict[str, tuple[str, str]]]:
    what, *cells = (cell.strip() for cell in line.strip("|").split("|"))
    return what, dict(zip(COLUMNS, zip(cells[::2], cells[1::2], strict=True), strict=True))


def _line(what: str, row: Mapping[str, tuple[str, str]]) -> str:
    cells = [cell for column in COLUMNS for cell in row.get(column, NOT_COUNTED)]
    return f"| {' | '.join([what, *cells])} |\n"
