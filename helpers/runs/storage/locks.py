"""Locks between processes, which say who is waited for."""

import os
import socket
import sys
from pathlib import Path

from filelock import FileLock, Timeout

SECONDS_UNTOLD = 1.0


class ToldLock:
    """A lock that one process or thread holds at a time; whoever waits long is told for whom.

    The system opens it when its holder ends, in whatever way. It may be entered again by the thread
    that holds it.
    """

    def __init__(self, path: Path):
        self._lock = FileLock(path)
        self._path, self._holder = path, path.with_suffix(".holder")

    def __enter__(self) -> "ToldLock":
        try:
            self._lock.acquire(timeout=SECONDS_UNTOLD)
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
            return self._told()

    def _sentence(self) -> str:
        return f"{self._holder.parent} is being written by {self._told()}."

    def _told(self) -> str:
        return self._holder.read_text() if self._holder.exists() else "another process"
