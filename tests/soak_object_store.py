"""A run in a bucket, over the protocol that buckets speak: moto's server on this machine.

Needs ``moto[server]`` and ``s3fs``, which the workbook itself does not.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
import xarray as xr

from helpers.runs import Run, open_run
from helpers.runs.cli import FAILED, main
from helpers.runs.parameters import Parameters
from helpers.runs.storage.arrays import Arrays, DamagedArrays
from helpers.runs.storage.integrity import find_damage

pytestmark = pytest.mark.soak
moto_server = pytest.importorskip("moto.server")
s3fs = pytest.importorskip("s3fs")
boto3 = pytest.importorskip("boto3")
KEPT = ("scores", "encodings", "contributions")


@pytest.fixture
def requests(monkeypatch):
    """A bucket, and the requests that its server was sent, by method."""
    from werkzeug.serving import WSGIRequestHandler

    counted = Counter()
    monkeypatch.setattr(
        WSGIRequestHandler, "log_request", lambda self, *_: counted.update([self.command])
    )
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    for name, value in (("ENDPOINT_URL", address), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    bucket().create_bucket(Bucket="bucket")
    counted.clear()
    s3fs.S3FileSystem.clear_instance_cache()  # which would go on asking the server of another test
    yield counted
    server.stop()


@pytest.fixture
def given(parameters, requests, tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.runs.paths.OUTPUTS", tmp_path / "outputs")
    return parameters | {"images": "scenes:6", "compare": [], "batch_size": 6}


def bucket():
    return boto3.client("s3")


def assert_as_on_disk(run, given, tmp_path):
    plain = open_run(**given | {"out": str(tmp_path / "plain"), "cluster": None})
    for kept in KEPT:
        xr.testing.assert_identical(getattr(run, kept)(), getattr(plain, kept)())


def test_a_run_in_a_bucket_asks_little(given, requests, tmp_path):
    run = open_run(**given | {"out": "s3://bucket/run"})
    run.compute()
    objects = Arrays("s3://bucket/run/arrays.zarr").manifest.count_files()
    print(f"{objects} objects, {dict(requests)}")
    assert requests.total() <= 30 + objects
    assert_as_on_disk(run, given, tmp_path)


def test_a_run_that_was_killed_goes_on_in_the_bucket(given, tmp_path):
    asked = given | {"images": "scenes:24", "batch_size": 2, "out": "s3://bucket/killed"}
    call = f"from helpers.runs import open_run; open_run(**{asked!r}).compute()"
    process = subprocess.Popen([sys.executable, "-c", call], env=os.environ)
    place = "s3://bucket/killed/arrays.zarr"
    while process.poll() is None and not (Arrays(place).are_there and _done(place)):
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = _done(place)
    run = open_run(**asked)
    run.compute()
    print(f"{before} of 24 images were done when it was killed")
    assert 0 < before < 24
    assert_as_on_disk(run, asked, tmp_path)


def test_workers_of_which_one_is_killed_write_to_the_bucket(given, tmp_path):
    asked = given | {"images": "scenes:12", "batch_size": 1, "out": "s3://bucket/spread"}
    run = open_run(**asked | {"cluster": "local:2"})
    killed = _kill_a_worker_once(run)
    assert killed
    assert_as_on_disk(run, asked, tmp_path)


def test_workers_write_what_is_asked_for_later(given, tmp_path):
    from dask.distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as workers:
        asked = given | {"out": "s3://bucket/later", "cluster": workers.scheduler_address}
        run = Run(Parameters(**asked), ["embedding_similarity"])
        run.compute()
        assert_as_on_disk(run, asked, tmp_path)
    assert "damage" not in run.record


def test_damage_in_the_bucket_is_found_and_mended(given, tmp_path):
    asked = given | {"out": "s3://bucket/damaged"}
    open_run(**asked).compute()
    name = "damaged/arrays.zarr/embedding/c/0/0/0"
    bucket().put_object(Bucket="bucket", Key=name, Body=b"nothing")
    found = find_damage(Arrays("s3://bucket/damaged/arrays.zarr"))
    assert [damage.file for damage in found] == ["embedding/c/0/0/0"]
    assert_as_on_disk(open_run(**asked), asked, tmp_path)


def test_a_run_in_a_bucket_is_verified_and_reported(given, tmp_path, capsys):
    run = open_run(**given | {"out": "s3://bucket/told"})
    run.compute()
    assert main(["verify", str(run.folder), "--share", "1"]) == 0
    assert "All agrees." in capsys.readouterr().out
    assert main(["report", str(run.folder), "--out", str(tmp_path / "report.html")]) == 0
    damaged = "told/arrays.zarr/embedding/zarr.json"
    bucket().put_object(Bucket="bucket", Key=damaged, Body=b"{}")
    assert main(["verify", str(run.folder)]) == FAILED
    assert f"s3://bucket/{damaged} is damaged" in capsys.readouterr().out


def _done(place):
    arrays = Arrays(place)
    try:
        return int(arrays.done().sum()) if arrays.are_there else 0
    except DamagedArrays:  # or made at this very moment
        return 0


def _kill_a_worker_once(run):
    import psutil

    from helpers.runs.record import Record

    killed, original = [], Record.add

    def add(record, *told):
        original(record, *told)
        children = psutil.Process().children()
        workers = [one for one in children if any("spawn_main" in w for w in one.cmdline())]
        if not killed and workers:
            killed.append(workers[0].pid)
            workers[0].kill()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Record, "add", add)
        run.compute()
    return killed
