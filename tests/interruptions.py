"""Runs in processes of their own, to be interrupted, and what they leave."""

import os
import subprocess
import sys
from pathlib import Path

SMALLEST = {"images": "scenes:4", "compare": "[embedded:304]", "batch_size": 2}


def start(out: Path, **environment: str) -> subprocess.Popen:
    """Start ``workbook run`` with all notebooks, on four images."""
    values = [text for name, value in SMALLEST.items() for text in ("-p", name, str(value))]
    call = [sys.executable, "-m", "helpers.runs.cli", "run", *values, "--out", str(out)]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(call, env=os.environ | environment, **pipes)


def finish(out: Path) -> str:
    """Run to the end, and return what was told on the way."""
    process = start(out)
    _, told = process.communicate()
    assert process.returncode == 0, told
    return told


def left_in(out: Path) -> dict[str, bytes]:
    """Return all arrays, texts and tables of a run and those below it, file by file."""
    kinds = ("*.zarr/**/*", "derived/texts-*.zip", "tables/*.csv")
    files = [path for kind in kinds for path in out.glob(f"**/{kind}")]
    kept = [path for path in files if path.is_file() and "partial" not in path.name]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in kept}


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """Return the files that are not the same to the last bit."""
    return sorted(name for name in one | other if one.get(name) != other.get(name))
