"""What the report shows, what it says when notebooks saved nothing, and what it keeps back."""

import json
import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers.checks import WorkbookError
from helpers.findings import Answer, Finding
from helpers.runs import open_run
from helpers.runs.paths import numbered_notebooks
from helpers.runs.record import Record
from helpers.runs.report.provenance import mark
from helpers.runs.report.report import EXHIBITS, ORDER, share_report, write_report


@pytest.fixture
def run(parameters):
    run = open_run(**parameters)
    run.compute()
    return run


NAME = EXHIBITS[0].name
ANSWER = Answer(
    "Noise moves <all> & more.",
    [Finding("What moves?", "noise", "0.3 [0.2, 0.4]", "0.1 for blur")],
)


def save_figure(run, name=NAME):
    figure = Figure()
    figure.subplots().set(title="Mean distance", xlabel="L2 distance")
    run.save_figure(figure, name)


def write_notebook(run, *outputs, source="run", number="01"):
    cell = new_code_cell(source, outputs=list(outputs))
    title = new_markdown_cell(f"# {number} A question")
    cells = [title, new_markdown_cell("How far. The bars:"), cell]
    path = run.folder / "notebooks" / f"{number}_question.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    mark(path, origin="a test")
    return path.with_suffix(".html")


def test_a_figure_that_is_missing_is_named_and_no_picture_is_broken(run):
    write_notebook(run, number=NAME[:2])
    assert f"no figure {NAME}" in write_report(run.folder).read_text()
    save_figure(run)
    page = write_report(run.folder).read_text()
    assert re.findall(r'<img src="([^"]+)"', page) == [f"figures/{NAME}.png"]
    assert "no figure" not in page


def test_a_notebook_that_is_being_written_is_not_read(run):
    write_notebook(run, number="02")
    (run.folder / "notebooks" / "03_question.ipynb").write_text("")  # opened, not yet filled
    page = write_report(run.folder, waiting=["03_question"]).read_text()
    assert "Still being computed: 03_question" in page
    assert "02_question.html" in page


def test_a_figure_of_cells_that_were_left_out_is_not_missing(run):
    path = write_notebook(run, number=NAME[:2]).with_suffix(".ipynb")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].metadata |= {"left_out": f'run.save_figure(f, "{NAME}")', "lacks": ["why"]}
    nbformat.write(notebook, path)
    assert "no figure" not in write_report(run.folder).read_text()


def test_a_figure_that_only_some_runs_have_is_not_missing(run):
    write_notebook(run, number="09")
    page = write_report(run.folder).read_text()
    assert "no figure 09_answers" in page
    assert "09_class_lost" not in page
    save_figure(run, "09_class_lost")
    assert "figures/09_class_lost.png" in write_report(run.folder).read_text()


def test_how_a_model_was_opened_is_told_without_the_senders_folders(run, parameters, monkeypatch):
    monkeypatch.setattr("helpers.runs.report.report.is_embedded", lambda name: False)
    images = parameters["images"]
    Record(run.folder / "run.json").update(opened_as=f"A model: GELU; read from {images}.")
    page = write_report(run.folder).read_text()
    assert "Opened as A model: GELU" in page
    assert images not in page.split("</header>")[0]


def test_a_figure_describes_itself_in_report_and_notebook(run):
    save_figure(run)
    picture = new_output("display_data", data={"image/png": "iVBORw0KGgo="})
    source = f'run.save_figure(figure, "{NAME}")'
    page = write_notebook(run, picture, source=source, number=NAME[:2])
    report = write_report(run.folder).read_text()
    description = "Panels: Mean distance. Horizontal axis: L2 distance."
    assert f'alt="{EXHIBITS[0].see} {description}"' in report
    assert f'alt="The bars. {description}"' in page.read_text()


def test_answers_open_the_report_in_the_order_that_readers_want(run):
    for number in ("01", "09", "08"):
        write_notebook(run, number=number)
        run.show_answer(ANSWER, number)
    page = write_report(run.folder).read_text()
    assert page.count("Noise moves &lt;all&gt; &amp; more.") == 3
    for text in ("What moves?", "0.3 [0.2, 0.4]", "0.1 for blur", "of the <strong>embedded model"):
        assert text in page
    places = [page.index(f'id="answer-{number}"') for number in ("09", "08", "01")]
    assert places == sorted(places)
    assert places[-1] < page.index('<table class="scores">')


def test_an_answer_is_shown_as_it_is_kept(run):
    shown = run.show_answer(ANSWER, "01").data
    assert shown.startswith(f"**{ANSWER.sentence}**")
    assert "| What moves? | noise | 0.3 [0.2, 0.4] | 0.1 for blur |" in shown


def test_the_report_grows(run):
    write_notebook(run)
    page = write_report(run.folder, ["02_later"])
    assert "Still being computed: 02_later" in page.read_text()
    first = (run.folder / "notebooks" / "01_question.html").stat().st_mtime_ns
    assert "Still being computed" not in write_report(run.folder).read_text()
    assert (run.folder / "notebooks" / "01_question.html").stat().st_mtime_ns == first


def test_every_notebook_has_its_place_in_the_report():
    assert sorted(path.name[:2] for path in numbered_notebooks()) == sorted(ORDER)


def test_every_exhibit_is_saved_by_the_notebook_of_its_number():
    sources = {path.name[:2]: path.read_text() for path in numbered_notebooks()}
    for exhibit in EXHIBITS:
        assert f'\\"{exhibit.name}\\"' in sources[exhibit.name[:2]], exhibit.name


def test_one_file_holds_figures_and_tables(run, tmp_path):
    save_figure(run)
    write_notebook(run, number=NAME[:2])
    run.save_table(pd.DataFrame({"a": [1]}), "03_mine")
    out = share_report(run.folder, tmp_path / "sent" / "report.html")
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]
    page = out.read_text()
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert sum(address.startswith("data:image/webp") for address in addresses) == 1
    assert 'download="03_mine.csv"' in page


def test_a_folder_to_send_has_all_that_its_page_links(run, tmp_path):
    save_figure(run)
    write_notebook(run)
    write_notebook(run, number=NAME[:2])
    page = share_report(run.folder, tmp_path / "sent")
    addresses = re.findall(r'(?:src|href)="(?!data:|#)([^"]+)"', page.read_text())
    assert {"notebooks/01_question.html", "run.json", f"figures/{NAME}.png"} <= set(addresses)
    assert all((page.parent / address).exists() for address in addresses)
    assert not list(page.parent.rglob("*.ipynb"))


def test_what_is_sent_names_no_folder_of_the_senders(run, parameters, tmp_path):
    named = (
        f'images = "{parameters["images"]}"\nout = "{parameters["out"]}"\nhome = "{Path.home()}"'
    )
    printed = new_output("stream", name="stdout", text=f"file://{parameters['images']}/0.png")
    table = new_output("execute_result", data={"text/html": f"<p>{parameters['images']}</p>"})
    run.save_table(pd.DataFrame({"file": [f"{parameters['images']}/0.png"]}), "01_files")
    write_notebook(run, printed, table, source=named)
    sent = share_report(run.folder, tmp_path / "sent").parent
    write_report(run.folder)
    texts = [path for path in sent.rglob("*") if path.suffix in (".html", ".json", ".csv")]
    pages = [*texts, *run.folder.rglob("*.html")]
    assert len(pages) == 6
    for page in pages:
        for private in (str(tmp_path), str(Path.home())):
            assert private not in page.read_text(), page
    assert "…/images/0.png" in (sent / "notebooks" / "01_question.html").read_text()
    assert json.loads((sent / "run.json").read_text())["parameters"]["images"] == "…/images"


def test_a_place_that_can_not_be_written_is_told(run, tmp_path):
    (tmp_path / "file").touch()
    for out, why in (
        (tmp_path / "file" / "report.html", "can't be written"),
        (tmp_path / "file" / "folder", "can't be written"),
        (run.folder, "is the run itself"),
    ):
        with pytest.raises(WorkbookError, match=f"{why}.* --out"):
            share_report(run.folder, out)


def test_an_unfinished_or_missing_run_is_told(parameters, tmp_path):
    with pytest.raises(WorkbookError, match="holds no run"):
        write_report(tmp_path)
    with pytest.raises(WorkbookError, match="no scores yet"):
        write_report(open_run(**parameters).folder)
