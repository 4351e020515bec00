"""The same images at other severities."""

from helpers.data.changes import SCALES
from helpers.runs import open_run
from helpers.runs.variants import runs_by_severity


def test_a_run_has_its_own_severity_and_others_below_it(parameters):
    run = open_run(**parameters | {"images": "scenes:2"})
    runs = runs_by_severity(run, (0.5, 1.0))
    assert runs[1.0] is run
    assert runs[0.5].parameters.severity == 0.5
    assert runs[0.5].folder == run.folder / "severities" / "0.5"


def test_the_severities_are_those_of_the_runs_set(parameters):
    run = open_run(**parameters | {"images": "scenes:1", "changes": ["fog"]})
    assert tuple(runs_by_severity(run)) == SCALES["corruptions"].severities
