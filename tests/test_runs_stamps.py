"""Outputs of a notebook show which code made them."""

import nbformat
import pytest
from nbclient import NotebookClient

from helpers.runs.report.provenance import KEY, stamp_of

CELLS = [
    "from helpers.runs.report.provenance import stamp_outputs\nstamp_outputs('a model')",
    "from IPython.display import Markdown, display\nx = 1",
    "display(Markdown('shown'))\nMarkdown(f'{x}')",
    "import matplotlib.pyplot as plt\nax = plt.figure().gca()",
]


@pytest.fixture(scope="module")
def executed():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, kernel_name="python3").execute()
    return notebook


def test_results_displays_and_figures_are_stamped(executed):
    shown, result = executed.cells[2].outputs
    for output in (shown, result):
        assert output.metadata[KEY] == stamp_of(CELLS[:3], "a model")
    (figure,) = executed.cells[3].outputs
    assert "image/png" in figure.data
    assert figure.metadata[KEY] == stamp_of(CELLS, "a model")


def test_other_code_or_another_model_has_another_stamp():
    stamp = stamp_of(["a", "b"], "a model")
    assert stamp == stamp_of(["a\n", "b"], "a model")
    for cells, title in ((["a", "c"], "a model"), (["a"], "a model"), (["a", "b"], "another")):
        assert stamp_of(cells, title) != stamp
