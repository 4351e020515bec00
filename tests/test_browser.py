"""The panels of notebook 07 in JupyterLab, driven by a headless Chromium."""

import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from helpers.runs.parameters import NOTEBOOKS
from helpers.runs.report.notebook_page import notebook_page
from tests.lab import NEEDS_CHROMIUM, close, control, opened, run_all, source

NAME = "07_interpret.ipynb"

pytestmark = [NEEDS_CHROMIUM, pytest.mark.soak]


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
    """Write the beginning of notebook 07, on eight scenes, with every panel and nothing else."""
    notebook = nbformat.read(NOTEBOOKS / NAME, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    parameters, opening = code[:2]
    run = {"images": "scenes:8", "compare": ["embedded:304"], "out": str(folder / "run")}
    parameters.source += "".join(f"\n{name} = {value!r}" for name, value in run.items())
    panels = [new_code_cell(f'lab.panel("{use.panel}", run)') for use in USES]
    computed = new_code_cell("run.compute()")  # whose progress is no panel's output
    notebook.cells = [notebook.cells[0], parameters, opening, computed, *panels]
    for cell in notebook.cells[1:]:
        cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, folder / NAME)
    return folder / NAME


@pytest.fixture(scope="module")
def notebook(lab):
    return shortened(lab.folder)


@pytest.fixture(scope="module")
def page(browser, lab, notebook):
    """The notebook, opened and run to its end."""
    page = opened(browser, lab, NAME)
    run_all(page)
    for use in USES:
        expect(cell_of(page, use.panel).locator("img")).to_have_count(1)
    yield page
    close(page)


def cell_of(page: Page, panel: str) -> Locator:
    return page.locator(".jp-CodeCell").filter(has_text=f'lab.panel("{panel}"')


def write(cell: Locator, name: str, text: str) -> None:
    control(cell, name).fill(text)
    control(cell, name).press("Enter")


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
    (cell,) = [cell for cell in cells if f'lab.panel("{panel}"' in cell.source]
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
