"""What notebooks need of a model and a run: what is missing is left out, and a line says why.

A cell that only some models can answer carries a tag, such as ``needs-account``, and so does the
prose that goes with it. A whole notebook has the list ``needs`` in its metadata. What can be needed
is `helpers.clip.capabilities.QUESTIONS` of the model, and `OF_RUN` of the run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from helpers.clip.capabilities import QUESTIONS, Capabilities
from helpers.data import STUDY

TAG = "needs-"
SEVERAL = 3  # the fewest that an order, a correlation or a tree says anything of

OF_RUN: Mapping[str, tuple[Callable[[Sequence[str], bool], bool], str]] = {
    "study": (
        lambda changes, _: tuple(changes) == STUDY,
        "This is about the published study's own nine changes, and the run makes others;"
        " -p changes study shows it.",
    ),
    "several": (
        lambda changes, _: len(changes) >= SEVERAL,
        f"This holds changes against one another, and the run makes fewer than {SEVERAL}.",
    ),
    "extras": (
        lambda _, extras: extras,
        "What needs other models or other severities is left out by -p extras false.",
    ),
}
"""What may be needed of a run's changes and extras → whether it is so, and what is said if not."""


def answerable(
    notebook: NotebookNode, capabilities: Capabilities, changes: Sequence[str], extras: bool
) -> NotebookNode:
    """Return a notebook without the cells that a run can't answer."""
    title, *others = notebook.cells
    whole, given = whole_needs(notebook), (capabilities, changes, extras)
    reasons = [missing(whole + needs(cell), *given) for cell in others]
    cells = [title]
    for is_left_out, pairs in groupby(
        zip(others, reasons, strict=True), lambda pair: bool(pair[1])
    ):
        group = list(pairs)
        cells += [_line(group)] if is_left_out else [cell for cell, _ in group]
    return NotebookNode(notebook | {"cells": cells})


def left_out(notebook: NotebookNode) -> list[tuple[str, list[str]]]:
    """Return what was left out of a notebook (`answerable`): code, and sentences that say why."""
    lines = [cell.metadata for cell in notebook.cells if "left_out" in cell.metadata]
    return [(line["left_out"], line["lacks"]) for line in lines]


def whole_needs(notebook: NotebookNode) -> list[str]:
    """Return what all of a notebook needs."""
    return list(notebook.metadata.get("needs", []))


def needs(cell: NotebookNode) -> list[str]:
    """Return what a cell needs, as its tags say."""
    tags = cell.metadata.get("tags", [])
    return [tag.removeprefix(TAG) for tag in tags if tag.startswith(TAG)]


def missing(
    needed: Iterable[str],
    capabilities: Capabilities,
    changes: Sequence[str] = STUDY,
    extras: bool = True,
) -> list[str]:
    """Say what is missing of what is needed, a sentence each."""
    known = (*OF_RUN, *QUESTIONS)
    ordered = sorted(set(needed), key=lambda name: (*known, name).index(name))
    sentences = (_missing(name, capabilities, changes, extras) for name in ordered)
    return [sentence for sentence in sentences if sentence]


def _missing(name: str, capabilities: Capabilities, changes: Sequence[str], extras: bool) -> str:
    if name not in OF_RUN:
        return capabilities.why_not(name)
    is_so, sentence = OF_RUN[name]
    return "" if is_so(changes, extras) else sentence


def _line(group: list[tuple[NotebookNode, list[str]]]) -> NotebookNode:
    sentences = list(dict.fromkeys(sentence for _, reasons in group for sentence in reasons))
    code = "\n".join(cell.source for cell, _ in group if cell.cell_type == "code")
    return new_markdown_cell(
        f"*Left out: {' '.join(sentences)}*",
        id=group[0][0].id,
        metadata={"left_out": code, "lacks": sentences},
    )
