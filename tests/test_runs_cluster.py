"""Dask workers write what one process writes, also when one of them is killed."""

from dataclasses import replace

import psutil
import pytest
import torch
import xarray as xr
from dask.distributed import LocalCluster

from helpers.checks import WorkbookError
from helpers.data import CHANGES
from helpers.extend import change
from helpers.runs import open_run
from helpers.runs.compute import cluster
from helpers.runs.record import Record

KEPT = ("scores", "encodings", "contributions", "dissection", "pixel_change")


@pytest.fixture
def serial(parameters, tmp_path):
    # As many threads as cores: each has one, as each worker has, and rounds as a worker does.
    given = {"workers": torch.get_num_threads(), "out": str(tmp_path / "serial")}
    return open_run(**parameters | given)


def assert_identical(run, other):
    for kept in KEPT:
        xr.testing.assert_identical(getattr(run, kept)(), getattr(other, kept)())


@pytest.mark.soak
def test_two_workers_give_the_arrays_of_a_serial_run_though_one_is_killed(
    serial, parameters, monkeypatch
):
    killed = []

    def add(record, *batch):
        original(record, *batch)
        workers = [child for child in psutil.Process().children() if is_worker(child)]
        if not killed and workers:
            killed.append(workers[0].pid)
            workers[0].kill()

    original = Record.add
    monkeypatch.setattr(Record, "add", add)
    spread = open_run(**parameters | {"cluster": "local:2", "batch_size": 1})
    spread.compute()
    assert killed
    assert_identical(spread, serial)
    assert list(spread.unreadable["image"]) == ["-broken.png"]


def is_worker(process):
    return any("spawn_main" in word for word in process.cmdline())


def test_workers_of_a_scheduler_write_to_a_url(serial, parameters, tmp_path, monkeypatch):
    outputs = tmp_path / "outputs"
    monkeypatch.setattr("helpers.runs.paths.OUTPUTS", outputs)
    place = f"file://{tmp_path}/far%20away"
    # Its workers are threads of this process, which have nothing to import.
    here = {"processes": False, "dashboard_address": ":0"}
    with LocalCluster(n_workers=2, threads_per_worker=1, **here) as workers:
        given = {"cluster": workers.scheduler_address, "out": place}
        spread = open_run(**parameters | given)
        assert_identical(spread, serial)
    assert spread.timings["encode"]["images"] == 6
    assert (tmp_path / "far away" / "arrays.zarr" / "zarr.json").exists()
    assert spread.folder == outputs / str(tmp_path / "far away")[1:]


def test_a_scheduler_that_does_not_answer_is_told(parameters, monkeypatch):
    monkeypatch.setattr("helpers.runs.compute.cluster.SECONDS_TO_ANSWER", 0.5)
    run = open_run(**parameters | {"cluster": "tcp://127.0.0.1:9"})
    with pytest.raises(WorkbookError, match=r"No scheduler answers at tcp://127\.0\.0\.1:9"):
        run.compute()


def test_workers_without_a_row_that_a_cell_registered_are_told(parameters):
    def dimmed(pixels, severity, rng):
        """Darker."""
        return pixels // 2

    change(severity="none")(dimmed)
    try:
        run = open_run(**parameters | {"cluster": "local:1", "changes": ["noise", "dimmed"]})
        with pytest.raises(WorkbookError, match="don't have the 'change dimmed' of this run"):
            run.compute()
    finally:
        del CHANGES["dimmed"]


def test_an_engine_serves_one_run_alone(parameters):
    run = open_run(**parameters)
    job = cluster.Job(run.parameters, str(run.folder / "arrays.zarr"), run.identity)
    again = replace(job, parameters=run.parameters.replace(seed=7))
    assert cluster._engine(job) is cluster._engine(job)
    assert cluster._engine(again) is not cluster._engine(job)
