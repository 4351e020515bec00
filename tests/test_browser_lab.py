"""The index, and panels with a slider, in JupyterLab, driven by a headless Chromium."""

import re
import sys

import nbformat
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image
from playwright.sync_api import expect

from helpers.runs.parameters import NOTEBOOKS, from_profile
from tests.lab import NEEDS_CHROMIUM, close, control, opened, run_all, source

pytestmark = NEEDS_CHROMIUM

KERNEL = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
SIMILARITY = re.compile(r"similarity (\d\.\d+)")
# A workbook of one short notebook, for the kernel and for the process that it starts.
SHORT = """
from pathlib import Path
from helpers.runs import paths
paths.NOTEBOOKS = Path({folder!r})
"""
STARTED = (
    "from helpers.runs.cli import main\nif __name__ == '__main__':\n    raise SystemExit(main())\n"
)
IN_KERNEL = """
from helpers.runs import background
background.COMMAND = {command!r}
"""


def shown(cell):
    return cell.locator("img").get_attribute("alt")


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)  # JupyterLab has "Restart …"


@pytest.fixture(scope="module")
def page(browser, lab):
    """The index of a workbook of one short notebook, and below it both panels on two scenes."""
    short = lab.folder / "short"
    short.mkdir()
    parameters = new_code_cell("out = None", metadata={"tags": ["parameters"]})
    cells = [new_markdown_cell("# 01 Short: is it?"), parameters]
    nbformat.write(new_notebook(cells=cells, metadata=KERNEL), short / "01_short.ipynb")
    patched = SHORT.format(folder=str(short))
    (short / "started.py").write_text(patched + STARTED)
    command = IN_KERNEL.format(command=(sys.executable, str(short / "started.py")))
    given = {"images": "scenes:2", "compare": [], "out": str(lab.folder / "sliders")}
    given = vars(from_profile("quick", given))
    imports = "from helpers import lab\nfrom helpers.runs import open_run\n"
    opening = f"{imports}run = open_run(**{given!r})"
    panels = [f"lab.panel({name!r}, run)" for name in ("change", "shift")]
    notebook = nbformat.read(NOTEBOOKS / "index.ipynb", as_version=4)
    notebook.cells.insert(0, new_code_cell(patched + command))
    notebook.cells += map(new_code_cell, [opening, *panels])
    nbformat.write(notebook, lab.folder / "index.ipynb")
    images = lab.folder / "images"
    images.mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{number}.png")
    page = opened(browser, lab, "index.ipynb")
    run_all(page)
    button(page, "Start").wait_for()
    yield page
    close(page)


@pytest.mark.parametrize("name", ["change", "shift"])
def test_dragging_the_severity_moves_picture_and_numbers(page, name):
    cell = page.locator(".jp-CodeCell").filter(has_text=f"lab.panel('{name}'")
    expect(cell.locator("img")).to_have_count(1)
    slider, before = cell.get_by_role("slider"), source(cell)
    similarities, pictures = [float(SIMILARITY.search(shown(cell))[1])], {before}
    slider.focus()
    for key in ("End", "Home"):
        slider.press(key)
        expect(cell.locator("img")).not_to_have_attribute("src", before)
        told = {"End": "severity 3.0", "Home": "severity 0.0"}[key]
        expect(cell.locator("p").last).to_contain_text(told)
        before = source(cell)
        pictures.add(before)
        similarities.append(float(SIMILARITY.search(shown(cell))[1]))
    at_one, at_most, at_none = similarities
    assert len(pictures) == 3
    assert at_most < at_one < at_none == 1


def test_the_panel_of_shifts_names_heads_and_answers(page):
    cell = page.locator(".jp-CodeCell").filter(has_text="lab.panel('shift'")
    expect(cell.locator("img")).to_have_count(1)
    assert re.search(r"L\d\.H\d +\d+%", shown(cell))
    assert re.search(r"colour: \w+", shown(cell))


def test_the_form_starts_a_run_and_the_list_shows_it_finished(page, lab):
    expect(page.get_by_text("There is no run on this machine yet.")).to_be_visible()
    control(page, "images").fill(str(lab.folder / "images"))
    control(page, "others").fill("compare []")
    control(page, "others").blur()
    button(page, "Start").click()
    expect(page.get_by_role("cell", name="running")).to_be_visible()
    expect(page.get_by_role("cell", name="finished", exact=True)).to_be_visible()
    expect(page.get_by_role("cell", name="2 of 2")).to_be_visible()
    expect(page.get_by_text("images: 2 of 2")).to_be_visible()
    with page.context.expect_page() as opening:
        page.get_by_role("link", name="report").click()
    expect(opening.value.get_by_role("heading").first).to_contain_text("change to an image")
    assert not opening.value.evaluate(BROKEN)
    opening.value.close()


BROKEN = "() => [...document.images].filter(image => !image.naturalWidth).length"


def test_a_bad_value_is_told_in_the_form(page):
    control(page, "images").fill("/nowhere")
    control(page, "images").blur()
    button(page, "Start").click()
    expect(page.get_by_role("alert").first).to_contain_text("/nowhere")


def test_the_index_can_be_read_by_anyone(page):
    # ipywidgets gives the handles of its sliders no name.
    where = {"include": [[".jp-OutputArea-output"]], "exclude": [[".noUi-handle"]]}
    found = Axe().run(page, context=where).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert not [(each["id"], each["nodes"][0]["html"]) for each in serious]
