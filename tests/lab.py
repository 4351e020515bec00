"""A JupyterLab and a headless Chromium for tests of what people do in notebooks."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from helpers.runs.jupyter_kernels import PROVISIONER
from helpers.runs.parameters import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
PATIENCE = 120_000  # milliseconds that a step may take on a busy machine
KERNEL_READY = "() => window.jupyterapp.shell.currentWidget.sessionContext.ready"
NEEDS_CHROMIUM = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on the PATH: nothing can be done in a browser"
)


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab.

    Attributes
    ----------
    folder : Path
        Its root; notebooks are opened from there.
    outputs : Path
        Where runs are that its kernels start.
    """

    folder: Path
    port: int
    token: str

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"

    def address(self, name: str) -> str:
        # A workspace of its own, in which no notebook of an earlier test is open.
        place = f"lab/workspaces/{Path(name).stem}/tree/{name}"
        return f"http://127.0.0.1:{self.port}/{place}?token={self.token}"


def set_up(home: Path, outputs: Path) -> dict[str, str]:
    """An environment in which JupyterLab reads and writes nothing of the user's."""
    tracker = home / "settings" / "@jupyterlab" / "notebook-extension"
    tracker.mkdir(parents=True)
    # By default, cells out of sight are not in the page.
    settings = json.dumps({"windowingMode": "none"})
    (tracker / "tracker.jupyterlab-settings").write_text(settings)
    names = ("CONFIG", "DATA", "RUNTIME")
    folders = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in names}
    # Two threads that wait for each other on a busy machine are far slower than one.
    own = {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "OMP_NUM_THREADS": "1"}
    # One kernel at a time is not worth a process that others could be forked from.
    own |= {PROVISIONER: "local-provisioner", "WORKBOOK_OUTPUTS": str(outputs)}
    return os.environ | folders | own


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urlopen(url, timeout=5).close()
            return
        except (URLError, OSError):
            time.sleep(0.2)  # until it listens
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()}")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """One for the tests of a module."""
    own = Lab(tmp_path_factory.mktemp("lab"), free_port(), secrets.token_hex())
    home = tmp_path_factory.mktemp("home")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--port={own.port}", f"--IdentityProvider.token={own.token}"]
    command += ["--expose-app-in-browser", "--LabApp.news_url=None"]
    command += [f"--ServerApp.root_dir={own.folder}"]
    log, environment = home / "log", set_up(home, own.outputs)
    with log.open("w") as file:
        server = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=file, stderr=file)
    try:
        wait_for(f"http://127.0.0.1:{own.port}/api", server, log)
        yield own
    finally:
        server.terminate()
        server.wait(PATIENCE / 1000)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        expect.set_options(timeout=PATIENCE)
        yield browser
        browser.close()


def opened(browser: Browser, lab: Lab, name: str) -> Page:
    """A notebook whose kernel is ready."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(PATIENCE)
    page.goto(lab.address(name))
    page.locator(".jp-NotebookPanel .jp-CodeCell").first.wait_for()
    page.evaluate(KERNEL_READY)  # before that, JupyterLab would ask which kernel to start
    return page


def close(page: Page) -> None:
    """Close a notebook and end its kernel, which would else keep its memory."""
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.close()


def run_all(page: Page) -> None:
    page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")


def control(cell: Locator, name: str) -> Locator:
    return cell.get_by_label(name, exact=True)


def source(cell: Locator) -> str:
    return cell.locator("img").get_attribute("src")
