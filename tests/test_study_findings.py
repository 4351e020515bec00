"""Sentences from numbers."""

import pytest
from jinja2 import UndefinedError

from helpers.checks import WorkbookError
from helpers.study import findings
from helpers.study.findings import tell
from helpers.study.parameters import NOTEBOOKS


def test_a_finding_has_its_numbers_and_a_meaning():
    photos = {"far": "noise", "far_by": "0.76", "near": "blur", "near_by": "0.06"}
    told = tell("moves", sources={"photos": photos, "scenes": photos | {"near": "elastic"}})
    assert told["sentence"] == (
        "On photos, noise moves embeddings furthest (0.76) and blur least (0.06); on scenes, noise"
        " moves embeddings furthest (0.76) and elastic least (0.06) (03, 10)."
    )
    assert told["meaning"].startswith("The unit is the distance between two different images")


@pytest.mark.parametrize(
    "nearer, farther, said",
    [
        ([], [], "Training is not shown to bring the order"),
        (["scenes"], [], "nearer to the published one for scenes only (03, 10)"),
        (["scenes"], ["photos"], "scenes only, and to take it farther away for photos (03, 10)"),
        (
            ["photos", "scenes"],
            [],
            "Training brings the order of the changes nearer to the published one (03, 10)",
        ),
    ],
)
def test_the_verdict_follows_the_numbers(nearer, farther, said):
    own = {"counts": {"model": 15}, "low": 4, "high": 19, "gain": "+2 [+1, +3]"}
    told = tell(
        "order",
        moved=True,
        nearer=nearer,
        farther=farther,
        pairs=23,
        sources=dict.fromkeys(["photos", "scenes"], own),
    )
    assert said in told["sentence"]
    assert (
        "on photos, 15 (model), 4 to 19 (random orders), trained less untrained" in told["sentence"]
    )


def test_nothing_moved_is_said_in_place_of_an_order():
    told = tell("order", moved=False)
    assert told["sentence"] == "Nothing moved, so there is no order (03, 10)."


def test_a_missing_number_is_an_error():
    with pytest.raises(UndefinedError):
        tell("moves", sources={"photos": {"far": "noise"}})
    with pytest.raises(WorkbookError, match="finding has no value 'move'"):
        tell("move")


def test_every_finding_is_told_by_the_summary():
    source = (NOTEBOOKS / "00_summary.ipynb").read_text()
    for name, parts in findings._templates().items():
        assert f'tell(\\"{name}\\"' in source, name
        assert set(parts) == {"sentence", "meaning"}


def test_changes_without_a_dose_have_no_severity_to_tell():
    told = tell("severity", threshold=0.9, published=False, sources={"photos": {"flat": []}})
    assert "(09): on photos, no change has a dose." in told["sentence"]
