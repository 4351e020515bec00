"""What is expected of a run is what it opens."""

import json

import pytest

from helpers.runs import open_run
from helpers.runs.progress import all_progress, progress
from helpers.runs.storage.checksums import BLANK, write_sealed
from helpers.runs.variants import attacked_run, runs_by_severity, runs_in_training_order


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"severity": 0.7, "compare": ["embedded:304", "embedded:0", "ViT-B-32"]},
        {"pretrained": "0", "compare": []},
    ],
    ids=str,
)
def test_the_runs_below_a_run_are_known_before_they_are_opened(parameters, given):
    run = open_run(**parameters | given)
    _, expected, _ = progress(run.folder).steps
    others = [*runs_by_severity(run).values(), *runs_in_training_order(run), attacked_run(run)]
    below = {other.folder for other in others} - {run.folder}
    assert expected.total == len(run.images) * len(below)


def test_of_many_images_fewer_are_taken_at_other_severities(parameters, monkeypatch):
    monkeypatch.setattr("helpers.runs.variants.MOST_IMAGES", 3)
    run = open_run(**parameters | {"compare": []})
    _, expected, _ = progress(run.folder).steps
    severities = [other for other in runs_by_severity(run).values() if other.folder != run.folder]
    # and of the untrained model, and attacked
    assert expected.total == 3 * len(severities) + 2 * len(run.images)


def test_a_run_is_told_of_without_running_the_file_that_extends_it(parameters, tmp_path):
    file, ran = tmp_path / "mine.py", tmp_path / "ran"
    file.write_text(f"from pathlib import Path\nPath({str(ran)!r}).write_text('')\n")
    run = open_run(**parameters | {"extend": str(file)})
    before = progress(run.folder)
    ran.unlink()
    file.write_text("raise SystemExit")
    assert progress(run.folder) == before
    file.unlink()
    assert progress(run.folder) == before
    assert not ran.exists()


def test_a_run_of_an_earlier_version_is_told_of_in_a_sentence(parameters, tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.runs.paths.OUTPUTS", tmp_path)
    run = open_run(**parameters)
    entries = {name: each for name, each in run.record.items() if name != "progress"}
    path = run.folder / "run.json"
    write_sealed(path, json.dumps({"checksum": BLANK} | entries))
    assert all_progress() == [
        f"{run.folder}: a run of an earlier version, which this one can't tell of."
    ]
