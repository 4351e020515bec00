"""What users register: changes, scores, labellers and sources, as they were before."""

from collections.abc import Iterator
from contextlib import contextmanager

from helpers import extend
from helpers.analysis import labels
from helpers.analysis.scores import SCORES
from helpers.data import CHANGES
from helpers.data.sources import OWN_SOURCES


@contextmanager
def left_alone() -> Iterator[None]:
    """Leave the tables as they were."""
    tables = [CHANGES, SCORES, labels.LABELLERS, OWN_SOURCES]
    before = [dict(table) for table in tables]
    try:
        yield
    finally:
        for table, rows in zip(tables, before, strict=True):
            table.clear()
            table.update(rows)
        extend._last_read.clear()
