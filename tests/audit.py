"""What the pinned packages' licences are, from their installed metadata; needs no network.

`make check` runs it. A package that is pinned for another system than this one is named as not
audited. Of vulnerabilities there is no data without a network: the audit says so, and how to ask.
"""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path

from packaging.requirements import Requirement

PINS = Path(__file__).parents[1] / "requirements.txt"

ALLOWED = re.compile(
    r"0BSD|BSD|BSD License|BSD-[23]-Clause|MIT|MIT License|MIT-0|MIT-CMU|ISC|ISC License \(ISCL\)?"
    r"|Apache(-| |, )?(Software |License, Version )?(License|2\.0)?( License)?"
    r"|Apache-2\.0 WITH LLVM-exception|BSL-1\.0|Zlib|CC0-1\.0|CNRI-Python|PSF-2\.0"
    r"|Python Software Foundation License"
)
"""Licences that ask for no more than that their text is kept."""

WEAK = "its files are used as they are; only changes to them would have to be published"
CUDA = (
    "NVIDIA's libraries, which torch needs on a GPU: pip fetches them, nothing here passes them on"
)
EXCEPTIONS = {
    # package: reason
    "axe-playwright-python": "MIT by its LICENSE file; it holds axe, MPL-2.0: in tests alone",
    "certifi": WEAK,
    "fqdn": WEAK,
    "hypothesis": WEAK + "; in tests alone",
    "tqdm": WEAK,
    "cuda-toolkit": CUDA,
    "nvidia-.*": CUDA,
}
"""Packages, as regular expressions, that have another licence, and why they are used."""

VULNERABILITIES = (
    "vulnerabilities: not audited, as their data can't be had without a network; where there is"
    " one, run `uvx pip-audit -r requirements.txt --no-deps`"
)


def main() -> int:
    """Print what is wrong, and what could not be looked at; 1 where anything is wrong."""
    pins = list(read_pins(PINS.read_text(encoding="utf-8")))
    here = [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]
    faults = [fault for pin in here for fault in faults_of(pin)]
    print(*faults, sep="\n", end="\n" if faults else "")
    print(f"licences: {len(here)} packages audited, {len(faults)} faults")
    elsewhere = sorted({pin.name for pin in pins} - {pin.name for pin in here})
    print(f"licences: not audited, pinned for other systems: {', '.join(elsewhere) or 'none'}")
    print(VULNERABILITIES)
    return bool(faults)


def read_pins(text: str) -> Iterator[Requirement]:
    """Read the lines of requirements.txt that are no comments."""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            yield Requirement(line)


def faults_of(pin: Requirement) -> Iterator[str]:
    """Say what is wrong with an installed package: another version, or a licence not allowed."""
    try:
        installed, found = version(pin.name), licence(pin.name)
    except PackageNotFoundError:
        yield f"{pin.name} is pinned and not installed; run make .venv"
        return
    if not pin.specifier.contains(installed, prereleases=True):
        yield f"{pin.name} is installed as {installed} and pinned as {pin.specifier}"
    excepted = any(re.fullmatch(name, pin.name) for name in EXCEPTIONS)
    if not excepted and not is_allowed(found):
        yield f"{pin.name} has the licence {found or 'none'!r}; allow it in {__file__}, or drop it"


def licence(package: str) -> str:
    """Return a package's licence: its SPDX expression, its classifiers, or its own words."""
    told = metadata(package)
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in told.get_all("Classifier") or []
        if line.startswith("License :: ") and line != "License :: OSI Approved"
    ]
    own = (told.get("License") or "").strip().partition("\n")[0]
    return told.get("License-Expression") or " AND ".join(classifiers) or own


def is_allowed(found: str) -> bool:
    """Return whether all licences of an expression are allowed, or one of those to choose from."""
    choices = re.split(r"\s+OR\s+", found)
    return any(
        all(ALLOWED.fullmatch(part.strip("() ")) for part in re.split(r"\s+AND\s+", choice))
        for choice in choices
    )


if __name__ == "__main__":
    sys.exit(main())
