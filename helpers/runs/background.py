"""Runs in processes of their own, which go on when whoever started them has gone."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

from helpers.checks import WorkbookError
from helpers.runs.parameters import Parameters, as_argument
from helpers.runs.run import Run
from helpers.runs.runner import run_lock
from helpers.runs.stored import StoredRun

COMMAND = (sys.executable, "-m", "helpers.runs.cli")
LOG = "run.log"
NO_BARS = {"TQDM_DISABLE": "1"}  # progress is read from the run's folder
HOLDER = re.compile(r"process (\d+) on (.+)")

_started: dict[Path, subprocess.Popen] = {}


def start(parameters: Parameters) -> Path:
    """Start ``workbook run``, or go on with one that was interrupted; return the run's folder."""
    folder = Run(parameters).folder
    if who := writer(folder):
        raise WorkbookError(f"{folder} is being written by {who} already; wait, or stop it.")
    values = {name: as_argument(value) for name, value in parameters}
    given = [text for pair in values.items() for text in ("-p", *pair)]
    with (folder / LOG).open("w") as log:
        _started[folder] = subprocess.Popen(
            [*COMMAND, "run", *given],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | NO_BARS,
            start_new_session=True,  # what ends the notebook's kernel doesn't reach it
        )
    return folder


def go_on(folder: Path) -> None:
    """Go on with a run, with the parameters that its record has."""
    start(StoredRun(folder).reopened)


def stop(folder: Path) -> None:
    """Interrupt a run; the batch and the notebooks that it was working on are lost."""
    holder = HOLDER.fullmatch(writer(folder) or "")
    if not holder:
        raise WorkbookError(f"{folder} is not running.")
    process, host = holder.groups()
    if host != socket.gethostname():
        raise WorkbookError(f"{folder} is running on {host}; stop it there.")
    os.kill(int(process), signal.SIGTERM)


def writer(folder: Path) -> str | None:
    """Return which process is doing a run, such as ``process 12 on thishost``; None if none is."""
    process = _started.get(folder)
    if process is not None and process.poll() is None:  # which may not have come to its lock yet
        return f"process {process.pid} on {socket.gethostname()}"
    return run_lock(folder).holder()


def failure(folder: Path) -> str:
    """Return what a run said last, if it ended before its report."""
    path = folder / LOG
    text = path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else ""
    _, mark, message = text.rpartition("workbook: ")
    if mark:
        return message
    last = text.splitlines()[-1:]
    return "" if not last or last[0].startswith("Report: ") else last[0]
