"""The commands and code of README and recipes, taken from the pages and run.

Here, each is run as far as takes seconds: `workbook run` on three pictures, without its notebooks.
The tests marked *soak* run every block as it stands.
"""

import os
import re
import shlex
import stat
import subprocess
import sys
import tarfile
from functools import cache
from pathlib import Path

import numpy as np
import papermill
import pytest
import yaml
from PIL import Image

from helpers.clip import load
from helpers.runs import paths
from helpers.runs.cli import BAD_INPUT, main
from helpers.runs.parameters import ROOT
from tests.readme_picture import PICTURE, figure

README, RECIPES = ROOT / "README.md", ROOT / "notebooks" / "recipes.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")
LOGGED = ("workbook", "papermill", "jupyter", "make")
OF_A_HUB = ("openai", "paper", "six_models")


def blocks(page, language):
    """The code blocks of a page, in order."""
    return [code for kind, code in BLOCK.findall(page.read_text()) if kind == language]


def registers(code):
    """Whether code adds to the workbook's tables; it does so from a file."""
    return "helpers.extend" in code


def commands(page):
    return "\n".join(blocks(page, "bash"))


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with what the pages name: photographs, drawings, shards, texts and earlier runs."""
    for folder in ("photos", "drawings"):
        (tmp_path / folder).mkdir()
        for number in range(3):
            rng = np.random.default_rng(number)
            tile = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(9, 0).repeat(9, 1)
            Image.fromarray(tile).save(tmp_path / folder / f"{number}.png")
    captions = "image,caption,class\n0.png,dots,round\n1.png,lines,straight\n"
    (tmp_path / "drawings" / "captions.txt").write_text(captions)
    (tmp_path / "shards").mkdir()
    for number in range(10):
        with tarfile.open(tmp_path / f"shards/cc3m-{number:05}.tar", "w") as tar:
            tar.add(tmp_path / "photos" / f"{number % 3}.png", f"{number:05}.png")
    (tmp_path / "my_changes.py").write_text(next(filter(registers, blocks(README, "python"))))
    (tmp_path / "my_descriptions.txt").write_text("a red circle\na blue square\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(paths, "OUTPUTS", tmp_path / "outputs")
    return tmp_path


def environment(home):
    """Variables of a shell whose first commands are those in the folder ``bin`` of a home."""
    path = f"{home / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {"HOME": str(home), "PATH": path, "WORKBOOK": str(ROOT)}


def calls(script, home):
    """What a script calls of `LOGGED`: the arguments as the shell expands them."""
    (home / "bin").mkdir(exist_ok=True)
    log = home / "log"
    log.write_text("")
    for name in LOGGED:
        shim = home / "bin" / name
        shim.write_text(f'#!/bin/bash\nprintf "%q " {name} "$@" >> {log}\necho >> {log}\n')
        shim.chmod(shim.stat().st_mode | stat.S_IEXEC)
    subprocess.run(["bash", "-eu", "-c", script], check=True, env=environment(home), cwd=home)
    return [shlex.split(line) for line in log.read_text().splitlines()]


def compute_only(run):
    """In place of a run's notebooks: its arrays."""
    run.compute()
    return run.folder / "index.html"


def check_workbook(arguments, capsys):
    """A command ends well, or says that it would download weights."""
    code = main(arguments)
    message = capsys.readouterr().err
    if code == BAD_INPUT:
        assert any(name in " ".join(arguments) for name in OF_A_HUB), message
        assert "not on this machine" in message
    else:
        assert code == 0, message


def check_papermill(arguments, capsys):
    """Notebook and parameters exist."""
    notebook, _, *options = arguments
    known = papermill.inspect_notebook(notebook)
    names = [options[place + 1] for place, each in enumerate(options) if each == "-p"]
    assert names and set(names) <= set(known)


def check_jupyter(arguments, capsys):
    """The slides hold the summary's figure and findings, and no code."""
    subprocess.run([sys.executable, "-m", "jupyter", *arguments], check=True, capture_output=True)
    page = Path("00_summary.slides.html").read_text()
    assert len(re.findall("<img[^>]*data:image/png", page)) == 1
    assert "moves embeddings furthest" in page
    assert "run_from" not in page


def check_make(arguments, capsys):
    """There is such a target."""
    subprocess.run(["make", "-n", *arguments], check=True, capture_output=True, cwd=ROOT)


CHECKS = {
    "workbook": check_workbook,
    "papermill": check_papermill,
    "jupyter": check_jupyter,
    "make": check_make,
}


@pytest.fixture
def runs(home, monkeypatch):
    """Two earlier runs, and runs that are made without their notebooks."""
    monkeypatch.setattr("helpers.runs.runner.run_workbook", compute_only)
    monkeypatch.setattr("helpers.runs.runner.side_by_side", list)  # nothing is executed
    monkeypatch.setattr("helpers.clip.load", cache(load))
    for name in ("quick", "bfloat16"):
        out = str(home / "outputs" / name)
        assert main(["run", "-p", "images", str(home / "photos"), "--out", out]) == 0


@pytest.mark.parametrize("page", [README, RECIPES], ids=["README", "recipes"])
def test_every_command_runs(page, runs, home, capsys):
    called = calls(commands(page), home)
    assert {name for name, *_ in called} <= set(CHECKS)
    for name, *arguments in called:
        CHECKS[name](arguments, capsys)
    # The recipes' code reads what their commands wrote.
    names = {}
    for code in blocks(page, "python"):
        if not registers(code):
            exec(code, names)


@pytest.mark.parametrize("page", [README, RECIPES], ids=["README", "recipes"])
def test_links_lead_somewhere(page):
    targets = LINK.findall(page.read_text())
    assert not [target for target in targets if not (page.parent / target).exists()]


def test_the_picture_is_that_of_the_committed_summary():
    assert PICTURE.read_bytes() == figure(), "run: python -m tests.readme_picture"


def test_the_citation_can_be_read():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert len(cited["references"]) == 3
    assert f"## {cited['version']}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.soak
@pytest.mark.parametrize("code", blocks(RECIPES, "bash"), ids=range(len(blocks(RECIPES, "bash"))))
def test_every_recipe_runs_as_it_stands(code, home):
    subprocess.run(["bash", "-eu", "-c", code], check=True, env=environment(home), cwd=home)
    assert list(home.rglob("*.html")) + list(home.glob("*.ipynb"))


@pytest.mark.soak
@pytest.mark.parametrize(
    "line", [line for line in commands(README).splitlines() if line.startswith("workbook run")]
)
def test_every_run_of_the_readme_ends_with_a_report(line, home):
    variables = environment(home) | {"WORKBOOK_OUTPUTS": str(home / "outputs")}
    told = subprocess.run(
        ["bash", "-eu", "-c", line], env=variables, cwd=home, capture_output=True, text=True
    )
    if told.returncode == BAD_INPUT and "not on this machine" in told.stderr:
        pytest.skip(told.stderr)
    assert told.returncode == 0, told.stderr
    assert list(home.rglob("index.html"))
