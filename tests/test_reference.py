"""What a processor decides: the reference arrays, beside what this machine computes."""

import pytest

from helpers.runs.verify import verify
from tests import reference

SHARE = 0.03  # of the images of every run, drawn anew each time


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return reference.unpack(tmp_path_factory.mktemp("outputs"))


def test_this_code_computes_the_reference_within_tolerance(run):
    """Fails where the reference is stale, too: `make reference` computes it anew."""
    checks = list(verify(run, SHARE))
    assert [sentence for check in checks for sentence in check.wrong] == []
    again = [check for check in checks if check.what.endswith("images computed again")]
    assert len(again) == len(list(run.rglob("run.json")))
    # What a notebook registers is known in its kernel alone.
    assert all(check.count for check in again if not check.what.startswith("your_own"))


def test_a_changed_reference_is_noticed_and_described(run, tmp_path):
    other = reference.unpack(tmp_path)
    assert list(reference.changes(run, other)) == []
    place = next(iter(sorted(other.glob("derived/ordinary-*.zip"))))
    dataset = reference.derived.read(place)
    name = next(name for name, values in dataset.items() if values.dtype.kind == "f")
    changed = dataset.assign({name: dataset[name] * 1.01})
    reference.derived.write(place, changed)
    (line,) = reference.changes(run, other)
    assert f"{name} moved by" in line
