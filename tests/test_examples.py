"""The examples of what users meet first give what they show."""

import doctest

import pytest

from helpers import clip, data, extend
from helpers.analysis import dissection, labels, scores, statistics
from tests.registries import left_alone

ENTRANCES = [
    data.open_images,
    data.views,
    clip.load,
    clip.Model.encode,
    dissection.shares,
    scores.embedding_similarity,
    labels.label_heads,
    statistics.mean_with_interval,
    extend,
    extend.score,
]


def failed(entrance):
    """Run the examples of a function or module: how many there are, and how many fail."""
    finder = doctest.DocTestFinder(recurse=False)
    (examples,) = finder.find(entrance, entrance.__name__)
    with left_alone():
        return doctest.DocTestRunner().run(examples)


@pytest.mark.parametrize("entrance", ENTRANCES, ids=lambda entrance: entrance.__name__)
def test_examples_give_what_they_show(entrance):
    outcome = failed(entrance)
    assert outcome.attempted
    assert not outcome.failed


def test_a_wrong_example_fails():
    def doubled(number):
        """Double a number.

        >>> 2 * 3
        7
        """

    assert failed(doubled) == (1, 1)
