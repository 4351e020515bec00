"""Runs as tables: compact scores, side by side, gathered; and paths that are left out."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.checks import WorkbookError
from helpers.runs import open_run
from helpers.runs.cli import BAD_INPUT, main
from helpers.runs.record import Record
from helpers.runs.report.comparison import compared, gathered, labels, write_comparison
from helpers.runs.report.redact import shortener
from helpers.runs.report.score_table import decimals, score_table, written
from helpers.runs.stored import StoredRun, find_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of six scenes at other severities, and one of six photographs."""
    from helpers.runs.parameters import from_profile

    folder = tmp_path_factory.mktemp("runs")
    given = {
        "mild": {"images": "scenes:6", "severity": 0.1},
        "strong": {"images": "scenes:6", "severity": 2.0},
        "others": {"images": "photos", "limit": 6},
    }
    for name, values in given.items():
        values |= {"out": str(folder / name), "compare": [], "device": "cpu"}
        open_run(**vars(from_profile("quick", values))).compute()
    return folder


def test_a_stored_run_has_the_scores_of_the_run(parameters):
    run = open_run(**parameters)
    scores = run.scores()
    stored = StoredRun(run.folder)
    assert stored.scores.equals(scores)
    assert stored.title == run.title
    noise = stored.summary.query("augmentation == 'noise' and score == 'l2_distance'")
    assert noise["mean"].item() == pytest.approx(float(scores["l2_distance"][:, 0].mean()))


@pytest.mark.parametrize(
    "low, high, expected",
    [
        (0.39, 0.60, 2),  # half of it is 0.105: two digits
        (0.90, 0.97, 2),  # 0.035: one
        (24.3, 29.9, 1),
        (0, 60, 0),
        (0.99959, 0.99985, 4),
        (1, 1 + 1e-9, 4),
        (1, 1, 2),
        (np.nan, np.nan, 2),
    ],
)
def test_digits_follow_the_interval(low, high, expected):
    assert decimals(low, high) == expected


def test_numbers_are_written_with_their_signs():
    assert written(-0.123, -0.2, 0.1) == "−0.12"
    assert written(0.123, -0.2, 0.1, signed=True) == "+0.12"
    assert written(-0.001, -0.2, 0.1, signed=True) == "0.00"
    assert written(np.nan, np.nan, np.nan) == "–"


def scores(counts):
    rows = [
        {"source": source, "score": "l2_distance", "augmentation": name, "n": n}
        for source, by_change in counts.items()
        for name, n in by_change.items()
    ]
    return pd.DataFrame(rows).assign(mean=1.0, low=0.9, high=1.1)


@pytest.mark.parametrize(
    "counts, caption, titles",
    [
        ({"photos": {"noise": 5, "blur": 5}}, "over 5 images of each source", ["photos"]),
        (
            {"photos": {"noise": 5}, "scenes": {"noise": 9, "blur": 8}},
            "Mean over images,",
            ["photos, 5 images", "scenes, 8 to 9 images"],
        ),
    ],
)
def test_the_number_of_images_is_told_once(counts, caption, titles):
    table = score_table(scores(counts))
    assert caption in table["caption"]
    assert [group["title"] for group in table["groups"]] == titles


def test_a_run_below_another_is_no_run_of_its_own(runs):
    (runs / "mild" / "severities" / "2").mkdir(parents=True, exist_ok=True)
    (runs / "mild" / "severities" / "2" / "run.json").write_text("{}")
    assert [run.name for run in find_runs([runs])] == ["mild", "others", "strong"]
    assert [run.name for run in find_runs([runs / "mild", runs / "mild"])] == ["mild"]


def test_gathered_runs_have_the_parameters_that_differ(runs, tmp_path, capsys):
    assert main(["gather", str(runs), "--out", str(tmp_path / "all.csv")]) == 0
    table = pd.read_csv(tmp_path / "all.csv")
    assert list(table)[:4] == ["run", "images", "limit", "severity"]
    assert len(table) == 3 * 6 * 9  # runs × scores × augmentations
    assert table.groupby("run")["severity"].unique().map(list).to_dict() == {
        "mild": [0.1],
        "others": [1.0],
        "strong": [2.0],
    }
    assert "all.csv" in capsys.readouterr().out


def test_runs_of_one_name_are_told_apart(runs):
    opened = find_runs([runs / "mild", runs / "strong"])
    opened[1].folder = runs / "again" / "mild"
    assert labels(opened) == [f"{runs.name}/mild", "again/mild"]


def test_the_same_images_are_compared_image_by_image(runs):
    first, other = find_runs([runs / "mild", runs / "strong"])
    table = compared([first, other]).query("run == 'strong' and score == 'embedding_similarity'")
    expected = (other.scores - first.scores)["embedding_similarity"].mean("image")
    np.testing.assert_allclose(table["difference"], expected, rtol=1e-12)
    assert table["paired"].all() and (table["shared"] == 6).all()
    assert (table["difference_low"] <= table["difference"]).all()
    noise = table.query("augmentation == 'noise'")
    assert noise["differs"].item() and noise["difference"].item() < 0


def test_other_images_have_nothing_to_be_subtracted(runs):
    table = compared(find_runs([runs / "mild", runs / "others"]))
    assert table["difference"].isna().all()


def test_a_comparison_is_a_page_and_a_table(runs, tmp_path):
    page, table = write_comparison([runs / "mild", runs / "strong"], tmp_path / "both.html")
    assert len(pd.read_csv(table)) == 2 * 6 * 9
    text = page.read_text()
    assert "strong − mild" in text and 'class="differs"' in text
    assert str(runs) not in text


def test_a_single_run_can_not_be_compared(runs, capsys):
    assert main(["compare", str(runs / "mild")]) == BAD_INPUT
    assert "two runs or more" in capsys.readouterr().err


def test_gathering_a_folder_without_runs_is_told(tmp_path):
    with pytest.raises(WorkbookError, match="holds no run"):
        gathered(find_runs([tmp_path]))


PRIVATE = "/home/anna lee/pictures"


@pytest.mark.parametrize(
    "text, expected",
    [
        (f"{PRIVATE}/photos", "…/photos"),
        (f"{PRIVATE}/photos/a/1.jpg", "…/photos/a/1.jpg"),
        (f"file://{PRIVATE}/photos", "file://…/photos"),
        ('"/data/\\"odd\\"/w.pt"', '"…/w.pt"'),
        ("/photos/1.jpg", "…/photos/1.jpg"),
        ("their/photos/1.jpg", "their/photos/1.jpg"),
        (f"{Path.home()}/else", "~/else"),
        ({PRIVATE + "/photos/b.png": ["no path", 1]}, {"…/photos/b.png": ["no path", 1]}),
        ("tcp://host:8786", "tcp://host:8786"),
        ("/elsewhere/7.png", "…/7.png"),
    ],
)
def test_folders_above_what_was_named_are_left_out(text, expected):
    given = {
        "images": [f"{PRIVATE}/photos", "/photos", "photos"],
        "compare": ['ViT-B-32:/data/"odd"/w.pt'],
        "cluster": "tcp://host:8786",
    }
    assert shortener(given, Path("/runs/one"), ["/elsewhere/7.png", "a.png"])(text) == expected


def test_runs_can_be_gathered_again(runs):
    stored = [StoredRun(runs / name) for name in ("mild", "strong")]
    pd.testing.assert_frame_equal(gathered(stored), gathered(stored))


@pytest.mark.parametrize(
    "file", ["done/c/0", "done/zarr.json", "l2_distance/zarr.json", "zarr.json"]
)
def test_damage_is_told_and_not_read_as_fewer_images(file, runs, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(runs / "mild", copy)
    (copy / "arrays.zarr" / file).unlink()
    assert main(["gather", str(copy), "--out", str(tmp_path / "table.csv")]) == BAD_INPUT
    assert f"Arrays in {copy}/arrays.zarr are damaged" in capsys.readouterr().err


def test_images_that_were_edited_since_are_not_compared_one_by_one(runs, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(runs / "mild", copy)
    record = Record(copy / "run.json")
    images = record.read()["images"]
    record.update(images=dict.fromkeys(images, "0" * 64))
    table = compared([StoredRun(runs / "mild"), StoredRun(copy)])
    assert not table.query("run != 'mild'")["paired"].any()


def test_the_parameters_of_another_version_are_told(runs, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(runs / "mild", copy)
    record = Record(copy / "run.json")
    given = record.read()["parameters"]
    record.update(parameters=given | {"colour": "red"})
    with pytest.raises(WorkbookError, match=r"another version of the workbook \(colour"):
        StoredRun(copy).reopened  # noqa: B018


def test_a_run_that_was_moved_is_opened_where_it_is(runs, tmp_path):
    shutil.copytree(runs / "mild", tmp_path / "moved")
    assert StoredRun(tmp_path / "moved").reopened.out == str(tmp_path / "moved")


def test_what_is_sent_names_no_folder_that_the_run_was_in(runs, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(runs / "mild", moved)
    Record(moved / "run.json").update(made_in=["/scratch/anna/outputs/mild", "/scratch/anna/venv"])
    shorten = StoredRun(moved).shorten
    assert shorten("in /scratch/anna/outputs/mild/tables") == "in …/mild/tables"
