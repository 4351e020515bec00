"""README's table of places against the tree: all are in it, and imports go up it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HELPERS = ROOT / "helpers"
PLACES = re.findall(r"^\| `helpers/(\w+)(?:\.py)?`", (ROOT / "README.md").read_text(), re.M)
SHARED = {"checks", "cores", "registry", "ties"}
DOWN = {("runs", "head_benchmark")}


def imported(path):
    """Names of places that a file imports from, but for the sake of types alone."""
    tree = ast.parse(path.read_text())
    of_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node not in of_types:
            parts = [f"{node.module}.{alias.name}".split(".") for alias in node.names]
            yield from (part[1] for part in parts if part[0] == "helpers")


def test_every_place_has_a_row():
    folders = {path.parent.name for path in HELPERS.glob("*/__init__.py")}
    modules = {path.stem for path in HELPERS.glob("*.py")} - {"__init__"} - SHARED
    assert {*PLACES} == folders | modules
    assert len(PLACES) == len({*PLACES})


@pytest.mark.parametrize("place", PLACES)
def test_a_place_imports_from_places_above_it(place):
    files = [*(HELPERS / place).rglob("*.py")] or [HELPERS / f"{place}.py"]
    found = {name for path in files for name in imported(path)} - SHARED - {place}
    down = {(place, name) for name in found if PLACES.index(name) > PLACES.index(place)}
    assert down <= DOWN
    assert found or place == PLACES[0]
