"""A flipped or missing byte of a stored file is noticed, reported and repaired."""

import random
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
import xarray as xr
import zarr
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers.checks import WorkbookError
from helpers.runs import open_run
from helpers.runs.cli import BAD_INPUT, FAILED, main
from helpers.runs.paths import RECORD
from helpers.runs.record import Record
from helpers.runs.runner import run_workbook
from helpers.runs.storage.arrays import Arrays
from helpers.runs.storage.checksums import BLANK, is_sealed, sealed
from helpers.runs.storage.integrity import find_damage
from helpers.runs.verify import verify, verify_files

SAVES = """from pathlib import Path
Path(out, 'tables/01_mine.csv').write_text('a,b\\n1,2\\n')
Path(out, 'figures/01_mine.png').write_bytes(b'a picture')"""
GIVEN = {
    "images": "scenes:4",
    "limit": None,
    "seed": 0,
    "severity": 1.0,
    "changes": "study",
    "extend": None,
    "model": "embedded",
    "pretrained": None,
    "device": "cpu",
    "precision": "auto",
    "texts": None,
    "layers": 1,
    "compare": [],
    "compare_fully": False,
    "extras": True,
    "batch_size": 2,
    "preprocessing": None,
    "workers": 2,
    "cluster": None,
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A workbook of one notebook, and the run that it was executed for."""
    base = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("helpers.runs.paths.NOTEBOOKS", base / "notebooks")
        (base / "notebooks").mkdir()
        parameters = new_code_cell("out = None", metadata={"tags": ["parameters"]})
        cells = [new_markdown_cell("# 01 A question"), parameters, new_code_cell(SAVES)]
        kernel = {"name": "python3", "display_name": "", "language": "python"}
        notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(notebook, base / "notebooks" / "01_question.ipynb")
        run_workbook(open_run(**GIVEN, out=str(base / "run")))
        yield base / "run"


@pytest.fixture(scope="module")
def expected(study):
    """All that can be read of it."""
    return read_all(study)[1]


@pytest.fixture
def run(study, tmp_path):
    """A copy of the run's folder."""
    return Path(shutil.copytree(study, tmp_path / "run"))


def stored(folder):
    data = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(path for path in data if path.suffix not in (".lock", ".holder"))


def flip(path, draw):
    data = bytearray(path.read_bytes())
    data[draw.randrange(len(data))] ^= draw.randrange(1, 256)
    path.write_bytes(data)


def unlink(path, _):
    path.unlink()


def wrong_in(folder):
    return [sentence for check in verify_files(folder) for sentence in check.wrong]


def read_all(folder):
    run = open_run(**GIVEN, out=str(folder))
    parts = [run.encodings(), run.contributions(), run.dissection(), run.scores()]
    return run, [*parts, run.pixel_change(), run.text_embeddings()]


def apart(folder):
    """The stored files in groups; within one, what is damaged hides no damage of another file."""
    groups = {}
    for path in stored(folder):
        groups.setdefault(group_of(path.relative_to(folder)), []).append(path)
    return groups.values()


def group_of(path):
    """Chunks have their own checksums, arrays' metadata their group's; `done` says what exists."""
    if "c" in path.parts and "done" not in path.parts:
        return "chunks"
    if path.name == "zarr.json" and len(path.parts) > 2:
        return f"metadata in {path.parts[0]}"
    return str(path)


@pytest.mark.parametrize(
    ("damage", "what"),
    [(flip, "bytes flipped, one in each stored file"), (unlink, "stored files removed")],
)
def test_damage_of_any_stored_file_is_noticed_and_named(damage, what, run, tally):
    assert wrong_in(run) == []
    draw, silent, count = random.Random(0), [], 0
    for paths in apart(run):
        before = {path: path.read_bytes() for path in paths}
        for path in paths:
            damage(path, draw)
        wrong = wrong_in(run)
        silent += [path for path in paths if not any(w.startswith(f"{path} is") for w in wrong)]
        for path, data in before.items():
            path.write_bytes(data)
        count += len(paths)
    tally(what, count, lost=len(silent))
    assert count > 70
    assert silent == []


# What is damaged at once, and how many images are computed again. Those that are get all their
# values, so that chunks are damaged at once only where they are of other images.
SPOILED = {
    "values": (
        4,
        "arrays.zarr/embedding/c/1/0/0",
        "arrays.zarr/shares/c/0/0/0",
    ),
    "values of pixels": (2, "arrays.zarr/content/c/0/0"),
    "what is done": (2, "arrays.zarr/done/c/0"),
    "texts": (0, "derived/texts-*.zarr.zip"),
    "what values are of": (
        0,
        "arrays.zarr/image/c/0",
        "arrays.zarr/component/c/0",
        "arrays.zarr/heads/zarr.json",
        "arrays.zarr/done/zarr.json",
    ),
    "what vouches for the rest": (0, "arrays.zarr/zarr.json"),
}


@pytest.mark.parametrize("damage", [flip, unlink])
@pytest.mark.parametrize("what", SPOILED)
def test_only_what_damage_spoiled_is_computed_again(what, damage, expected, run, capsys):
    again, *places = SPOILED[what]
    files = [path for place in places for path in run.glob(place)]
    assert len(files) == len(places)
    for file in files:
        damage(file, random.Random(1))
    opened, arrays = read_all(run)
    printed, kept = capsys.readouterr().err, "\n".join(opened.record["damage"])
    assert str(run) in printed
    for file in files:
        for sentences in (printed, kept):
            assert str(file) in sentences
    assert opened.timings["encode"]["images"] == 4 + again
    assert ("'scene-" in printed) == bool(again)
    for repaired, before in zip(arrays, expected, strict=True):
        xr.testing.assert_identical(repaired, before)
    assert [line for line in wrong_in(run) if "notebooks" not in line] == []
    assert not find_damage(open_run(**GIVEN, out=str(run))._store._arrays)


@pytest.mark.parametrize("damage", [flip, unlink])
@pytest.mark.parametrize(
    "lost",
    ["image/zarr.json", "embedding/zarr.json", "part/zarr.json", "done/zarr.json", "part/c/0"],
)
def test_what_nothing_vouches_for_any_more_is_made_again(lost, damage, expected, run, capsys):
    for place in ("zarr.json", lost):
        damage(run / "arrays.zarr" / place, random.Random(2))
    _, arrays = read_all(run)
    assert f"{run}/arrays.zarr/zarr.json is damaged or missing" in capsys.readouterr().err
    for repaired, before in zip(arrays, expected, strict=True):
        xr.testing.assert_identical(repaired, before)
    assert [line for line in wrong_in(run) if "notebooks" not in line] == []


def test_a_damaged_chunk_that_an_image_is_to_be_written_into_is_mended(run, expected, capsys):
    flip(run / "arrays.zarr" / "heads" / "c" / "0" / "0" / "0" / "0", random.Random(0))
    zarr.open_array(run / "arrays.zarr" / "done")[0] = False
    _, arrays = read_all(run)
    assert "arrays.zarr/heads/c/0/0/0/0 is damaged" in capsys.readouterr().err
    for repaired, before in zip(arrays, expected, strict=True):
        xr.testing.assert_identical(repaired, before)


@pytest.mark.parametrize("damage", [lambda path: flip(path, random.Random(1)), Path.unlink])
def test_a_damaged_record_is_told_and_written_again(damage, run, capsys):
    before = Record(run / "run.json").read()
    damage(run / "run.json")
    opened, _ = read_all(run)
    assert "run.json is" in capsys.readouterr().err
    assert len(opened.record["damage"]) == 1
    for entry in ("identity", "images"):
        assert opened.record[entry] == before[entry]


@pytest.mark.parametrize("file", ["tables/01_mine.csv", "figures/01_mine.png"])
def test_a_notebook_whose_table_or_figure_is_damaged_is_executed_again(file, study, capsys):
    data = (study / file).read_bytes()
    flip(study / file, random.Random(0))
    opened = open_run(**GIVEN, out=str(study))
    run_workbook(opened)
    assert file in capsys.readouterr().err
    assert any(file in sentence for sentence in opened.record["damage"])
    assert (study / file).read_bytes() == data
    assert wrong_in(study) == []


@pytest.mark.parametrize("file", ["index.html", "notebooks/01_question.html"])
def test_a_damaged_page_is_told_and_written_again(file, study, capsys):
    flip(study / file, random.Random(0))
    run_workbook(open_run(**GIVEN, out=str(study)))
    assert file in capsys.readouterr().err
    assert wrong_in(study) == []


@pytest.mark.parametrize("more", [(), ("done/zarr.json",)])
def test_arrays_of_unknown_identity_are_not_taken_for_others(run, more):
    for place in ("zarr.json", *more):
        flip(run / "arrays.zarr" / place, random.Random(0))
    with pytest.raises(WorkbookError, match="can't be told any more"):
        open_run(**GIVEN | {"seed": 1}, out=str(run))


def test_what_is_no_array_of_a_run_is_not_removed(tmp_path):
    theirs = tmp_path / "run" / "arrays.zarr" / "mine" / "data.txt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    with pytest.raises(WorkbookError, match="holds files that are no arrays"):
        open_run(**GIVEN, out=str(tmp_path / "run"))
    assert theirs.read_text() == "mine"


def test_metadata_that_are_lost_while_a_run_is_open_are_mended(run, expected):
    opened = open_run(**GIVEN, out=str(run))
    (run / "arrays.zarr" / "zarr.json").unlink()
    xr.testing.assert_identical(opened.scores(), expected[3])


def test_damage_that_comes_again_at_once_is_an_error(run, monkeypatch):
    (run / "arrays.zarr" / "embedding" / "c" / "0" / "0" / "0").unlink()
    opened = open_run(**GIVEN, out=str(run))
    monkeypatch.setattr("helpers.runs.storage.integrity._repair", lambda *_: None)
    with pytest.raises(WorkbookError, match="check the disk"):
        opened.encodings()


def test_verify_says_that_all_agrees(run, capsys):
    assert main(["verify", str(run), "--share", "0.5"]) == 0
    table = capsys.readouterr().out
    assert "All agrees." in table
    assert "2 checked,   0 wrong, to the last bit" in table


def test_verify_finds_values_that_the_images_do_not_give(run, capsys):
    arrays = Arrays(str(run / "arrays.zarr"))
    for rows in ([0, 1], [2, 3]):
        arrays.write(np.array(rows), {"pixel_change": np.full((2, 9), 0.5)})
    assert main(["verify", str(run)]) == FAILED
    assert "has another pixel_change now" in capsys.readouterr().out


def test_verify_allows_for_another_machine(run, monkeypatch):
    monkeypatch.setattr("helpers.runs.verify.circumstances", dict)
    *_, images = verify(run, 0.25)
    assert images.wrong == []
    assert (images.count, images.note) == (1, "within tolerance")


def test_verify_needs_a_run_and_a_share(tmp_path):
    with pytest.raises(WorkbookError, match="There is no run"):
        list(verify(tmp_path, 0.5))
    with pytest.raises(WorkbookError, match="share has no value 0"):
        list(verify(tmp_path, 0))


def test_a_record_says_how_to_repeat_the_run(study):
    record = Record(study / "run.json").read()
    assert list(record["images"]) == [f"scene-20260-{number}" for number in range(4)]
    assert all(len(digest) == 64 for digest in record["images"].values())
    with_what = record["computed_with"][0]
    assert with_what["machine"]["threads"] >= 1 and with_what["machine"]["cpu"]
    assert len(with_what["code"]["helpers"]) == 64
    assert len(record["identity"]["weights"]) == 64


def test_repeat_runs_again_and_says_what_differs(study, tmp_path, capsys):
    assert main(["repeat", str(study), "--out", str(tmp_path / "again")]) == 0
    assert "Nothing differs." in capsys.readouterr().out
    Record(study / "run.json").update(
        computed_with=[
            entry | {"versions": entry["versions"] | {"torch": "0.1"}}
            for entry in Record(study / "run.json").read()["computed_with"]
        ],
        images=Record(study / "run.json").read()["images"] | {"scene-20260-1": "0" * 63 + "1"},
    )
    assert main(["repeat", str(study), "--out", str(tmp_path / "again")]) == 0
    printed = capsys.readouterr().out
    assert "versions: torch was 0.1, is" in printed
    assert "images: 1 have other pixels: scene-20260-1" in printed


def test_repeat_needs_a_run(tmp_path, capsys):
    assert main(["repeat", str(tmp_path)]) == 2
    assert "no run.json" in capsys.readouterr().err


def test_a_seal_is_of_every_byte():
    data = sealed(f'{{"a": 1, "checksum": "{BLANK}", "b": "ä"}}')
    assert is_sealed(data)
    for place in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            assert not is_sealed(bytes(flipped))
    assert not is_sealed(data[:-1]) and not is_sealed(b"")


def test_zeros_of_ones_own_are_no_room_for_a_seal(tmp_path):
    record = Record(tmp_path / "run.json")
    record.update(unreadable={f"{BLANK}.png": "it is empty"})
    assert is_sealed((tmp_path / "run.json").read_bytes())
    assert record.read()["unreadable"] == {f"{BLANK}.png": "it is empty"}


@pytest.mark.parametrize("file", ["tables/01_mine.csv", "figures/01_mine.png"])
@pytest.mark.parametrize("out", ["sent", "sent.html"])
def test_no_report_is_sent_of_what_has_changed_since(file, out, study, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(study, copy)
    assert main(["report", str(copy), "--out", str(tmp_path / out)]) == 0
    with (copy / file).open("ab") as opened:
        opened.write(b"3,4")
    assert main(["report", str(copy), "--out", str(tmp_path / out)]) == BAD_INPUT
    assert f"{file} damaged, missing or unfinished" in capsys.readouterr().err


def parts_of(run):
    """Return what `verify` misses of a run's parts."""
    checks = {check.what: check.wrong for check in verify_files(run.folder)}
    return checks["parts of the run"]


def test_what_is_not_computed_or_was_taken_away_is_missed(parameters):
    run = open_run(**parameters)
    (missing,) = parts_of(run)
    assert missing.endswith(f"0 of {len(run.images)} images are computed")
    run.compute()
    assert parts_of(run) == []
    record = Record(run.folder / RECORD)
    record.update_progress(notebooks={"01_augment": 3.0}, below={"models/other": 2})
    notebook, other = parts_of(run)
    assert notebook.endswith("01_augment.ipynb is missing")
    assert other.endswith("models/other is missing")
    record.update_progress(notebooks={"01_augment": 3.0, "02_embed": None})
    assert parts_of(run)[1].endswith("02_embed.ipynb is unfinished")


def test_a_folder_that_only_holds_runs_below_is_no_run(parameters, tmp_path):
    open_run(**parameters | {"out": str(tmp_path / "some" / "run")})
    with pytest.raises(WorkbookError, match="There is no run in"):
        next(verify(tmp_path / "some", 1.0))
