"""The order of notebooks, compared models with notebooks of their own, and what is kept."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers.runs import open_run, runner
from helpers.runs.report.report import write_report
from helpers.runs.runner import run_workbook
from helpers.runs.variants import compared_models, compared_run, folder_name, untrained_run

LOG = (
    "from pathlib import Path\n"
    "with open(Path(out, 'log'), 'a') as file:\n"
    "    file.write('{number} {{}}\\n'.format(pretrained))"
)


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    """A workbook of the notebooks 00, 01 and 11, which write down that they ran."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.setattr("helpers.runs.paths.NOTEBOOKS", folder)
    for number in ("00", "01", "11"):
        parameters = new_code_cell("out = pretrained = None", metadata={"tags": ["parameters"]})
        cells = [new_markdown_cell(f"# {number} A question"), parameters]
        cells.append(new_code_cell(LOG.format(number=number)))
        metadata = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
        path = folder / f"{number}_question.ipynb"
        nbformat.write(new_notebook(cells=cells, metadata=metadata), path)
    return folder


def log(folder):
    return (folder / "log").read_text().splitlines()


def test_the_summary_runs_last_and_is_listed_first(notebooks, parameters):
    run = open_run(**parameters)
    page = run_workbook(run).read_text()
    *others, last = log(run.folder)  # two notebooks at a time run in either order
    assert sorted(others) == ["01 None", "11 None"]
    assert last == "00 None"
    assert page.index("00 A question") < min(map(page.index, ("01 A question", "11 A question")))
    assert not (run.folder / "models" / "embedded-304" / "index.html").exists()


def test_a_notebook_that_is_being_written_is_not_read(notebooks, parameters):
    folder = run_workbook(open_run(**parameters)).parent
    (folder / "notebooks" / "01_question.ipynb").write_text("")
    page = write_report(folder, ["01_question"]).read_text()
    assert "11 A question" in page
    assert "01 A question" not in page


def test_what_a_reader_wants_first_is_begun_first():
    names = ["00_summary", "01_augment", "09_answers", "11_models", "A1_published"]
    order = sorted((Path(f"{name}.ipynb") for name in names), key=runner._place)
    assert [path.stem[:2] for path in order] == ["09", "11", "00", "01", "A1"]


def test_compared_models_get_notebooks_and_a_report_before_the_comparison(notebooks, parameters):
    run = open_run(**parameters | {"compare_fully": True})
    page = run_workbook(run).read_text()
    other = run.folder / "models" / "embedded-304"
    assert log(other) == ["01 304", "00 304"]
    assert "embedded model at step 304" in (other / "index.html").read_text()
    assert 'href="models/embedded-304/index.html"' in page
    written = [
        (folder / "notebooks" / "00_question.ipynb").stat().st_mtime
        for folder in (other, run.folder)
    ]
    assert written == sorted(written)


def test_other_texts_are_another_notebook(notebooks, parameters, tmp_path):
    for number in ("00", "11"):
        (notebooks / f"{number}_question.ipynb").unlink()
    file = tmp_path / "texts.txt"
    given = parameters | {"texts": str(file)}
    for content, times in (("a red star\na dog", 1), ("a red star\na dog", 1), ("a cat\na dog", 2)):
        file.write_text(content)
        run = open_run(**given)
        run_workbook(run)
        assert len(log(run.folder)) == times


def test_a_compared_run_is_of_the_same_images_and_texts(parameters):
    run = open_run(**parameters)
    other = compared_run(run, "embedded:304")
    assert other.folder == run.folder / "models" / "embedded-304"
    assert other.images.fingerprint == run.images.fingerprint
    assert other.texts.fingerprint == run.texts.fingerprint
    assert other.parameters.compare == []
    assert not other.parameters.compare_fully


def test_the_runs_own_model_is_compared_with_no_copy_of_itself(parameters):
    models = ["embedded", "embedded:304", "embedded:304", "embedded:0"]
    run = open_run(**parameters | {"compare": models})
    assert compared_models(run) == ["embedded:304", "embedded:0"]


def test_folders_of_models_can_be_made_anywhere():
    assert folder_name("ViT-B-32:openai") == "ViT-B-32-openai"
    first, second = folder_name("ViT-B-32:/a b/mine.pt"), folder_name("ViT-B-32:/c/mine.pt")
    assert first != second
    assert first.startswith("ViT-B-32-mine-") and "/" not in first


@pytest.mark.parametrize(
    "model, title", [("embedded", "embedded model, untrained"), ("ViT-B-32", "ViT-B-32, untrained")]
)
def test_the_untrained_run_is_of_the_same_architecture_and_images(parameters, model, title):
    trained = {"embedded": "304", "ViT-B-32": None}[model]
    run = open_run(**parameters | {"model": model, "pretrained": trained})
    other = untrained_run(run)
    assert other.title == title
    assert other.images.ids == run.images.ids
    assert untrained_run(other) is other
    assert (other is run) == (trained is None)
