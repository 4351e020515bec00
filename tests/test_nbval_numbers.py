"""The comparison of notebooks' outputs itself: what must pass, and what must fail."""

import os
import re
import subprocess
import sys

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from helpers.runs.jupyter_kernels import PROVISIONER
from helpers.runs.parameters import ROOT
from tests.nbval_numbers import reconcile

TABLE = pd.DataFrame(
    {"share": [0.42, -0.01, 0.97], "mean": [12.31, 8.04, 0.5]}, index=["noise", "blur", "flip"]
)
TEXTS = {
    "plain": TABLE.to_string(),
    "html": TABLE.to_html(),
    "finding": "- **Noise** moves most: 0.42 [-0.01, 0.97], mean 12.31; blur 62 % (p = 1.2e-4).\n",
    "print": "3 heads of 36, similarity 0.42 (-0.01 to 12.31)",
}


def changed(text, old, new):
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("digit", [("0.42", "0.43"), ("-0.01", "-0.00"), ("12.31", "12.30")])
def test_a_last_digit_off_by_one_passes(text, digit):
    assert reconcile(changed(text, *digit), text) == text


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize(
    "change",
    {
        "five per cent": ("12.31", "12.93"),
        "five per cent less": ("12.31", "11.69"),
        "a small number": ("0.42", "0.44"),
        "a sign": ("0.42", "-0.42"),
        "a sign of the last digit": ("-0.01", "0.01"),
        "not a number": ("12.31", "NaN"),
        "infinite": ("12.31", "inf"),
        "nothing": ("12.31", ""),
    }.items(),
    ids=lambda pair: pair[0],
)
def test_a_number_that_moved_fails(text, change):
    moved = changed(text, *change[1])
    assert reconcile(moved, text) != text


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("plain", "noise", "blurs"),
        ("html", "<th>noise</th>", "<th>blur</th>"),
        ("finding", "**Noise**", "**Blur**"),
        ("finding", "most", "least"),
        ("print", "3 heads", "4 heads"),
        ("print", "of 36", "of 37"),
        ("finding", "62 %", "66 %"),
        ("finding", "1.2e-4", "1.2e-3"),
        ("finding", "1.2e-4", "1.4e-4"),
    ],
)
def test_another_label_or_count_fails(name, old, new):
    text = TEXTS[name]
    assert reconcile(changed(text, old, new), text) != text


@pytest.mark.parametrize("written", [TABLE.to_string, TABLE.to_html], ids=["plain", "html"])
def test_rows_missing_added_or_in_another_order_fail(written):
    reference = written()
    ways = [TABLE.iloc[:2], pd.concat([TABLE, TABLE.iloc[:1]]), TABLE.iloc[[1, 0, 2]]]
    for other in ways:
        test = getattr(other, written.__name__)()
        assert reconcile(test, reference) != reference
        assert reconcile(reference, test) != test


def test_a_number_that_is_a_label_is_exact():
    by_severity = pd.DataFrame({"similarity": [0.9]}, index=[0.25])
    moved = by_severity.set_axis([0.26])
    assert reconcile(moved.to_html(), by_severity.to_html()) != by_severity.to_html()
    assert reconcile("L5.H4 of ViT-B-32", "L5.H3 of ViT-B-32") == "L5.H4 of ViT-B-32"


def test_fewer_decimals_of_a_rounded_column_are_the_same_number():
    assert reconcile("1.0", "0.99") == "0.99"
    assert reconcile("1.0", "0.97") == "1.0"


def test_columns_may_be_as_wide_as_their_numbers():
    assert reconcile("a   10.00\nb    9.99", "a  9.99\nb  9.99") == "a  9.99\nb  9.99"


SOURCE = """
import sys
from IPython.display import HTML, display
print("0% done", file=sys.stderr) if {warned} else None
if {progress}:
    print("\\rEncoding views:  50%|#####     | 1/2", end="", file=sys.stderr)
display(HTML('<img src="data:image/png;base64,{pixels}"><p>head 4: {value}</p>'))
print("similarity", {value})
"""
AS_COMMITTED = {"warned": False, "progress": False, "pixels": "iVBORw0KGgo=", "value": "0.42"}


CASES = {
    "the same": ({}, True),
    "last digit": ({"value": "0.43"}, True),
    "progress and pixels": ({"progress": True, "pixels": "AAAA"}, True),
    "moved": ({"value": "0.45"}, False),
    "a warning": ({"warned": True}, False),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What nbval, with the plugin, says of cells whose outputs are those of another source."""
    html = f'<img src="data:image/png;base64,{AS_COMMITTED["pixels"]}"><p>head 4: 0.42</p>'
    data = {"text/html": html, "text/plain": "<IPython.core.display.HTML object>"}
    outputs = [
        new_output("display_data", data=data),
        new_output("stream", text="similarity 0.42\n"),
    ]
    cells = [
        new_code_cell(SOURCE.format(**AS_COMMITTED | change), outputs=outputs, execution_count=1)
        for change, _ in CASES.values()
    ]
    path = tmp_path_factory.mktemp("nbval") / "one.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "tests.nbval_numbers", "--nbval"]
    options = ["--nbval-current-env", "-p", "no:cacheprovider", str(path)]
    how = {"cwd": ROOT, "env": os.environ | {PROVISIONER: "local-provisioner"}, "text": True}
    told = subprocess.run(command + options, capture_output=True, **how).stdout
    found = re.findall(r"^(PASSED|FAILED) \S+::Cell (\d+)", told, re.MULTILINE)
    outcomes = {int(cell): outcome for outcome, cell in found}
    differing = {int(cell) for cell in re.findall(r"Cell (\d+): Cell outputs differ", told)}
    assert differing == {cell for cell, outcome in outcomes.items() if outcome == "FAILED"}, told
    return outcomes


@pytest.mark.parametrize("case", CASES)
def test_nbval_itself_compares_so(case, outcomes):
    _, passes = CASES[case]
    assert outcomes[list(CASES).index(case)] == ("PASSED" if passes else "FAILED")
