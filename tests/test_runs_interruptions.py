"""Runs that are interrupted while they write; `make soak` has the long versions."""

import errno
import random
import threading
from pathlib import Path

import pandas as pd
import pytest
import zarr.storage._local as local_store

from helpers.runs import open_run
from helpers.runs.cli import FAILED, main
from helpers.runs.storage.locks import ProcessLock
from tests.interruptions import differing, left_in

TRIES = 4


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


@pytest.fixture
def given(parameters):
    return parameters | {"images": "scenes:4", "layers": 1, "compare": []}


def compute(given):
    run = open_run(**given)
    run.scores()
    run.text_embeddings()
    return run


class Writes:
    """Counts all writes of a run, and lets one of them fail."""

    def __init__(self, monkeypatch):
        self.count, self.fails_at, self.error = 0, 0, None
        put, replace = local_store._put, Path.replace
        monkeypatch.setattr(local_store, "_put", self._counted(put))
        monkeypatch.setattr(Path, "replace", self._counted(replace))

    def fail(self, at, error):
        self.count, self.fails_at, self.error = 0, at, error

    def _counted(self, write):
        def counted(*arguments, **options):
            self.count += 1
            if self.count == self.fails_at:
                raise self.error
            return write(*arguments, **options)

        return counted


@pytest.fixture
def writes(monkeypatch):
    return Writes(monkeypatch)


@pytest.fixture
def undisturbed(given, tmp_path, writes):
    """What an undisturbed run leaves, and the number of its writes."""
    compute(given | {"out": str(tmp_path / "undisturbed")})
    return left_in(tmp_path / "undisturbed"), writes.count


def test_a_run_goes_on_after_it_was_killed_at_any_write(
    given, undisturbed, writes, tmp_path, tally, capsys
):
    expected, count = undisturbed
    lost = []
    for at in random.Random(0).sample(range(1, count), TRIES):
        out = tmp_path / str(at)
        writes.fail(at, Killed())
        with pytest.raises(Killed):
            compute(given | {"out": str(out)})
        again = compute(given | {"out": str(out)})
        lost += differing(left_in(out), expected)
        assert "damage" not in again.record, at
    tally("kills survived", TRIES, lost=len(lost))
    assert lost == []
    assert "damaged" not in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_no_more_is_told_and_the_run_goes_on(
    number, given, undisturbed, writes, tmp_path, tally, capsys, monkeypatch
):
    monkeypatch.setattr("helpers.runs.paths.NOTEBOOKS", tmp_path)  # where there are none
    expected, count = undisturbed
    values = [text for name in ("images", "layers") for text in ("-p", name, str(given[name]))]
    call = ["run", *values, "-p", "model", given["model"], "-p", "compare", "[]"]
    call += ["-p", "batch_size", "2"]
    lost = []
    for at in random.Random(1).sample(range(1, count), TRIES // 2):
        out = tmp_path / str(at)
        writes.fail(at, OSError(number, "no more"))
        assert main([*call, "--out", str(out)]) == FAILED
        assert "no more. What is there is sound" in capsys.readouterr().err
        compute(given | {"out": str(out)})
        lost += differing(left_in(out), expected)
    tally("full and read-only disks survived", TRIES // 2, lost=len(lost))
    assert lost == []


def test_whoever_waits_for_a_lock_is_told_for_whom(tmp_path, capsys):
    held, entered = threading.Event(), threading.Event()

    def hold():
        with ProcessLock(tmp_path / "arrays.lock"):
            held.set()
            entered.wait(1.2)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    with ProcessLock(tmp_path / "arrays.lock"):
        entered.set()
    holder.join()
    printed = capsys.readouterr().err
    assert f"{tmp_path} is being written by process" in printed
    assert printed.count("\n") == 1


def test_a_lock_may_be_entered_twice(tmp_path, capsys):
    lock = ProcessLock(tmp_path / "arrays.lock")
    with lock, lock:
        pass
    assert capsys.readouterr().err == ""


def test_a_table_that_cannot_be_written_whole_leaves_the_one_before(given, monkeypatch):
    run = open_run(**given)
    run.save_table(pd.DataFrame({"a": [1]}), "03_mine")
    before = (run.folder / "tables" / "03_mine.csv").read_text()

    def half(_, path):
        path.write_text("a,b")
        raise OSError(errno.ENOSPC, "no more")

    monkeypatch.setattr(pd.DataFrame, "to_csv", half)
    with pytest.raises(OSError, match="no more"):
        run.save_table(pd.DataFrame({"a": [2]}), "03_mine")
    assert (run.folder / "tables" / "03_mine.csv").read_text() == before
    assert [path.name for path in (run.folder / "tables").iterdir()] == ["03_mine.csv"]
