"""Figures for print: in every format, as wide as asked, and the run left as it is."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image
from pypdf import PdfReader

from helpers.checks import WorkbookError
from helpers.runs import open_run
from helpers.runs.cli import main
from helpers.runs.report.pages import description
from helpers.runs.report.provenance import damage_of
from helpers.runs.report.results import FORMATS, Drawing
from helpers.runs.runner import run_workbook

DESCRIPTION = "Panels: Title."
DRAWS = """
import matplotlib.pyplot as plt
import pandas as pd
from helpers.runs import run_from
run = run_from(globals())
run.save_table(pd.DataFrame({"drawn": [1]}), "01_table")
ax = plt.subplots()[1]
ax.set_title("Title")
run.save_figure(ax.figure, "01_figure")
"""


def png(path):
    with Image.open(path) as picture:
        assert description(path) == DESCRIPTION
        return picture.width / picture.info["dpi"][0]


def svg(path):
    text = path.read_text()
    assert DESCRIPTION in text
    wide, high, *box = map(
        float,
        re.search(r'width="(\S+)pt" height="(\S+)pt" viewBox="0 0 (\S+) (\S+)"', text).groups(),
    )
    assert wide / high == pytest.approx(box[0] / box[1], rel=1e-4)
    return wide / 72


def pdf(path):
    reader = PdfReader(path)
    assert reader.metadata.subject == DESCRIPTION
    return float(reader.pages[0].mediabox.width) / 72


@pytest.mark.parametrize("format", FORMATS)
def test_a_figure_is_as_wide_as_a_column(format, tmp_path):
    figure, path = plt.figure(figsize=(9, 4)), tmp_path / f"figure.{format}"
    figure.gca().set_title("Title")
    try:
        Drawing(format, 3.25).save(figure, path, DESCRIPTION)
    finally:
        plt.close(figure)
    assert {"png": png, "svg": svg, "pdf": pdf}[format](path) == pytest.approx(3.25, abs=0.01)


@pytest.mark.parametrize(
    ("given", "message"), [(("jpg",), "choose one of png, svg, pdf"), (("pdf", 0), "width has no")]
)
def test_no_such_drawing(given, message):
    with pytest.raises(WorkbookError, match=message):
        Drawing(*given)


def test_a_run_is_redrawn_and_stays_as_it_is(tmp_path, monkeypatch, parameters, capsys):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.setattr("helpers.runs.paths.NOTEBOOKS", folder)
    names = "\n".join(f"{name} = None" for name in parameters)
    opening = new_code_cell(names, metadata={"tags": ["parameters"]})
    kernel = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    cells = [new_markdown_cell("# 01 Draw"), opening, new_code_cell(DRAWS)]
    nbformat.write(new_notebook(cells=cells, metadata=kernel), folder / "01_draw.ipynb")
    run = open_run(**parameters | {"limit": 2, "compare": []})
    run_workbook(run)
    written = {path: path.read_bytes() for path in Path(run.folder).rglob("*.csv")}
    assert main(["figures", str(run.folder), "--width", "3", "--notebooks", "01"]) == 0
    assert pdf(run.folder / "figures" / "pdf" / "01_figure.pdf") == pytest.approx(3, abs=0.01)
    assert capsys.readouterr().out.endswith(f"Figures: {run.folder / 'figures' / 'pdf'}\n")
    assert {path: path.read_bytes() for path in Path(run.folder).rglob("*.csv")} == written
    assert damage_of(run.folder / "notebooks" / "01_draw.ipynb") == []
    assert main(["figures", str(run.folder), "--notebooks", "77"]) == 2
    assert "a notebook has no value '77'; choose one of 01" in capsys.readouterr().err
