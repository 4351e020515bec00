"""The memory that processes hold together, watched while they work."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Event, Thread
from typing import Self

import psutil

GIGABYTE = 1e9
SECONDS = 1.0  # a look at large processes takes a tenth of that


@dataclass(frozen=True)
class Sample:
    """What processes held at one moment: bytes, by command line."""

    held: tuple[tuple[int, str], ...] = ()

    @property
    def total(self) -> int:
        """Bytes of all of them."""
        return sum(size for size, _ in self.held)

    def largest(self, count: int) -> list[tuple[int, str]]:
        """Return the processes that held most, with what they held."""
        return sorted(self.held, reverse=True)[:count]


class Watch:
    """Keeps the moment at which processes held most together, from ``with`` to its end."""

    def __init__(self, processes: Callable[[], Iterable[psutil.Process]] | None = None):
        self.peak = Sample()
        self._processes = processes or own_processes
        self._ended = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, sample(self._processes()), key=lambda each: each.total)
            if self._ended.wait(SECONDS):
                return


def own_processes() -> list[psutil.Process]:
    """Return this process and all that it started."""
    this = psutil.Process()
    return [this, *this.children(recursive=True)]


def sample(processes: Iterable[psutil.Process]) -> Sample:
    """Return what processes hold now; those that have ended hold nothing."""
    held = []
    for process in processes:
        try:
            held.append((_bytes_of(process), " ".join(process.cmdline())))
        except psutil.Error:
            continue
    return Sample(tuple(held))


def _bytes_of(process: psutil.Process) -> int:
    # Pages that forked processes share count once, in parts, where the system says so.
    memory = process.memory_full_info()
    return getattr(memory, "pss", memory.uss)
