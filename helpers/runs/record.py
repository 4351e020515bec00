"""What a run says of itself: ``run.json``."""

import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from helpers.runs.parameters import ROOT
from helpers.runs.storage.checksums import BLANK, read_sealed, write_sealed

REPORTED_VERSIONS = (
    "torch",
    "open_clip_torch",
    "albumentations",
    "numpy",
    "scipy",
    "opencv-python-headless",
    "pillow",
    "scikit-learn",
    "pandas",
    "xarray",
    "zarr",
)
CODE = (".py", ".yaml", ".csv", ".css", ".j2")
CPU_INFO = Path("/proc/cpuinfo")


class Record:
    """The file that holds a run's parameters, identity, versions, timings and unreadable images."""

    def __init__(self, path: Path):
        self._path = path
        self._lock = FileLock(path.with_suffix(".lock"))

    def read(self) -> dict:
        """Return all entries; none where there is no file, and of a damaged one only that it is."""
        if not self._path.exists():
            return {}
        entries = read_undamaged(self._path)
        return self._lost("is damaged") if entries is None else entries

    def update(self, **entries: object) -> None:
        """Replace entries. A process that is killed leaves the old file or the new one."""
        with self._lock:
            known = {"checksum": BLANK} | self.read() | entries
            text = json.dumps(known, indent=2, ensure_ascii=False)
            write_sealed(self._path, text + "\n")

    def add_circumstances(self, now: Mapping) -> None:
        """Keep under which circumstances (`circumstances`) arrays are computed, each once."""
        with self._lock:
            known = self.read().get("computed_with", [])
            if now not in known:
                self.update(computed_with=[*known, now])

    def add_derived(self, name: str) -> None:
        """List a file of `helpers.runs.derived`, so that it is missed when it is gone."""
        with self._lock:
            listed = self.read().get("derived", [])
            if name not in listed:
                self.update(derived=sorted([*listed, name]))

    def report_damage(self, sentence: str) -> None:
        """Print what is damaged, and keep it."""
        print(sentence, file=sys.stderr)
        with self._lock:
            self.update(damage=[*self.read().get("damage", []), sentence])

    def report_if_missing(self) -> None:
        """Report that the file is not there; for a folder in which it ought to be."""
        if not self._path.exists():
            self.update(**self._lost("is missing"))

    def _lost(self, how: str) -> dict:
        sentence = f"{self._path} {how}; it is written again, without earlier timings."
        print(sentence, file=sys.stderr)
        return {"damage": [sentence]}

    def add(
        self,
        images: int,
        seconds: Mapping[str, float],
        unreadable: Mapping[str, str],
        progress: Sequence[int],
    ) -> None:
        """Add what a batch took, what of it could not be read, and how far the images are now."""
        with self._lock:
            known = self.read()
            self.update(
                timings=_summed(known.get("timings", {}), images, seconds),
                unreadable=known.get("unreadable", {}) | unreadable,
                progress=known.get("progress", {}) | {"images": progress},
            )

    def update_progress(self, **parts: object) -> None:
        """Replace parts of what says how far the run is, as `helpers.runs.progress` reads it."""
        with self._lock:
            self.update(progress=self.read().get("progress", {}) | parts)


def read_undamaged(path: Path) -> dict | None:
    """Return the entries of a ``run.json``; None where it is missing or damaged."""
    data = read_sealed(path)
    return data and {name: each for name, each in json.loads(data).items() if name != "checksum"}


def _summed(before: Mapping, images: int, seconds: Mapping[str, float]) -> dict:
    nothing = {"images": 0, "seconds": 0.0}
    return {**before} | {
        part: {
            "images": before.get(part, nothing)["images"] + images,
            "seconds": before.get(part, nothing)["seconds"] + took,
        }
        for part, took in seconds.items()
    }


@cache
def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    packages = {package: version(package) for package in REPORTED_VERSIONS}
    return {"python": platform.python_version()} | packages


@cache
def code_version() -> dict[str, object]:
    """Say which code this is, as it was when this process first asked."""
    code = {"helpers": helpers_digest()}
    if _git("ls-files", "helpers"):  # and not a checkout of something else around it
        changes = _git("status", "--porcelain", "--", "helpers", "notebooks")
        code |= {"commit": _git("rev-parse", "HEAD"), "dirty": bool(changes)}
    return code


def helpers_digest() -> str:
    """Return the SHA-256 of all modules of the workbook, and of the tables and templates beside."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "helpers").rglob("*")):
        if path.suffix in CODE:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def circumstances() -> dict[str, dict]:
    """Return all that computed values may depend on beside a run's identity."""
    return {"versions": installed_versions(), "code": code_version(), "machine": machine()}


def machine() -> dict[str, object]:
    """Say what float32 products depend on beside versions."""
    import torch

    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _git(*arguments: str) -> str | None:
    call = ["git", "-C", str(ROOT), *arguments]
    try:
        ended = subprocess.run(call, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or no checkout
        return None
    return ended.stdout.strip()
