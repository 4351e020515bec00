"""The readers on some hundreds of damaged files; `make soak` has a hundred thousand."""

import pytest

from tests.fuzzing import READERS, fuzz


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("reader", READERS)
def test_a_reader_gives_what_it_should_or_one_line(reader, tally):
    fuzz(reader, tally, max_examples=40, derandomize=True)
