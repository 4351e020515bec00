"""What pages are made of, without a browser."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers.runs.report.notebook_page import notebook_page
from helpers.runs.report.pages import markdown, python


@pytest.mark.parametrize(
    "text, expected",
    [
        ("**a** `b`", "<p><strong>a</strong> <code>b</code></p>"),
        ("<b onclick=f()>a</b>", "<p>&lt;b onclick=f()&gt;a&lt;/b&gt;</p>"),
        ("![a](http://elsewhere/a.png)", "<p>a (http://elsewhere/a.png)</p>"),
        ("[a](javascript:f())", "<p>a (javascript:f())</p>"),
        ("[06](06_heads.ipynb)", '<p><a href="06_heads.html">06</a></p>'),
        ("```mermaid\n<i>\n```", '<pre><code class="language-mermaid">&lt;i&gt;\n</code></pre>'),
    ],
)
def test_markdown_leads_nowhere_and_holds_no_html(text, expected):
    assert markdown(text).strip() == expected


def test_code_is_escaped_and_coloured():
    assert python('a = "</script>"') == (
        '<span class="n">a</span> <span class="o">=</span>'
        ' <span class="s2">"&lt;/script&gt;"</span>\n'
    )


@pytest.fixture
def rendered(tmp_path):
    def render(*outputs):
        (tmp_path / "notebooks").mkdir(exist_ok=True)
        path = tmp_path / "notebooks" / "01_question.ipynb"
        cells = [new_markdown_cell("# 01 A question"), new_code_cell("1", outputs=list(outputs))]
        nbformat.write(new_notebook(cells=cells, metadata={"widgets": {"a": STATE}}), path)
        return notebook_page(path, lambda text: text)

    return render


STATE = {"state": {"b": "</script><script>f()</script>"}}
VIEW = "application/vnd.jupyter.widget-view+json"


def test_controls_are_left_out_with_their_state(rendered):
    data = {VIEW: {"model_id": "</script>"}, "text/plain": "Run this cell."}
    page = rendered(new_output("display_data", data=data))
    assert "Run this cell." in page
    assert "script>" not in page and "model_id" not in page


def test_only_the_last_state_of_a_progress_bar_is_shown(rendered):
    page = rendered(new_output("stream", name="stderr", text="1 of 2\r\x1b[31m2 of 2\n"))
    assert "2 of 2" in page
    assert "1 of 2" not in page and "\x1b" not in page


def test_an_error_is_shown_as_text(rendered):
    trace = ["\x1b[31mValueError\x1b[0m: <b>"]
    page = rendered(new_output("error", ename="ValueError", evalue="<b>", traceback=trace))
    assert "ValueError: &lt;b&gt;" in page


def test_a_drawing_is_a_picture_and_runs_nothing(rendered):
    svg = "<svg xmlns='http://www.w3.org/2000/svg' onload='f()'/>"
    page = rendered(new_output("display_data", data={"image/svg+xml": svg}))
    assert "<svg" not in page
    assert 'src="data:image/svg+xml;base64,' in page
