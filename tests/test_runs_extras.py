"""What goes beyond a run's own images and model is announced, and can be left out."""

import re

import nbformat
import pytest

from helpers.runs import open_run
from helpers.runs.notebook_needs import answerable, left_out
from helpers.runs.paths import numbered_notebooks
from helpers.runs.progress import announcement, in_words, progress


@pytest.fixture
def run(parameters):
    run = open_run(**parameters)
    run.compute()
    return run


def test_what_is_beside_a_run_is_said_with_its_time(run, monkeypatch):
    sentence = announcement(run)
    listed = (
        r"6 other severities \(10\), 2 other models \(11\), adversarial views \(15\), untrained"
    )
    assert re.match(
        rf"Beside your images and model: {listed} networks \(03\); about \d+ (s|min) for", sentence
    )
    rate = sum(part["seconds"] / part["images"] for part in run.timings.values())
    images = 7 * (6 + 2) + 3 * 7 + 7 * 10  # the broken one is counted, too: it isn't known before
    assert in_words(rate * images) in sentence
    monkeypatch.setattr(type(run), "of_study", False)
    assert "untrained networks" not in announcement(run)


def test_without_extras_nothing_is_beside_a_run(run, parameters):
    without = open_run(**parameters | {"extras": False})
    assert without.folder == run.folder
    assert announcement(without) == ""
    _, beside, _ = progress(without.folder).steps
    assert beside.total == 0
    left = {}
    for path in numbered_notebooks():
        notebook = nbformat.read(path, as_version=4)
        code = " ".join(
            code for code, _ in left_out(answerable(notebook, run.capabilities, run.changes, True))
        )
        whole = " ".join(
            code for code, _ in left_out(answerable(notebook, run.capabilities, run.changes, False))
        )
        assert not code
        left[path.name[:2]] = whole
    assert {number for number, code in left.items() if code} == {
        *("00", "03", "04", "08", "09", "10", "11", "12", "14", "15")
    }


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (89, "89 s"), (100, "2 min"), (3600, "60 min")]
)
def test_durations_in_words(seconds, words):
    assert in_words(seconds) == words
