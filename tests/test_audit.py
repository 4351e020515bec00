import pytest
from packaging.requirements import Requirement

from tests import audit

ALLOWED = (
    "MIT",
    "BSD License",
    "ISC License (ISCL)",
    "Apache 2.0",
    "Apache 2.0 License",
    "Apache License, Version 2.0",
    "Apache Software License",
    "MIT AND PSF-2.0",
    "GPL-3.0 OR MIT",
)


@pytest.mark.parametrize("found", ALLOWED)
def test_licences_that_are_allowed(found):
    assert audit.is_allowed(found)


@pytest.mark.parametrize(
    "found",
    ["", "GPL-3.0", "AGPL-3.0-only", "MIT AND GPL-3.0", "Other/Proprietary License", "MITX"],
)
def test_licences_that_are_not(found):
    assert not audit.is_allowed(found)


def test_a_fault_is_told_with_the_package(monkeypatch):
    monkeypatch.setattr(audit, "licence", lambda package: "AGPL-3.0")
    assert ["numpy has the licence 'AGPL-3.0'" in fault for fault in faults("numpy>1")] == [True]
    monkeypatch.undo()
    assert ["is pinned and not installed" in fault for fault in faults("nothing-such==1")] == [True]
    assert ["and pinned as ==1" in fault for fault in faults("numpy==1")] == [True]
    assert faults("tqdm>1") == []


def faults(requirement):
    return list(audit.faults_of(Requirement(requirement)))


def test_every_exception_is_a_pinned_package():
    names = [pin.name for pin in audit.read_pins(audit.PINS.read_text(encoding="utf-8"))]
    for exception in audit.EXCEPTIONS:
        assert [name for name in names if audit.re.fullmatch(exception, name)]
