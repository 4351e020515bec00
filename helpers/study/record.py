"""What a run says of itself: ``run.json``."""

import json
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

REPORTED_VERSIONS = ("torch", "open_clip_torch", "albumentations", "numpy", "scipy")


class Record:
    """The file that holds a run's parameters, identity, versions, timings and unreadable images.

    Parameters
    ----------
    path : Path
        The file; it may not be there yet.
    """

    def __init__(self, path: Path):
        self._path = path

    def read(self) -> dict:
        """Return all entries; none where there is no file."""
        return json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else {}

    def update(self, **entries: object) -> None:
        """Replace entries. A process that is killed leaves the old file or the new one."""
        partial = self._path.with_suffix(f".{os.getpid()}.partial")
        text = json.dumps(self.read() | entries, indent=2, ensure_ascii=False)
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(self._path)

    def add(self, images: int, seconds: Mapping[str, float], unreadable: Mapping[str, str]) -> None:
        """Add what a batch took and what of it could not be read.

        Parameters
        ----------
        images : int
            How many were computed.
        seconds : dict of str to float
            Part of the computation → how long it took.
        unreadable : dict of str to str
            Image → reason.
        """
        told = self.read()
        timings = told.get("timings", {})
        for part, took in seconds.items():
            before = timings.get(part, {"images": 0, "seconds": 0.0})
            timings[part] = {
                "images": before["images"] + images,
                "seconds": before["seconds"] + took,
            }
        self.update(timings=timings, unreadable=told.get("unreadable", {}) | unreadable)


def installed_versions() -> dict[str, str]:
    """Return the versions of the packages that results depend on most."""
    return {package: version(package) for package in REPORTED_VERSIONS}
