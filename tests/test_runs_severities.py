"""The same images at other severities."""

from helpers.data.changes import SCALES
from helpers.data.truth import known_truth
from helpers.runs import open_run
from helpers.runs.severities import runs_by_severity
from helpers.runs.texts import embedded_captions


def test_a_run_has_its_own_severity_and_others_below_it(parameters):
    run = open_run(**parameters | {"images": "scenes:2"})
    runs = runs_by_severity(run, (0.5, 1.0))
    assert runs[1.0] is run
    assert runs[0.5].parameters.severity == 0.5
    assert runs[0.5].folder == run.folder / "severities" / "0.5"


def test_the_severities_are_those_of_the_runs_set(parameters):
    run = open_run(**parameters | {"images": "scenes:1", "changes": ["fog"]})
    assert tuple(runs_by_severity(run)) == SCALES["corruptions"].severities


def test_captions_that_cannot_be_read_are_left_out(parameters):
    run = open_run(**parameters | {"images": "scenes:3"})
    captions = known_truth(run.images)["caption"]
    assert embedded_captions(captions, run.model).sizes == {"image": 3, "feature": 128}
    captions.iloc[0], captions.iloc[1] = "", "a red square " * 20
    found = embedded_captions(captions, run.model)
    assert found["image"].values.tolist() == [captions.index[2]]
    assert embedded_captions(captions[:2], run.model).sizes["image"] == 0
