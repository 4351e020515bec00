"""Pages in a headless Chromium: hostile names, captions and texts, and what readers need."""

import shutil
import tarfile
from io import BytesIO

import nbformat
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image
from playwright.sync_api import sync_playwright

from helpers.runs import open_run
from helpers.runs.parameters import from_profile
from helpers.runs.report.comparison import write_comparison
from helpers.runs.report.report import share_report
from helpers.runs.runner import run_workbook

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
LOOKS = [
    (1280, "light"),
    (390, "dark"),
    pytest.param(1280, "dark", marks=pytest.mark.soak),
    pytest.param(390, "light", marks=pytest.mark.soak),
]

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on the PATH: pages can't be opened in a browser"
)

SCRIPT = "</script><script>alert('out of a script')</script>"
HANDLER = "<img src=x onerror=alert('handler')>"
MARKDOWN = "![a](http://127.0.0.1:9/a.png) [b](javascript:f())\n```mermaid\n<b onclick=f()>"
CAPTIONS = (f"{SCRIPT} a red circle", f"{HANDLER} for $5 or $x_{{6", f"{MARKDOWN} a blue square")
NAMES = (f"{SCRIPT}.png", f'"><svg onload=alert(3)>{HANDLER}.png', "--><!--'plain'.png")
TEXTS = (f"a red circle {SCRIPT}", f"a blue square {HANDLER}", "a green </textarea><script>star")

CELLS = (
    "from IPython.display import Markdown, display\n"
    "from matplotlib.figure import Figure\n"
    "import pandas as pd\n"
    "from helpers import lab\n"
    "from helpers.runs import run_from\n"
    "from helpers.figures import style\n"
    "style.apply()\n"
    "run = run_from(globals())\n"
    "captions = [image.caption for image in run.images]",
    "lab.panel('segmentation', run)",
    "lab.panel('image_neighbours', run)",
    "pd.DataFrame({'caption': captions}, index=run.images.ids)",
    "Markdown(''.join(f'- **{caption}**\\n' for caption in captions + run.images.ids))",
    "print(*captions, *run.texts.texts, sep='\\n')",
    "figure = Figure()\n"
    "figure.subplots(3)[0].set(title=captions[1], xlabel=captions[0])\n"
    "run.save_figure(figure, '09_answers')\n"
    "display(figure)",
    "from helpers.findings import Answer, Finding\n"
    "rows = [Finding(*[caption] * 4) for caption in captions]\n"
    "run.show_answer(Answer(' '.join(captions), rows), '09')",
)


def write_shard(path):
    """A shard of three pictures, whose names and captions try to be more than text."""
    rng = np.random.default_rng(2)
    with tarfile.open(path, "w") as tar:
        for name, caption in zip(NAMES, CAPTIONS, strict=True):
            picture = BytesIO()
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(picture, "PNG")
            for member, content in (
                (name, picture.getvalue()),
                (f"{name.removesuffix('.png')}.txt", caption.encode()),
            ):
                entry = tarfile.TarInfo(member)
                entry.size = len(content)
                tar.addfile(entry, BytesIO(content))
    return path


def write_workbook(folder):
    folder.mkdir()
    parameters = vars(from_profile("quick", {}))
    given = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    cells = [
        new_markdown_cell("# 09 A question"),
        new_code_cell(given, metadata={"tags": ["parameters"]}),
        *map(new_code_cell, CELLS),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=kernel), folder / "09_question.ipynb")
    return folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The run of a workbook with panels on hostile images and texts: page, folder, single file."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "texts.csv").write_text("text,property,value\n" + "\n".join(map(row, TEXTS)))
    given = {
        "images": str(write_shard(folder / "shard.tar")),
        "texts": str(folder / "texts.csv"),
        "out": str(folder / "run"),
        "device": "cpu",
    }
    run = open_run(**vars(from_profile("quick", given | {"compare": []})))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("helpers.runs.paths.NOTEBOOKS", write_workbook(folder / "notebooks"))
        run_workbook(run)
    return folder / "run"


def row(text):
    return f'"{text}",colour,{text.split()[1]}'


@pytest.fixture(scope="module")
def pages(hostile, tmp_path_factory):
    """Every page that can be made of the hostile run."""
    folder = tmp_path_factory.mktemp("sent")
    other = shutil.copytree(hostile, folder / f"run {HANDLER.replace('/', '')}")
    return {
        "report": hostile / "index.html",
        "notebook": hostile / "notebooks" / "09_question.html",
        "file": share_report(hostile, folder / "report.html"),
        "folder": share_report(hostile, folder / "folder"),
        "comparison": write_comparison([hostile, other], folder / "comparison.html")[0],
    }


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Visit:
    """A page that was opened, with all that happened then and should not have."""

    def __init__(self, browser, path, width=1280, scheme="light"):
        look = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
        self.page = browser.new_page(**look)
        self.events = []
        self.page.on("dialog", self._dismiss)
        self.page.on("console", lambda message: self.events.append(message.text))
        self.page.on("pageerror", lambda error: self.events.append(str(error)))
        self.page.on("requestfailed", lambda request: self.events.append(request.url))
        self.page.on("request", self._note)
        self.page.goto(path.as_uri())
        self.page.wait_for_load_state("networkidle")

    def _dismiss(self, dialog):
        self.events.append(dialog.message)
        dialog.dismiss()

    def _note(self, request):
        if not request.url.startswith(("file:", "data:")):
            self.events.append(request.url)


PAGES = ("report", "notebook", "file", "folder", "comparison")


@pytest.mark.parametrize("name", PAGES)
def test_hostile_text_is_shown_as_text_and_nothing_happens(browser, pages, name):
    visit = Visit(browser, pages[name])
    active = visit.page.locator("script, svg, iframe, [onerror], [onload], [onclick]").count()
    shown = visit.page.locator("body").inner_text()
    visit.page.close()
    assert visit.events == []
    assert active == 0
    assert HANDLER in shown
    assert SCRIPT in shown or name == "comparison"


def test_a_figure_opens_large_and_closes_by_keyboard(browser, pages):
    visit = Visit(browser, pages["file"], width=390)
    page, figure = visit.page, visit.page.locator("figure")
    small = figure.locator("img").bounding_box()["width"]
    figure.locator(".card").focus()
    page.keyboard.press("Enter")
    assert figure.evaluate("one => getComputedStyle(one).position") == "fixed"
    assert figure.locator("img").bounding_box()["width"] > small
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Close"
    page.keyboard.press("Enter")
    assert figure.evaluate("one => getComputedStyle(one).position") == "static"
    assert visit.events == []
    page.close()


@pytest.mark.parametrize("width, scheme", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_pages_fit_and_can_be_read_by_anyone(browser, pages, name, width, scheme):
    visit = Visit(browser, pages[name], width, scheme)
    page = visit.page
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    broken = page.evaluate("[...document.images].filter(one => !one.naturalWidth).length")
    found = Axe().run(page).response["violations"]
    page.close()
    assert visit.events == []
    assert wide <= 0
    assert broken == 0
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
