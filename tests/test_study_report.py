"""What the report shows, what it tells when notebooks saved nothing, and what it keeps back."""

import json
import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers.checks import WorkbookError
from helpers.study import open_run
from helpers.study.marks import mark
from helpers.study.report import SECTIONS, SUMMARY, share_report, write_report
from helpers.study.runner import numbered_notebooks


@pytest.fixture
def run(parameters):
    run = open_run(**parameters)
    run.compute()
    return run


def exhibits():
    return [exhibit for section in SECTIONS for exhibit in section.figures] + [SUMMARY]


def save_figure(run, name="03_l2_bars"):
    figure = Figure()
    figure.subplots().set(title="Mean distance", xlabel="L2 distance")
    run.save_figure(figure, name)


def write_notebook(run, *outputs, source="run"):
    cell = new_code_cell(source, outputs=list(outputs))
    cells = [new_markdown_cell("# 01 A question"), new_markdown_cell("How far. The bars:"), cell]
    path = run.folder / "notebooks" / "01_question.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    mark(path, origin="a test")
    return path.with_suffix(".html")


def test_a_missing_figure_is_told_and_no_picture_is_broken(run):
    save_figure(run)
    page = write_report(run.folder).read_text()
    assert re.findall(r'<img src="([^"]+)"', page) == ["figures/03_l2_bars.png"]
    for exhibit in exhibits():
        assert (f"no figure {exhibit.name}" in page) == (exhibit.name != "03_l2_bars")
    assert f"no table {SUMMARY.name}" in page


def test_a_figure_says_what_it_shows_in_report_and_notebook(run):
    save_figure(run)
    picture = new_output("display_data", data={"image/png": "iVBORw0KGgo="})
    page = write_notebook(run, picture, source='run.save_figure(figure, "03_l2_bars")')
    report = write_report(run.folder).read_text()
    told = "Panels: Mean distance. Horizontal axis: L2 distance."
    assert f'alt="How far each change moves the embedding. {told}"' in report
    assert f'alt="The bars. {told}"' in page.read_text()


def test_the_sentences_open_the_report_and_name_the_model(run):
    sentences = ["Noise moves <all> & more (03).", "Blur does not (09)."]
    table = pd.DataFrame({"sentence": sentences}, index=pd.Index([1, 2], name="number"))
    run.save_table(table, SUMMARY.name)
    page = write_report(run.folder).read_text()
    assert "Noise moves &lt;all&gt; &amp; more (03)." in page
    assert page.index("Blur does not") < page.index('<table class="scores">')
    assert "of the embedded model" in page


def test_sections_come_in_order(run):
    page = write_report(run.folder).read_text()
    places = [page.index(f">{section.heading}</h2>") for section in SECTIONS]
    assert places == sorted(places)


def test_every_exhibit_is_saved_by_the_notebook_of_its_number():
    sources = {path.name[:2]: path.read_text() for path in numbered_notebooks()}
    for exhibit in exhibits():
        assert f'\\"{exhibit.name}\\"' in sources[exhibit.name[:2]], exhibit.name


def test_one_file_holds_figures_and_tables(run, tmp_path):
    save_figure(run)
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
    page = share_report(run.folder, tmp_path / "sent")
    addresses = re.findall(r'(?:src|href)="(?!data:|#)([^"]+)"', page.read_text())
    assert {"notebooks/01_question.html", "run.json", "figures/03_l2_bars.png"} <= set(addresses)
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
