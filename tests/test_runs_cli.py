import re
import subprocess
import sys
import tarfile
import warnings

import numpy as np
import pytest
from PIL import Image

from helpers.data.texts import open_texts
from helpers.runs import jupyter_kernels
from helpers.runs.cli import (
    BAD_INPUT,
    FAILED,
    UNREAD,
    _check_models,
    _each_warning_once,
    _parameters,
    main,
)
from helpers.runs.parameters import ROOT, from_profile
from helpers.runs.record import Record


@pytest.fixture
def one_notebook(tmp_path, monkeypatch):
    """A workbook of a single notebook, whose source the test writes."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.setattr("helpers.runs.paths.NOTEBOOKS", folder)

    def write(source):
        parameters = new_code_cell("out = None", metadata={"tags": ["parameters"]})
        cells = [new_markdown_cell("# 01 A question"), parameters, new_code_cell(source)]
        kernel = {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        }
        nbformat.write(new_notebook(cells=cells, metadata=kernel), folder / "01_question.ipynb")

    return write


def run(folder_of_images, out):
    call = ["run", "-p", "images", str(folder_of_images), "-p", "compare", "[]"]
    return main([*call, "--out", str(out)])


def test_a_run_ends_with_a_report(one_notebook, folder_of_images, tmp_path, capsys):
    one_notebook(
        "from pathlib import Path\n"
        "Path(out, 'tables/03_scores.csv').write_text('augmentation,mean\\nnoise,0.5\\n')"
    )
    assert run(folder_of_images, tmp_path / "run") == 0
    page = (tmp_path / "run" / "index.html").read_text()
    printed = capsys.readouterr().out
    assert str(tmp_path / "run" / "index.html") in printed
    memory = float(re.search(r"Memory: ([\d.]+) GB at most", printed)[1])
    assert 0.1 < memory < 20
    kept = Record(tmp_path / "run" / "run.json").read()["peak_bytes"]
    assert memory == round(kept / 1e9, 1)
    for part in ("embedded-clip model", "-broken.png", '">Noise</th>', "01 A question", "6 from"):
        assert part in page
    assert not re.search("http:|https:", page)
    rendered = (tmp_path / "run" / "notebooks" / "01_question.html").read_text()
    assert not re.search("http:|https:|<script", rendered)


def test_only_what_changed_is_executed_again(one_notebook, folder_of_images, tmp_path, capsys):
    source = (
        "from pathlib import Path\n"
        "Path(out, 'tables/03_scores.csv').write_text('augmentation,mean\\nnoise,0.5\\n')\n"
        "Path(out, 'tables/01_mine.csv').write_text('a')\n"
        "with open(Path(out, 'count'), 'a') as file:\n"
        "    file.write('x')"
    )
    out = tmp_path / "run"
    one_notebook(source)
    for times, change in enumerate(
        (
            lambda: None,
            lambda: one_notebook(source + "\n"),
            (out / "tables" / "01_mine.csv").unlink,
        ),
        start=1,
    ):
        change()
        for _ in range(2):
            assert run(folder_of_images, out) == 0
        assert (out / "count").read_text() == "x" * times
    assert "01_question: kept" in capsys.readouterr().out


def test_a_failing_cell_is_named_and_its_notebook_kept(
    one_notebook, folder_of_images, tmp_path, capsys
):
    one_notebook("print('so far')\nraise ValueError('not today')")
    assert run(folder_of_images, tmp_path / "run") == FAILED
    message = capsys.readouterr().err
    for part in ("01_question", "cell", "ValueError: not today"):
        assert part in message
    assert "so far" in (tmp_path / "run" / "notebooks" / "01_question.ipynb").read_text()


def test_files_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mine.pt", "mine.txt"):
        (tmp_path / name).write_text("a text")
    values = [["texts", "mine.txt"], ["compare", "[ViT-B-32:mine.pt, ViT-B-32:openai, embedded]"]]
    given = _parameters("quick", values, None)
    assert given.texts == str(tmp_path / "mine.txt")
    assert given.compare == [f"ViT-B-32:{tmp_path / 'mine.pt'}", "ViT-B-32:openai", "embedded"]


@pytest.mark.parametrize(
    "out, found", [("here", "{}/here"), ("s3://bucket/run", "s3://bucket/run"), (None, None)]
)
def test_a_folder_is_found_from_any_folder_and_a_url_is_one(out, found, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = _parameters("quick", [], out)
    assert given.out == (found and found.format(tmp_path))


RUN = ("run", "-p", "compare", "[]", "-p", "images")


def empty_folder(folder):
    folder.mkdir()
    return [*RUN, str(folder)]


def corrupt_tar(folder):
    folder.mkdir()
    (folder / "shard.tar").write_bytes(b"no tar" * 1000)
    return [*RUN, str(folder / "shard.tar")]


def tar_without_images(folder):
    folder.mkdir()
    with tarfile.open(folder / "shard.tar", "w") as tar:
        tar.add(__file__, "readme.txt")
    return [*RUN, str(folder / "shard.tar")]


def nothing_readable(folder):
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"no image")
    return [*RUN, str(folder)]


def weights_that_do_not_fit(folder):
    call = photo(folder)
    (folder / "bad.safetensors").write_bytes(b"no tensors")
    return [*call, "-p", "model", "ViT-S-32", "-p", "pretrained", str(folder / "bad.safetensors")]


def compared_weights_that_do_not_fit(folder):
    call = photo(folder)
    (folder / "bad.safetensors").write_bytes(b"no tensors")
    return [*call, "-p", "compare", f"[embedded:304, ViT-S-32:{folder / 'bad.safetensors'}]"]


def texts_of(*lines):
    def call(folder):
        given = photo(folder)
        (folder / "mine.txt").write_text("\n".join(lines))
        return [*given, "-p", "texts", str(folder / "mine.txt")]

    return call


def photo(folder):
    folder.mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "black.png")
    return [*RUN, str(folder)]


BAD_CALLS = {
    "empty folder": (empty_folder, "images"),
    "missing path": (lambda folder: [*RUN, str(folder)], "does not exist"),
    "corrupt tar": (corrupt_tar, "tar"),
    "tar without images": (tar_without_images, "no images"),
    "unknown parameter": (lambda folder: ["run", "-p", "imagse", "photos"], "images"),
    "unknown model": (lambda folder: [*photo(folder), "-p", "model", "ViT-B-33"], "ViT-B-32"),
    "unknown weights": (
        lambda folder: [*photo(folder), "-p", "model", "ViT-B-32", "-p", "pretrained", "opnai"],
        "openai",
    ),
    "unknown profile": (lambda folder: ["run", "quik"], "quick"),
    "negative limit": (lambda folder: ["run", "-p", "limit", "-1"], "limit"),
    "nothing readable": (nothing_readable, "could be read"),
    "weights that don't fit": (weights_that_do_not_fit, "not a plain state dict"),
    "unknown compared step": (
        lambda folder: [*photo(folder), "-p", "compare", "[embedded:305]"],
        "304",
    ),
    "compared weights that don't fit": (compared_weights_that_do_not_fit, "not a plain state dict"),
    "one text": (texts_of("a dog"), "texts to choose between"),
    "a text too long": (texts_of("a dog", "very " * 99 + "long"), "shorten it"),
    "unknown precision": (lambda folder: [*photo(folder), "-p", "precision", "f8"], "bfloat16"),
    "unknown device": (lambda folder: [*photo(folder), "-p", "device", "tpu9"], "device"),
    "unknown source to list": (lambda folder: ["images", str(folder)], "does not exist"),
}


@pytest.mark.parametrize("make, names", BAD_CALLS.values(), ids=BAD_CALLS)
def test_bad_input_is_one_sentence_and_leaves_nothing(make, names, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("helpers.runs.paths.OUTPUTS", tmp_path / "outputs")
    assert main(make(tmp_path / "given")) == BAD_INPUT
    message = capsys.readouterr().err
    assert message.startswith("workbook: ")
    assert names in message
    assert message.count("\n") == 1
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("out", ["/proc/run", "/dev/null/run"])
def test_a_read_only_output_is_told(out, folder_of_images, capsys):
    assert run(folder_of_images, out) == BAD_INPUT
    assert "can't be written" in capsys.readouterr().err


def test_images_lists_a_source(folder_of_images, capsys):
    assert main(["images", str(folder_of_images)]) == 0
    listed = capsys.readouterr().out
    assert "7 images" in listed
    assert "0.png: 80×96" in listed
    assert "-broken.png" in listed


def test_models_lists_names_and_tags(capsys):
    assert main(["models"]) == 0
    title, *listed = capsys.readouterr().out.splitlines()
    assert title.startswith("Each line: a model, what works with it")
    assert listed[0] == "embedded: shift, attention, heads; comes with the workbook"
    assert "ViT-L-14: shift, attention, heads" in listed
    assert "RN50: shift" in listed


def test_the_module_runs_as_a_script():
    call = [sys.executable, "-m", "helpers.runs.cli", "run", "no profile"]
    ended = subprocess.run(call, capture_output=True, text=True, cwd=ROOT, check=False)
    assert ended.returncode == BAD_INPUT
    assert ended.stderr.startswith("workbook: ")


def test_a_reader_may_leave_before_the_end(folder_of_images):
    command = [sys.executable, "-m", "helpers.runs.cli", "images", str(folder_of_images)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == UNREAD


def test_help_names_profiles_and_parameters(capsys):
    assert main(["run", "--help"]) == 0
    printed = capsys.readouterr().out
    assert "quick" in printed
    assert "batch_size" in printed


def test_a_caption_is_one_line_of_plain_text(tmp_path, capsys):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text('path,caption\na.png,"red\x1b[31m\nforged: 1×1"\n')
    assert main(["images", str(tmp_path / "list.csv")]) == 0
    assert r"red\x1b[31m\nforged: 1×1" in capsys.readouterr().out


@pytest.mark.soak
def test_a_run_whose_progress_nobody_reads_any_more_is_not_called_done(tmp_path, monkeypatch):
    monkeypatch.setenv(jupyter_kernels.PROVISIONER, "local-provisioner")  # nothing is executed
    call = [sys.executable, "-m", "helpers.runs.cli", "run", "-p", "images", "scenes:2"]
    call += ["-p", "compare", "[]"]
    process = subprocess.Popen(
        [*call, "--out", str(tmp_path / "run")], cwd=ROOT, stderr=subprocess.PIPE
    )
    process.stderr.close()
    try:
        assert process.wait(timeout=300) == UNREAD
    finally:
        process.kill()
    assert not (tmp_path / "run" / "index.html").exists()


def test_a_warning_is_said_once_and_without_the_line_that_gives_it(capsys):
    with _each_warning_once():
        warnings.warn("Take care.", UserWarning, stacklevel=1)
        warnings.warn("Take care.", UserWarning, stacklevel=2)
        warnings.warn("Look out.", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "Note: Take care.\nNote: Look out.\n"


def test_a_run_says_once_how_its_model_was_opened_and_what_words_it_never_met(capsys, recwarn):
    given = from_profile("quick", {"images": "photos", "compare": ["embedded", "embedded:304"]})
    _check_models(given, open_texts("general"))
    opened, squashed, unknown = capsys.readouterr().out.splitlines()
    assert re.match(r"embedded-clip model: images of \d+ × \d+; texts of 24 tokens; GELU; ", opened)
    assert squashed.startswith("Images are squashed to 224 × 224")
    assert re.match(r"The embedded model never met \d+ of the tokens", unknown)
    assert not recwarn.list


def test_an_empty_text_is_no_folder(capsys):
    assert main(["verify", ""]) == BAD_INPUT
    assert "An empty text names no folder" in capsys.readouterr().err
