"""Whole runs, interrupted in every way; `make soak` runs them, in some hours.

``SOAK_KILLS`` says how many times a run is killed, by default 50.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.interruptions import differing, finish, left_in, start

pytestmark = pytest.mark.soak

KILLS = int(os.environ.get("SOAK_KILLS", 50))
MESSAGES = {"full": "No space left on device", "read-only": "Read-only file system"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What an undisturbed run leaves, and the seconds that it takes."""
    out = tmp_path_factory.mktemp("soak") / "undisturbed"
    started = time.monotonic()
    finish(out)
    return left_in(out), time.monotonic() - started


@pytest.fixture
def tmpfs(tmp_path):
    """Mount a small disk, and return its folder and how to give it another size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        return does("mount", "-t", "tmpfs", "-o", options, "tmpfs", folder)

    if not mount("size=64k"):
        pytest.skip("no disk can be mounted here")
    yield folder, lambda size: mount(f"remount,size={size}")
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


class FailingDisk:
    """A disk in a file, which its kernel makes read-only at an error, as it does with real ones."""

    def __init__(self, place):
        self.image, self.folder = place / "image", place / "failing"
        self.folder.mkdir()
        with self.image.open("wb") as file:
            file.truncate(2**30)

    def mount(self):
        return does("mount", "-o", "loop,errors=remount-ro", self.image, self.folder)

    def fail(self):
        os.sync()
        device = subprocess.check_output(["findmnt", "-no", "SOURCE", self.folder], text=True)
        Path("/sys/fs/ext4", Path(device.strip()).name, "trigger_fs_error").write_text("1")

    def mend(self):
        corrected = does("umount", self.folder) and does("fsck.ext4", "-fy", self.image, worst=1)
        return corrected and self.mount()


@pytest.fixture
def failing_disk(tmp_path):
    disk = FailingDisk(tmp_path)
    if not (does("mkfs.ext4", "-q", disk.image) and disk.mount()):
        pytest.skip("no disk can be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk.folder)], check=True)


def does(*call, worst=0):
    """Run a command, and return whether its exit status is no worse than that."""
    done = subprocess.run(list(map(str, call)), capture_output=True, check=False)
    return done.returncode <= worst


def test_a_run_survives_any_number_of_kills_and_interrupts(undisturbed, tmp_path, tally):
    # In a background job of a shell Ctrl-C is ignored, and so it would be in what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    expected, seconds = undisturbed
    out, draw, lost = tmp_path / "killed", random.Random(0), []
    for _ in range(KILLS):
        # Half of its time at most, so that most runs are interrupted several times
        if interrupt(start(out), draw.uniform(0, seconds / 2), draw):
            continue
        lost += differing(left_in(out), expected)
        shutil.rmtree(out)
    finish(out)
    lost += differing(left_in(out), expected)
    tally("kills of a whole run survived", KILLS, lost=len(lost))
    assert lost == []


def interrupt(process, seconds, draw):
    """Interrupt a process after some seconds; return whether it had not ended before."""
    how = draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT])
    try:
        process.communicate(timeout=seconds)
        return False
    except subprocess.TimeoutExpired:
        while not ends_by(process, how):
            pass  # as a person would, once more: an import in C may swallow a Ctrl-C
        return True


def ends_by(process, how):
    process.send_signal(how)
    try:
        process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        return False
    return True


@pytest.mark.parametrize("size", ["64k", "300k", "1m", "4m"])
def test_a_full_disk_is_told_and_a_larger_one_goes_on(size, undisturbed, tmpfs, tally):
    folder, remount = tmpfs
    assert remount(size)
    process = start(folder / "run")
    _, told = process.communicate()
    assert process.returncode
    assert MESSAGES["full"] in told
    remount("1g")
    finish(folder / "run")
    lost = differing(left_in(folder / "run"), undisturbed[0])
    tally("full and read-only disks survived", 1, lost=len(lost))
    assert lost == []


@pytest.mark.parametrize("begun", [1, 6])
def test_a_disk_that_becomes_read_only_is_told(begun, undisturbed, failing_disk, tally):
    run = failing_disk.folder / "run"
    process = start(run)
    while len(list(run.glob("notebooks/*.ipynb"))) < begun:
        assert process.poll() is None
        time.sleep(0.5)
    failing_disk.fail()
    _, told = process.communicate()
    assert process.returncode
    assert MESSAGES["read-only"] in told
    assert failing_disk.mend()
    finish(run)
    lost = differing(left_in(run), undisturbed[0])
    tally("full and read-only disks survived", 1, lost=len(lost))
    assert lost == []


def test_two_runs_on_one_folder_and_a_notebook_that_is_opened_meanwhile(
    undisturbed, tmp_path, tally
):
    out = tmp_path / "shared"
    first = start(out)
    while not (out / "run.json").exists():
        time.sleep(0.1)
    second = start(out)
    script = (
        "import json, sys\nfrom helpers.runs import open_run\n"
        "given = json.load(open(sys.argv[1]))['parameters']\n"
        "assert len(open_run(**given).scores()['image']) == 4"
    )
    opened = subprocess.run([sys.executable, "-c", script, str(out / "run.json")], check=False)
    told = [process.communicate()[1] for process in (first, second)]
    assert (first.returncode, second.returncode, opened.returncode) == (0, 0, 0), told
    assert "is being written by process" in "".join(told)
    lost = differing(left_in(out), undisturbed[0])
    tally("runs that shared a folder", 3, lost=len(lost))
    assert lost == []
