"""The panels of notebook 07 in JupyterLab, driven by a headless Chromium."""

import json
import os
import re
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

import nbformat
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect, sync_playwright

from helpers.study.notebook_page import notebook_page
from helpers.study.parameters import NOTEBOOKS, ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
PATIENCE = 120_000  # milliseconds that a step may take on a busy machine
NAME = "07_interpret.ipynb"
KERNEL_READY = "() => window.jupyterapp.shell.currentWidget.sessionContext.ready"

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on the PATH: the panels can't be driven in a browser"
)


@dataclass(frozen=True)
class Use:
    """What is done with a panel: in which lists something else is chosen, and what is written."""

    panel: str
    choose: tuple[str, ...]
    write: dict[str, str]


USES = (
    Use("property_neighbours", ("image", "property"), {}),
    Use("segmentation", ("layer", "head"), {"text": "a blue object"}),
    Use("contrast", ("head",), {"text": "a circle", "other": "a square"}),
    Use("image_neighbours", ("layer", "head", "image"), {}),
    Use("text_neighbours", ("layer", "head"), {"text": "a large object"}),
)
WITH_TEXT = [use.panel for use in USES if use.write]


def shortened(folder: Path) -> Path:
    """Notebook 07 on eight scenes, up to its scores, which have no panel."""
    notebook = nbformat.read(NOTEBOOKS / NAME, as_version=4)
    starts = [cell.source.startswith("## Are the places right?") for cell in notebook.cells]
    notebook.cells = notebook.cells[: starts.index(True)]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if "parameters" in cell.metadata.get("tags", []):
            run = {"images": "scenes:8", "compare": ["embedded:304"], "out": str(folder / "run")}
            cell.source += "".join(f"\n{name} = {value!r}" for name, value in run.items())
    nbformat.write(notebook, folder / NAME)
    return folder / NAME


def set_up(folder: Path) -> dict[str, str]:
    """An environment in which JupyterLab reads and writes nothing of the user's."""
    tracker = folder / "settings" / "@jupyterlab" / "notebook-extension"
    tracker.mkdir(parents=True)
    # By default, cells out of sight are not in the page.
    settings = json.dumps({"windowingMode": "none"})
    (tracker / "tracker.jupyterlab-settings").write_text(settings)
    names = ("CONFIG", "DATA", "RUNTIME")
    folders = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in names}
    # Two threads that wait for each other on a busy machine are far slower than one.
    own = {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"), "OMP_NUM_THREADS": "1"}
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
def notebook(tmp_path_factory):
    return shortened(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def lab(notebook, tmp_path_factory):
    """Address of the notebook in a running JupyterLab."""
    port, token, home = free_port(), secrets.token_hex(), tmp_path_factory.mktemp("home")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--port={port}", f"--IdentityProvider.token={token}", "--expose-app-in-browser"]
    command += [f"--ServerApp.root_dir={notebook.parent}", "--LabApp.news_url=None"]
    log = home / "log"
    with log.open("w") as file:
        server = subprocess.Popen(command, env=set_up(home), cwd=ROOT, stdout=file, stderr=file)
    try:
        wait_for(f"http://127.0.0.1:{port}/api", server, log)
        yield f"http://127.0.0.1:{port}/lab/tree/{NAME}?token={token}"
    finally:
        server.terminate()
        server.wait(PATIENCE / 1000)


@pytest.fixture(scope="module")
def page(lab):
    """The notebook, opened and run to its end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page.goto(lab)
        page.locator(".jp-NotebookPanel .jp-CodeCell").first.wait_for()
        page.evaluate(KERNEL_READY)  # before that, JupyterLab would ask which kernel to start
        page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        for use in USES:
            expect(cell_of(page, use.panel).locator("img")).to_have_count(1)
        yield page
        browser.close()


def cell_of(page: Page, panel: str) -> Locator:
    return page.locator(".jp-CodeCell").filter(has_text=f'interpret.panel("{panel}"')


def control(cell: Locator, name: str) -> Locator:
    return cell.get_by_label(name, exact=True)


def write(cell: Locator, name: str, text: str) -> None:
    control(cell, name).fill(text)
    control(cell, name).press("Enter")


def source(cell: Locator) -> str:
    return cell.locator("img").get_attribute("src")


def choose_another(cell: Locator, name: str) -> tuple[str, str]:
    """Choose the first that isn't chosen; return the picture before, and what was chosen."""
    options, before = control(cell, name).locator("option"), source(cell)
    chosen = control(cell, name).locator("option:checked").inner_text()
    another = next(text for text in options.all_inner_texts() if text != chosen)
    control(cell, name).select_option(another)
    return before, another


def redrawn(cell: Locator, name: str, change: tuple[str, str]) -> str:
    """Wait until line and picture show a change; return what the line says of it."""
    before, value = change
    expect(cell.locator("p").last).to_contain_text(f"{name} {value}")
    expect(cell.locator("img")).not_to_have_attribute("src", before)
    return f"{name} {value}"


def saved(page: Page, notebook: Path, panel: str) -> str:
    """What the saved notebook holds of a panel's cell."""
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    cells = nbformat.read(notebook, as_version=4).cells
    (cell,) = [cell for cell in cells if f'interpret.panel("{panel}"' in cell.source]
    return "".join(output.data.get("text/html", "") for output in cell.outputs)


@pytest.mark.parametrize("use", USES, ids=lambda use: use.panel)
def test_a_choice_changes_the_picture_which_is_saved(page, notebook, use):
    cell = cell_of(page, use.panel)
    told = []
    for name in use.choose:
        told.append(redrawn(cell, name, choose_another(cell, name)))
    for name, text in use.write.items():
        before = source(cell)
        write(cell, name, text)
        told.append(redrawn(cell, name, (before, text)))
    kept = saved(page, notebook, use.panel)
    assert source(cell) in kept
    assert all(line in kept for line in told)


@pytest.mark.parametrize("panel", WITH_TEXT)
def test_a_bad_text_is_told_in_place_and_a_good_one_brings_the_picture_back(page, panel):
    cell = cell_of(page, panel)
    write(cell, "text", " ")
    expect(cell.get_by_role("alert")).to_contain_text("says nothing; type what to look for")
    write(cell, "text", "red " * 40)
    expect(cell.get_by_role("alert")).to_contain_text("is longer than the 24 tokens")
    write(cell, "text", "a green object")
    expect(cell.locator("img")).to_have_count(1)
    expect(cell.get_by_role("alert")).to_have_count(0)


def test_another_model_takes_a_moment_and_says_so(page):
    cell = cell_of(page, "image_neighbours")
    before = source(cell)
    control(cell, "model").select_option("embedded model at step 304")
    expect(cell.get_by_text("computing")).to_be_visible()
    expect(cell.locator("p").last).to_contain_text("embedded model at step 304")
    expect(cell.locator("img")).not_to_have_attribute("src", before)
    expect(cell.get_by_text("computing")).to_have_count(0)


def test_an_image_of_ones_own_is_taken(page, tmp_path):
    mine = tmp_path / "mine.png"
    Image.fromarray(np.full((40, 60, 3), (214, 36, 40), np.uint8)).save(mine)
    cell = cell_of(page, "segmentation")
    before = source(cell)
    with page.expect_file_chooser() as chooser:
        cell.get_by_role("button", name=re.compile("upload")).click()
    chooser.value.set_files(mine)
    expect(cell.locator("p").last).to_contain_text("image mine.png")
    expect(cell.locator("img")).not_to_have_attribute("src", before)


def test_a_page_without_a_kernel_shows_the_last_pictures(page, notebook):
    last = {use.panel: source(cell_of(page, use.panel)) for use in USES}
    kept = {panel: saved(page, notebook, panel) for panel in last}
    html = notebook_page(notebook, lambda told: told)
    for panel, picture in last.items():
        assert picture in kept[panel]
        assert picture in html
    assert "VBox(" not in html
