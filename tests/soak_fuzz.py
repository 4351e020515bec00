"""The readers on more than a hundred thousand damaged files, other ones each time."""

import pytest

from tests.fuzzing import READERS, fuzz

pytestmark = pytest.mark.soak

EXECUTIONS = 8000


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("reader", READERS)
def test_a_reader_gives_what_it_should_or_one_line(reader, tally):
    fuzz(reader, tally, max_examples=EXECUTIONS)
