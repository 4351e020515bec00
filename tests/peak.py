"""A command and the memory of all its processes together: ``python -m tests.peak -- make check``.

At its end the peak is printed, with the processes that held most then. The exit status is that of
the command, or 1 where the peak is above the limit or a process outlives the command; what is left
over is named and ended.
"""

import argparse
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence

import psutil

from helpers.runs.memory import GIGABYTE, Watch

GRACE = 10  # seconds that a process may take to end after the command
NAMED = 5
WIDTH = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit status, or 1 for too much memory or a left-over."""
    given = _parser().parse_args(arguments)
    mark, before = f"WATCHED_{secrets.token_hex(8)}", {*_below()}
    with Watch(lambda: _started(mark, before)) as watch:
        status = subprocess.call(given.command, env=os.environ | {mark: "1"})
    left = _left_over(_started(mark, before))
    above = watch.peak.total > given.limit * GIGABYTE
    print(f"== memory: {_gigabytes(watch.peak.total)} at most, of {given.limit:g} GB", flush=True)
    for size, command in watch.peak.largest(NAMED):
        print(f"   {_gigabytes(size)} {command[:WIDTH]}")
    if above:
        print(f"== memory FAILED: above {given.limit:g} GB")
    for process, command in left:
        print(f"== FAILED: left over, and ended now: {process} {command[:WIDTH]}")
    return status or int(above or bool(left))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--limit", type=float, required=True, metavar="GB")
    parser.add_argument("command", nargs="+")
    return parser


def _started(mark: str, before: set[psutil.Process]) -> list[psutil.Process]:
    """Return what the command started: marked in the environment, or below this process since."""
    marked = [process for process in psutil.process_iter() if _is_marked(process, mark)]
    return list({*marked, *_below()} - before)


def _below() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _is_marked(process: psutil.Process, mark: str) -> bool:
    try:
        return mark in process.environ()
    except psutil.Error:
        return False


def _left_over(started: list[psutil.Process]) -> list[tuple[int, str]]:
    """End what still runs after a moment; return numbers and command lines."""
    _, alive = psutil.wait_procs(started, timeout=GRACE)
    left = []
    for process in alive:
        try:
            left.append((process.pid, " ".join(process.cmdline())))
            process.kill()
        except psutil.NoSuchProcess:
            continue
    return left


def _gigabytes(size: int) -> str:
    return f"{size / GIGABYTE:.2f} GB"


if __name__ == "__main__":
    sys.exit(main())
