"""Arrays are never read for parameters that would give other values."""

import pytest

from helpers.clip import weights
from helpers.data import open_images
from helpers.runs import paths
from helpers.runs.identity import identity
from helpers.runs.parameters import NEUTRAL, Parameters, from_profile

OTHERS = {
    "images": "scenes:3",
    "limit": 1,
    "seed": 4,
    "changes": ["noise"],
    "severity": 2.0,
    "model": "embedded",
    "pretrained": "0",
    "precision": "bfloat16",
    "preprocessing": "model",
    "texts": "general",
    "layers": 1,
    "compare": [],
}
"""Another value of every parameter that arrays, tables or figures depend on."""


def where(parameters):
    """Return the identity of the arrays of a run, and the folder of its results."""
    subset = parameters.seed if parameters.limit is not None else None
    images = open_images(parameters.sources, parameters.limit, subset)
    fingerprint = weights.fingerprint(parameters.model, parameters.pretrained)
    own = identity(parameters, images, fingerprint)
    return own, paths.folder(parameters, own)


@pytest.fixture(scope="module")
def given():
    return from_profile("quick", {"images": "scenes:2", "seed": 3})


@pytest.fixture
def extending(tmp_path):
    (tmp_path / "mine.py").write_text("")
    return str(tmp_path / "mine.py")


def test_every_parameter_is_neutral_or_has_another_value_here():
    # What `compare_fully` adds lies in the folders of the compared models.
    assert {*Parameters.model_fields} == {*OTHERS, *NEUTRAL, "extend", "compare_fully"}


@pytest.mark.parametrize("name", [*OTHERS, "extend"])
def test_another_value_means_another_folder(name, given, extending):
    changed = given.replace(**{name: {**OTHERS, "extend": extending}[name]})
    assert where(changed)[1] != where(given)[1]


@pytest.mark.parametrize("name", [*OTHERS.keys() - {"texts", "compare"}])
def test_another_value_means_other_arrays(name, given):
    assert where(given.replace(**{name: OTHERS[name]}))[0] != where(given)[0]


@pytest.mark.parametrize(("name", "value"), [("workers", 1), ("batch_size", 3), ("extras", False)])
def test_what_nothing_depends_on_changes_neither(name, value, given):
    assert where(given.replace(**{name: value})) == where(given)
