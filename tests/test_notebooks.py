"""What every numbered notebook must be, whatever it is about; nbval executes them."""

import ast
import re
from itertools import combinations

import nbformat
import pytest

from helpers.clip import names
from helpers.clip.capabilities import QUESTIONS, Capabilities
from helpers.data import SETS, STUDY
from helpers.lab.dashboard import WITHOUT_KERNEL
from helpers.runs.notebook_needs import OF_RUN, answerable
from helpers.runs.parameters import DEFAULT_PROFILE, NOTEBOOKS, ROOT, described, from_profile
from helpers.runs.paths import numbered_notebooks
from helpers.runs.report.notebook_page import heading
from helpers.runs.report.provenance import KEY, stamp_of

MAKEFILE = (ROOT / "Makefile").read_text()
INDEX = NOTEBOOKS / "index.ipynb"


@pytest.fixture(params=numbered_notebooks(), ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_every_code_cell_was_executed_in_order_and_without_error(notebook):
    # nbval compares nothing where an execution count is missing.
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    for cell in code_cells(notebook):
        assert all(output.output_type != "error" for output in cell.outputs)


def test_outputs_are_those_of_the_code_as_it_stands(notebook):
    """Fails where code was edited and the notebook not executed again, top to bottom."""
    default = from_profile(DEFAULT_PROFILE, {})
    title = names.title(default.model, default.pretrained)
    cells = code_cells(notebook)
    sources = [cell.source for cell in cells]
    opened = next(place for place, text in enumerate(sources) if "run_from(" in text)
    for place, cell in list(enumerate(cells))[opened + 1 :]:
        for output in cell.outputs:
            if "data" in output:
                expected = stamp_of(sources[: place + 1], title)
                assert output.metadata.get(KEY) == expected, f"execute again; changed: cell {place}"


def test_outputs_name_no_folder_of_a_machine(notebook):
    pictures_left_out = [
        output.get("text", "")
        + str({k: v for k, v in output.get("data", {}).items() if "image/" not in k})
        for cell in code_cells(notebook)
        for output in cell.outputs
    ]
    text = "\n".join(pictures_left_out)
    assert not re.search(r"/(home|root|Users|work|tmp)/", text)


def test_the_parameters_cell_holds_the_default_profile(notebook):
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    values = {}
    exec(cell.source, values)
    values.pop("__builtins__")
    assert values == dict(from_profile(DEFAULT_PROFILE, {}))
    comments = [line.partition("  # ")[2] for line in cell.source.splitlines()]
    assert comments == [described(name)["hint"] for name in values]


def test_it_asks_answers_and_closes_with_limits(notebook):
    opening, closing = notebook.cells[0].source, notebook.cells[-1].source
    assert re.match(r"# [0-9A]\d .*\?\n", opening)
    assert "**Limits.**" in closing and "**Next.**" in closing
    places = [place for place, cell in enumerate(notebook.cells) if "show_answer(" in cell.source]
    figures = [place for place, cell in enumerate(notebook.cells) if "save_figure(" in cell.source]
    assert len(places) == 1
    assert places[0] < figures[0]


def test_outputs_hold_no_progress_bars(notebook):
    for cell in code_cells(notebook):
        assert not any("%|" in output.get("text", "") for output in cell.outputs)


def test_every_notebook_is_run_by_nbval_and_the_workbook():
    *numbered, appendix = [path.stem[:2] for path in numbered_notebooks()]
    assert numbered == [f"{number:02}" for number in range(len(numbered))]
    assert appendix == "A1"
    assert set(NOTEBOOKS.glob("*.ipynb")) == {*numbered_notebooks(), INDEX}
    assert "--nbval-sanitize-with tests/nbval_sanitize.cfg notebooks\n" in MAKEFILE


def test_the_index_lists_every_notebook_and_nothing_of_a_machine():
    index = nbformat.read(INDEX, as_version=4)
    listed, dashboard = [cell.outputs[0]["data"] for cell in code_cells(index)]
    for path in numbered_notebooks():
        name, _, question = heading(nbformat.read(path, as_version=4)).partition(": ")
        assert (
            f"[{name}]({path.name}) | {question[0].upper()}{question[1:]}"
            in listed["text/markdown"]
        )
    assert dashboard["text/plain"] == WITHOUT_KERNEL
    assert "widgets" not in index.metadata  # which would hold what the dashboard shows


NEEDED = (*OF_RUN, *QUESTIONS)
LACKS = [
    lacking
    for count in range(1, len(NEEDED) + 1)
    for lacking in combinations(NEEDED, count)
    # without an account of its parts a tower tells nothing of where it looks, either
    # and fewer than three changes aren't the study's
    if ("account" in lacking) == ("attention" in lacking)
    and ("several" not in lacking or "study" in lacking)
]


def defined_by(tree):
    """Return the names that a cell's statements bind for later cells, and all that it reads."""
    local = {
        each.id if isinstance(each, ast.Name) else each.arg
        for part in ast.walk(tree)
        if isinstance(part, ast.FunctionDef | ast.Lambda)
        for each in ast.walk(part)
        if isinstance(each, ast.arg) or (isinstance(each, ast.Name) and is_stored(each))
    }
    names = [each for each in ast.walk(tree) if isinstance(each, ast.Name)]
    bound = {each.id for each in names if is_stored(each)}
    for each in ast.walk(tree):
        if isinstance(each, ast.FunctionDef):
            bound.add(each.name)
        if isinstance(each, ast.Import | ast.ImportFrom):
            bound |= {alias.asname or alias.name.split(".")[0] for alias in each.names}
    return bound, {each.id for each in names if not is_stored(each)} - local


def is_stored(name):
    return isinstance(name.ctx, ast.Store)


@pytest.mark.parametrize("lacking", LACKS, ids="+".join)
def test_cells_that_stay_use_nothing_of_cells_left_out(notebook, lacking):
    capabilities = Capabilities("a model", dict.fromkeys(lacking, "of what it is"))
    changes = SETS["photography"] if "study" in lacking else STUDY
    changes = changes[:1] if "several" in lacking else changes
    cells = [defined_by(ast.parse(cell.source)) for cell in code_cells(notebook)]
    anywhere = {name for bound, _ in cells for name in bound}
    so_far = set()
    for cell in code_cells(answerable(notebook, capabilities, changes, "extras" not in lacking)):
        bound, read = defined_by(ast.parse(cell.source))
        so_far |= bound
        assert not (read & anywhere) - so_far, cell.source
