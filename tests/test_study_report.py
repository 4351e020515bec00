"""What the report shows, and what it tells when notebooks saved nothing."""

import re

import pandas as pd
import pytest
from matplotlib.figure import Figure

from helpers.study import open_run
from helpers.study.report import MAIN_TABLE, SECTIONS, SUMMARY, write_report
from helpers.study.runner import numbered_notebooks


@pytest.fixture
def run(parameters):
    return open_run(**parameters)


def exhibits():
    return [exhibit for section in SECTIONS for exhibit in section.figures] + [SUMMARY]


def test_a_missing_figure_is_told_and_no_picture_is_broken(run):
    run.save_figure(Figure(), "03_l2_bars")
    page = write_report(run, []).read_text()
    assert re.findall(r'<img src="([^"]+)"', page) == ["figures/03_l2_bars.png"]
    for exhibit in exhibits():
        assert (f"no figure {exhibit.name}" in page) == (exhibit.name != "03_l2_bars")
    assert f"no table {SUMMARY.name}" in page


def test_the_sentences_open_the_report_and_name_the_model(run):
    sentences = ["Noise moves <all> & more (03).", "Blur does not (09)."]
    table = pd.DataFrame({"sentence": sentences}, index=pd.Index([1, 2], name="number"))
    run.save_table(table, SUMMARY.name)
    run.save_table(pd.DataFrame({"mean": [0.5]}, index=["noise"]), MAIN_TABLE.name)
    page = write_report(run, []).read_text()
    assert "Noise moves &lt;all&gt; &amp; more (03)." in page
    assert page.index("Blur does not") < page.index("<td>noise</td>")
    assert "of the embedded model" in page


def test_sections_come_in_order(run):
    page = write_report(run, []).read_text()
    places = [page.index(f"<h2>{section.heading}</h2>") for section in SECTIONS]
    assert places == sorted(places)


def test_every_exhibit_is_saved_by_the_notebook_of_its_number():
    sources = {path.name[:2]: path.read_text() for path in numbered_notebooks()}
    for exhibit in [*exhibits(), MAIN_TABLE]:
        assert f'\\"{exhibit.name}\\"' in sources[exhibit.name[:2]], exhibit.name
