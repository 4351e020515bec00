import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from helpers.analysis import scores
from helpers.checks import WorkbookError
from helpers.clip import load
from helpers.study import open_run
from helpers.study.arrays import Arrays
from helpers.study.steps import STEPS


@pytest.fixture
def run(parameters):
    return open_run(**parameters)


def test_encodings_are_those_of_the_model(run, parameters):
    encodings = run.encodings()
    drawn = run.views("3.png")
    expected = load("embedded", device="cpu").encode(np.stack(list(drawn.values())))
    embedding = encodings["embedding"].sel(image="3.png")
    assert list(encodings["view"].values) == list(drawn)
    np.testing.assert_allclose(embedding, expected.embedding, rtol=1e-4, atol=1e-5)
    attention = encodings["attention"].sel(image="3.png")
    np.testing.assert_allclose(attention, expected.attention, rtol=1e-4, atol=1e-6)


def test_scores_are_of_the_same_views(run):
    found = run.scores().sel(image="2.png", augmentation="noise")
    drawn = run.views("2.png")
    encodings = run.encodings().sel(image="2.png")
    maps = scores.attention_map(encodings["attention"].values)
    pairs = {
        "embedding": encodings["embedding"].sel(view=["original", "noise"]).values,
        "attention": maps[:2],
        "pixels": (drawn["original"], drawn["noise"]),
    }
    for name, score in scores.SCORES.items():
        assert found[name].item() == pytest.approx(float(score.function(*pairs[score.needs])))


def test_batches_and_workers_do_not_change_results(parameters, tmp_path):
    alone = parameters | {"batch_size": 1, "workers": 1, "out": str(tmp_path / "alone")}
    together = parameters | {"batch_size": 32, "workers": 2, "out": str(tmp_path / "together")}
    xr.testing.assert_allclose(
        open_run(**alone).scores(), open_run(**together).scores(), rtol=1e-6, atol=1e-6
    )


def test_unreadable_images_are_told_and_in_no_n(run):
    assert "-broken.png" not in run.scores()["image"]
    assert list(run.unreadable["image"]) == ["-broken.png"]
    assert run.record["unreadable"].keys() == {"-broken.png"}
    assert run.encodings().sizes["image"] == 6


def test_nothing_is_computed_twice(run, parameters, monkeypatch):
    run.scores()
    for name, step in STEPS.items():
        monkeypatch.setitem(STEPS, name, replaced_compute(step))
    again = open_run(**parameters)
    xr.testing.assert_identical(again.scores(), run.scores())


def replaced_compute(step):
    from dataclasses import replace

    return replace(step, compute=lambda *_: pytest.fail(f"{step.name} was computed again"))


def test_other_parameters_in_one_folder_are_refused(run, parameters):
    with pytest.raises(WorkbookError, match="seed 0 there, 1 here"):
        open_run(**parameters | {"seed": 1})


def test_a_changed_image_is_another_run(run, parameters, folder_of_images):
    (folder_of_images / "0.png").write_bytes((folder_of_images / "1.png").read_bytes() + b" ")
    with pytest.raises(WorkbookError, match="images"):
        open_run(**parameters)


def test_two_runs_may_open_one_folder_at_once(parameters):
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: open_run(**parameters), range(4)))
        first, *others = pool.map(lambda run: run.encodings(), runs)
    for other in others:
        xr.testing.assert_identical(first, other)
    assert runs[0].timings["encode"]["images"] == 6


def test_a_figure_is_signed_with_the_model(run):
    figure = Figure()
    run.save_figure(figure, "empty")
    assert [text.get_text() for text in figure.texts] == ["embedded model"]
    assert (run.folder / "figures" / "empty.png").exists()


def test_all_images_unreadable_is_an_error(parameters, folder_of_images):
    for path in folder_of_images.glob("?.png"):
        path.write_bytes(b"")
    with pytest.raises(WorkbookError, match="None of the 7 images could be read"):
        open_run(**parameters)
    assert not Path(parameters["out"]).exists()


def test_record_says_what_was_run(run):
    run.scores()
    record = json.loads((run.folder / "run.json").read_text())
    assert record["parameters"]["model"] == "embedded"
    assert record["identity"]["precision"] == "float32"
    assert record["timings"]["score"]["images"] == 6
    assert record["versions"].keys() >= {"torch", "albumentations"}


def test_default_folder_is_the_profiles_or_the_parameters_own(parameters, tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.study.run.OUTPUTS", tmp_path / "outputs")
    first = open_run(**parameters | {"out": None})
    second = open_run(**parameters | {"out": None, "seed": 1})
    faster = open_run(**parameters | {"out": None, "batch_size": 7, "workers": 1})
    assert first.folder != second.folder
    assert first.folder == faster.folder
    assert first.folder.name.startswith("run-")


def test_a_killed_run_goes_on_where_it_was(parameters, tmp_path):
    undisturbed = open_run(**parameters | {"images": "scenes:24", "out": str(tmp_path / "whole")})
    expected = undisturbed.encodings()
    given = parameters | {"images": "scenes:24", "out": str(tmp_path / "killed")}
    kill_in_the_middle(given)
    path = tmp_path / "killed" / "arrays.zarr"
    done = Arrays.done(open_run(**given)._arrays, "encode").sum() if path.exists() else 0
    assert 0 < done < 24
    again = open_run(**given)
    xr.testing.assert_allclose(again.encodings(), expected, rtol=1e-6, atol=1e-6)
    assert again.timings["encode"]["images"] <= 24 + given["batch_size"]


def kill_in_the_middle(parameters):
    script = f"from helpers.study import open_run; open_run(**{parameters!r}).encodings()"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment)
    record = Path(parameters["out"]) / "run.json"
    while process.poll() is None and not (record.exists() and "encode" in record.read_text()):
        time.sleep(0.005)
    time.sleep(random.Random(0).random() * 0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
