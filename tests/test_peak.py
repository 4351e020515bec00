"""The guard around `make test`: what is held together, and what is left over."""

import subprocess
import sys

import psutil
import pytest

from helpers.runs.memory import Watch
from helpers.runs.parameters import ROOT
from tests import peak

MEGABYTES = 60
HOLDS = f"import time; held = b'x' * {MEGABYTES * 10**6}; time.sleep(1.5)"
# The second process leaves the first one's session, as kernels do, and is no child of anyone.
LEAVES = (
    "import subprocess, sys\n"
    "code = 'import time; time.sleep(600)'\n"
    "subprocess.Popen([sys.executable, '-c', code], start_new_session=True)"
)
BOTH = (
    "import subprocess, sys\n"
    "one = subprocess.Popen([sys.executable, '-c', {holds!r}])\n"
    "{holds}\n"
    "one.wait()"
)


def watched(code, limit, monkeypatch, capsys):
    monkeypatch.setattr(peak, "GRACE", 0.5)
    status = peak.main(["--limit", str(limit), "--", sys.executable, "-c", code])
    return status, capsys.readouterr().out


@pytest.mark.parametrize(("limit", "status"), [(0.2, 0), (0.05, 1)])
def test_a_process_above_the_limit_fails_and_is_named(limit, status, monkeypatch, capsys):
    found, told = watched(HOLDS, limit, monkeypatch, capsys)
    assert found == status
    assert 0.06 <= float(told.split()[2]) < 0.2
    assert ("FAILED: above 0.05 GB" in told) == bool(status)
    assert f"{sys.executable} -c import time; held" in told


def test_processes_count_together(monkeypatch, capsys):
    assert watched(BOTH.format(holds=HOLDS), 0.12, monkeypatch, capsys)[0] == 1


def test_a_left_over_process_fails_is_named_and_ended(monkeypatch, capsys):
    status, told = watched(LEAVES, 1, monkeypatch, capsys)
    assert status == 1
    number = int(told.partition("ended now: ")[2].split()[0])
    assert "time.sleep(600)" in told
    psutil.wait_procs([psutil.Process(number)] if psutil.pid_exists(number) else [], timeout=10)
    assert not psutil.pid_exists(number)


def test_the_status_is_that_of_the_command(monkeypatch, capsys):
    assert watched("raise SystemExit(3)", 1, monkeypatch, capsys)[0] == 3


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is shared")
def test_pages_that_forks_share_count_once():
    code = (
        f"import os; held = b'x' * {MEGABYTES * 10**6}; print(os.fork(), flush=True); os.read(0, 1)"
    )
    quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": ROOT}
    with subprocess.Popen([sys.executable, "-c", code], **quiet) as parent:
        parent.stdout.readline()
        parent.stdout.readline()
        root = psutil.Process(parent.pid)
        with Watch(lambda: [root, *root.children()]) as watch:
            pass
        parent.communicate()
    assert len(watch.peak.held) == 2
    assert MEGABYTES * 1e6 < watch.peak.total < 1.5 * MEGABYTES * 1e6
