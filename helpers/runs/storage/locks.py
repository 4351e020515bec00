"""Locks between processes, which say who is waited for."""

import os
import socket
import sys
from pathlib import Path

from filelock import FileLock, Timeout

SECONDS_BEFORE_NOTICE = 1.0


class ProcessLock:
    """A lock that one process or thread holds at a time; a long wait is announced, with its reason.

    The system opens it when its holder ends, in whatever way. It may be entered again by the thread
    that holds it.
    """

    def __init__(self, path: Path):
        self._lock = FileLock(path)
        self._path, self._holder = path, path.with_suffix(".holder")

    def __enter__(self) -> "ProcessLock":
        try:
            self._lock.acquire(timeout=SECONDS_BEFORE_NOTICE)
        except Timeout:
            print(f"{self._sentence()} Waiting; Ctrl-C ends that.", file=sys.stderr)
            self._lock.acquire()
        self._holder.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def holder(self) -> str | None:
        """Return who holds the lock, such as ``process 12 on thishost``; None where it is open."""
        if not self._path.exists():
            return None
        try:
            with self._lock.acquire(timeout=0):
                return None
        except Timeout:
            return self._holder_name()

    def _sentence(self) -> str:
        return f"{self._holder.parent} is being written by {self._holder_name()}."

    def _holder_name(self) -> str:
        return self._holder.read_text() if self._holder.exists() else "another process"
