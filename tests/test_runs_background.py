"""Runs in processes of their own: started, watched from their folders, stopped and gone on with."""

import os
import sys
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers.checks import WorkbookError
from helpers.runs import background, jupyter_kernels, paths
from helpers.runs.parameters import Parameters, as_argument, from_profile, parse_value
from helpers.runs.progress import Step, all_progress, progress

PATIENCE = 120  # seconds, on a busy machine
COMMAND = """
import sys
from pathlib import Path
from helpers.runs import paths
paths.NOTEBOOKS = Path({folder!r})
from helpers.runs.cli import main
if __name__ == "__main__":
    sys.exit(main())
"""


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    """A workbook of one notebook, whose code the test writes, for this process and for others."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (tmp_path / "command.py").write_text(COMMAND.format(folder=str(folder)))
    monkeypatch.setattr("helpers.runs.paths.NOTEBOOKS", folder)
    monkeypatch.setattr(background, "COMMAND", (sys.executable, str(tmp_path / "command.py")))
    monkeypatch.setattr(paths, "OUTPUTS", tmp_path)
    monkeypatch.setenv(
        jupyter_kernels.PROVISIONER, "local-provisioner"
    )  # the notebook imports nothing

    def write(code):
        kernel = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
        cells = [
            new_markdown_cell("# 01 Short: is it?"),
            new_code_cell("out = None", metadata={"tags": ["parameters"]}),
            new_code_cell(code),
        ]
        notebook = new_notebook(cells=cells, metadata=kernel)
        nbformat.write(notebook, folder / "01_short.ipynb")

    return write


def wait_until(is_so):
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_run_is_stopped_and_goes_on(workbook, parameters):
    workbook("from time import sleep\nfrom pathlib import Path\n"
             "while not Path(out, 'go').exists():\n    sleep(0.1)")  # fmt: skip
    folder = background.start(Parameters(**parameters))
    with pytest.raises(WorkbookError, match="already"):
        background.start(Parameters(**parameters))
    wait_until(lambda: (folder / "notebooks" / "01_short.ipynb").exists())
    assert background.run_lock(folder).holder() == background.writer(folder)
    images, _, notebooks = progress(folder).steps
    assert (images.done, images.total, notebooks.done, notebooks.total) == (7, 7, 0, 1)
    assert images.seconds_each > 0

    background.stop(folder)
    wait_until(lambda: background.writer(folder) is None)
    assert background.failure(folder).startswith("interrupted")
    assert not progress(folder).is_finished
    with pytest.raises(WorkbookError, match="is not running"):
        background.stop(folder)

    (folder / "go").touch()
    background.go_on(folder)
    wait_until(lambda: background.writer(folder) is None)
    assert progress(folder).is_finished
    assert background.failure(folder) == ""
    assert [run.folder for run in all_progress()] == [folder]


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("1: kept\nworkbook: Notebook 05 failed in cell 3\nThe notebook", "Notebook 05 failed in"),
        ("Traceback\n  File\nMemoryError", "MemoryError"),
        ("1: kept\nReport: run/index.html\n", ""),
        ("", ""),
    ],
)
def test_what_a_run_ended_with_is_reported(tmp_path, log, message):
    (tmp_path / background.LOG).write_text(log)
    assert background.failure(tmp_path).startswith(message)
    assert bool(background.failure(tmp_path)) == bool(message)


def test_bad_parameters_are_told_before_anything_starts(parameters, tmp_path):
    with pytest.raises(WorkbookError, match="nothing-here"):
        background.start(Parameters(**parameters | {"images": str(tmp_path / "nothing-here")}))


def test_a_run_that_cannot_be_read_is_told_among_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "OUTPUTS", tmp_path)
    assert all_progress() == []
    (tmp_path / "spoilt").mkdir()
    (tmp_path / "spoilt" / "run.json").write_text("{}")
    (reason,) = all_progress()
    assert "spoilt" in reason


def test_time_left_is_that_of_what_is_left():
    assert Step("images", 10, 30, 0.5).seconds_left == 10
    assert Step("images", 30, 30, None).seconds_left == 0
    assert Step("images", 0, 30, None).seconds_left is None


def test_arguments_mean_the_parameters_that_they_were_made_of():
    for name in ("quick", "six_models"):
        values = vars(from_profile(name, {"images": "photos", "limit": 3, "severity": 1e-7}))
        again = {each: parse_value(each, as_argument(value)) for each, value in values.items()}
        assert again == values


def test_a_lock_is_nobodys_when_its_holder_is_gone(tmp_path):
    lock = background.run_lock(tmp_path)
    assert lock.holder() is None
    with background.run_lock(tmp_path):
        assert lock.holder().startswith(f"process {os.getpid()} on ")
    assert lock.holder() is None
