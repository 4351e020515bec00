"""What a model without an exact account, or without texts, still gives, from run to report."""

import json

import nbformat
import numpy as np
import open_clip
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers.analysis.scores import SCORES
from helpers.checks import WorkbookError
from helpers.clip import load, names
from helpers.clip.capabilities import Capabilities
from helpers.data import SETS, STUDY
from helpers.runs import open_run
from helpers.runs.notebook_needs import answerable, left_out
from helpers.runs.runner import run_workbook

ACCOUNT = "small-cnn does not give the exact account of heads, MLPs and patches: "


@pytest.fixture(scope="session")
def small_cnn(tmp_path_factory):
    """A ResNet with the smallest text tower there is, known to open_clip by name."""
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
        "text_cfg": {"vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    path = tmp_path_factory.mktemp("configs") / "small-cnn.json"
    path.write_text(json.dumps(config))
    open_clip.add_model_config(path)
    names.open_clip_names.cache_clear()
    return "small-cnn"


@pytest.fixture
def run(parameters, small_cnn):
    return open_run(**parameters | {"model": small_cnn, "compare": []})


def test_a_run_without_an_account_keeps_embeddings_and_the_scores_that_there_are(run):
    encodings, scores = run.encodings(), run.scores()
    assert list(encodings) == ["embedding"]
    assert set(scores) == set(SCORES) - {"attention_similarity"}
    drawn = np.stack(list(run.views("3.png").values()))
    expected = load(run.parameters.model, device="cpu").encode(drawn).embedding
    embedding = encodings["embedding"].sel(image="3.png")
    np.testing.assert_allclose(embedding, expected, rtol=1e-4, atol=1e-6)
    assert (run.pixel_change().sel(augmentation="noise") > 0).all()
    assert np.isfinite(scores["embedding_similarity"]).all()


@pytest.mark.parametrize("asked", ["contributions", "dissection"])
def test_asking_it_for_an_account_is_one_sentence(run, asked):
    with pytest.raises(WorkbookError, match=ACCOUNT):
        getattr(run, asked)()


def test_capabilities_are_written_down_and_read_without_the_model(run, parameters, monkeypatch):
    assert not run.capabilities.account
    assert run.record["capabilities"]["account"] in run.capabilities.why_not("account")
    monkeypatch.setattr("helpers.runs.opening.capabilities", None)
    again = open_run(**parameters | {"model": run.parameters.model, "compare": []})
    assert again.capabilities == run.capabilities


def test_a_model_without_texts_says_so_where_they_are_asked_for(parameters, monkeypatch):
    known = Capabilities("embedded", {"texts": "its tokenizer's file is not on this machine"})
    monkeypatch.setattr("helpers.runs.opening.capabilities", lambda *_: known)
    run = open_run(**parameters)
    for embed in (run.text_embeddings, run.named_texts):
        with pytest.raises(WorkbookError, match="embedded does not give embeddings of texts"):
            embed()
    assert run.dissection()["shares"].sizes["image"] == 6


def cell(source, *needs, kind=new_code_cell):
    return kind(source, metadata={"tags": [f"needs-{need}" for need in needs]})


OF_A_CNN = Capabilities("a CNN", {"account": "it is one", "texts": "it reads none"})


def fit(*cells, needs=()):
    title = new_markdown_cell("# 01 A question")
    notebook = new_notebook(cells=[title, *cells], metadata={"needs": list(needs)})
    return answerable(notebook, OF_A_CNN, STUDY, True)


def test_consecutive_cells_left_out_are_one_line():
    cells = [
        cell("kept = 1"),
        cell("The account", "account", kind=new_markdown_cell),
        cell("account = 1", "account"),
        cell("both = 1", "account", "texts"),
        cell("maps = 1", "attention"),
        cell("again = 1", "texts"),
    ]
    notebook = fit(*cells)
    assert [each.source for each in notebook.cells[1:]] == [
        "kept = 1",
        "*Left out: a CNN does not give the exact account of heads, MLPs and patches: it is one."
        " a CNN does not give embeddings of texts: it reads none.*",
        "maps = 1",
        "*Left out: a CNN does not give embeddings of texts: it reads none.*",
    ]
    assert [code for code, _ in left_out(notebook)] == ["account = 1\nboth = 1", "again = 1"]
    nbformat.validate(notebook)


def test_a_whole_notebook_keeps_its_title_and_a_line():
    notebook = fit(cell("a = 1"), cell("b = 1", "attention"), needs=["account"])
    assert [each.cell_type for each in notebook.cells] == ["markdown", "markdown"]
    assert fit(cell("a = 1"), needs=["attention"]).cells[1].source == "a = 1"


@pytest.mark.parametrize(
    ("changes", "kept", "said"),
    [
        (STUDY, ["published = 1", "order = 1"], []),
        (SETS["corruptions"], ["order = 1"], ["the published study's own nine changes"]),
        (("jpeg",), [], ["the published study's own nine changes", "fewer than 3"]),
    ],
    ids=["study", "corruptions", "jpeg"],
)
def test_what_the_changes_do_not_give_is_left_out(changes, kept, said):
    cells = [cell("published = 1", "study"), cell("order = 1", "several")]
    notebook = answerable(
        new_notebook(cells=[new_markdown_cell("# 01"), *cells]), OF_A_CNN, changes, True
    )
    assert [each.source for each in notebook.cells if each.cell_type == "code"] == kept
    line = " ".join(sentence for _, reasons in left_out(notebook) for sentence in reasons)
    assert all(part in line for part in said)


def test_an_unknown_need_is_refused():
    with pytest.raises(WorkbookError, match="acount"):
        fit(cell("a = 1", "acount"))


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    """A workbook of two notebooks: one with cells that need an account, one that does wholly."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.setattr("helpers.runs.paths.NOTEBOOKS", folder)
    kernel = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    parameters = new_code_cell("out = None", metadata={"tags": ["parameters"]})
    saving = cell('raise ValueError("10_depth_by_model")', "account")
    cells = [parameters, saving, cell("from pathlib import Path\nPath(out, 'ran').touch()")]
    for number, metadata in (("02", kernel), ("08", kernel | {"needs": ["account"]})):
        title = new_markdown_cell(f"# {number} A question")
        notebook = new_notebook(cells=[title, *cells], metadata=metadata)
        nbformat.write(notebook, folder / f"{number}_question.ipynb")


def test_the_workbook_goes_on_without_what_a_model_lacks(run, notebooks):
    page = run_workbook(run).read_text()
    assert (run.folder / "ran").exists()
    for name in ("02_question", "08_question"):
        text = (run.folder / "notebooks" / f"{name}.html").read_text()
        assert text.count("<em>Left out: small-cnn does not give the exact account") == 1
    assert f'08 A question</a> <span class="missing">Left out: {ACCOUNT}' in page
    assert "02 A question</a></li>" in page
    assert "What this model does not give" in page
