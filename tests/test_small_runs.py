"""Runs with hardly anything in them: every notebook says what it can, and none fails.

Cells are run in this process, which spares a kernel for each notebook; `make soak` has every kind.
"""

import linecache
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from PIL import Image

from helpers.runs import open_run
from helpers.runs.notebook_needs import answerable
from helpers.runs.paths import numbered_notebooks
from tests import tiny
from tests.registries import left_alone
from tests.test_clip_checkpoints import folder, tower

NETWORK = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
    "text_cfg": tiny.CONFIG["text_cfg"] | {"context_length": 77},
}


def images(place: Path, count: int, *, below: str = "") -> str:
    """A folder of pictures; `below` a folder of their class."""
    rng = np.random.default_rng(2)
    inside = place / "pictures" / below
    inside.mkdir(parents=True)
    for number in range(count):
        tile = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8).repeat(20, 0).repeat(20, 1)
        Image.fromarray(tile).save(inside / f"{number}.png")
    return str(place / "pictures")


def tower_alone(place: Path) -> str:
    (place / "model").mkdir()
    return folder(place / "model", tower("CLIP", "ModelWithProjection", projection_dim=8))[0]


KINDS = {
    "one image": lambda at: {"images": images(at, 1)},
    "one of many": lambda at: {"images": images(at, 5), "limit": 1},
    "two images": lambda at: {"images": images(at, 2)},
    "one change": lambda at: {"images": images(at, 3), "changes": ["noise"]},
    "two changes": lambda at: {"images": images(at, 3), "changes": ["noise", "blur"]},
    "nothing moves": lambda at: {
        "images": images(at, 3),
        "changes": ["noise", "blur", "jpeg"],
        "severity": 0.0,
    },
    "one image and nothing moves": lambda at: {
        "images": images(at, 1),
        "changes": ["noise"],
        "severity": 0.0,
    },
    "attacks": lambda at: {"images": images(at, 3), "changes": "attacks"},
    "one class": lambda at: {"images": images(at, 3, below="cat")},
    "no texts": lambda at: {"images": images(at, 3), "model": tower_alone(at)},
    "no texts, one image": lambda at: {"images": images(at, 1), "model": tower_alone(at)},
    "no attention": lambda at: {"images": images(at, 3), "model": "tiny-network"},
    "no extras": lambda at: {"images": images(at, 3), "extras": False},
}
QUICK = {"one image": ("03", "05", "09"), "no extras": ("00", "03", "04", "08", "10", "11", "12")}
"""Kind → the notebooks that are run whenever tests are."""


def run_cells(source: Path, run) -> dict:
    """Run the cells that a run can answer, with its parameters; return their names."""
    given = run.capabilities, run.changes, run.parameters.extras
    names: dict = {}
    for cell in answerable(nbformat.read(source, as_version=4), *given).cells:
        if cell.cell_type == "code":
            place = f"<{source.stem}, {cell.id}>"
            lines = cell.source.splitlines(keepends=True)
            linecache.cache[place] = len(cell.source), None, lines, place  # as IPython does
            exec(compile(cell.source, place, "exec"), names)
        if "parameters" in cell.metadata.get("tags", []):
            names |= vars(run.parameters)
    return names


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        *QUICK.items(),
        *(pytest.param(kind, None, marks=pytest.mark.soak, id=f"{kind}, all") for kind in KINDS),
    ],
)
def test_no_notebook_fails(kind, numbers, parameters, tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.runs.derived.untrained.NETWORKS", 2)
    given = {"model": "embedded", "compare": [], "layers": 2} | KINDS[kind](tmp_path)
    chosen = [path for path in numbered_notebooks() if path.name[:2] in (numbers or path.name)]
    with tiny.registered(tmp_path, **{"tiny-network": NETWORK}):
        run = open_run(**parameters | given)
        for source in chosen:
            with left_alone():
                run_cells(source, run)
            plt.close("all")
    assert list((run.folder / "tables").glob("*_answer.csv"))
