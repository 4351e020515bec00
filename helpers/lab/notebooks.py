"""The map of the notebooks."""

import nbformat
from IPython.display import Markdown

from helpers.runs.report.notebook_page import heading
from helpers.runs.runner import numbered_notebooks


def notebooks() -> Markdown:
    """List the numbered notebooks, each with its question and a link."""
    rows = []
    for path in numbered_notebooks():
        name, _, question = heading(nbformat.read(path, as_version=4)).partition(": ")
        rows.append(f"| [{name}]({path.name}) | {question[:1].upper()}{question[1:]} |")
    return Markdown("\n".join(["| notebook | question |", "|---|---|", *rows]))
