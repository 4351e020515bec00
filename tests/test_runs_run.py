import json
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

from helpers.analysis import dissection, scores
from helpers.checks import WorkbookError
from helpers.clip import load
from helpers.data.truth import known_truth
from helpers.runs import open_run, run_from
from helpers.runs.compute.engine import DEVICE_CONFIGS, DeviceConfig, Engine
from helpers.runs.report.report import write_report
from helpers.runs.storage.arrays import Arrays
from helpers.runs.stored import StoredRun


@pytest.fixture
def run(parameters):
    return open_run(**parameters)


def test_a_notebooks_run_is_that_of_its_parameters_cell(run, parameters):
    assert run_from(parameters | {"numpy": np}).identity == run.identity
    with pytest.raises(WorkbookError, match="The parameters seed, layers have no value"):
        run_from({name: parameters[name] for name in parameters if name not in ("seed", "layers")})


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
    of_view = run.scores().sel(image="2.png", augmentation="noise")
    drawn = run.views("2.png")
    encodings = run.encodings().sel(image="2.png")
    maps = scores.attention_map(encodings["attention"].values)
    pairs = {
        "embedding": encodings["embedding"].sel(view=["original", "noise"]).values,
        "attention": maps[:2],
        "pixels": (drawn["original"], drawn["noise"]),
    }
    for name, score in scores.SCORES.items():
        assert of_view[name].item() == pytest.approx(float(score.function(*pairs[score.needs])))


def test_contributions_of_the_originals_sum_to_their_embeddings(run):
    contributions = run.contributions()
    embedding = run.encodings()["embedding"].sel(view="original", drop=True)
    np.testing.assert_allclose(contributions["parts"].sum("part"), embedding, atol=2e-5)
    attention = contributions["parts"].sel(part="L5.attention")
    encoding = run.model.encode(run.views("3.png")["original"][None])
    heads = contributions["heads"].sel(image="3.png", layer=5)
    np.testing.assert_allclose(heads, encoding.heads[0, 5], atol=2e-3)
    with_bias = encoding.heads[0, 5].sum(0) + encoding.rest[0, 6]
    np.testing.assert_allclose(attention.sel(image="3.png"), with_bias, atol=2e-5)


def test_dissection_is_that_of_encodings_of_the_same_views(run):
    dissected = run.dissection().sel(image="2.png")
    views = run.views("2.png")
    before, after = (run.model.encode(views[name][None]) for name in ("original", "noise"))
    expected = dissection.shares(before, after).sel(image=0)
    noise = dissected["shares"].sel(augmentation="noise")
    assert list(noise["component"].values) == list(expected["component"].values)
    np.testing.assert_allclose(noise, expected, atol=1e-4)
    np.testing.assert_allclose(dissected["shares"].sum("component"), 1, atol=1e-5)


def test_patches_and_class_token_share_what_heads_share(run):
    dissected = run.dissection().sel(image="2.png", augmentation="perspective")
    views = run.views("2.png")
    encodings = [run.model.encode(views[name][None], by_token=True) for name in views]
    shift = encodings[7].embedding - encodings[0].embedding
    assert list(views)[7] == "perspective"
    tokens = (encodings[7].tokens - encodings[0].tokens) @ shift[0] / (shift @ shift.T)
    np.testing.assert_allclose(
        dissected["patch_shares"].values.ravel(), tokens[0, 1:].ravel(), atol=1e-4
    )
    heads = [name for name in dissected["component"].values if ".H" in name]
    of_heads = dissected["shares"].sel(component=heads).sum().item()
    assert tokens.sum() == pytest.approx(of_heads, abs=1e-4)


def test_no_shift_has_no_shares_and_no_nan(parameters):
    still = open_run(**parameters | {"severity": 0}).dissection()
    assert (still["shares"] == 0).all()
    assert (still["patch_shares"] == 0).all()


def test_pixel_change_is_the_root_mean_square(run):
    views = run.views("2.png")
    difference = (views["blur"].astype(float) - views["original"]) / 255
    change = run.pixel_change().sel(image="2.png", augmentation="blur").item()
    assert change == pytest.approx(np.sqrt((difference**2).mean()))


def test_texts_are_embedded_once_and_again_for_other_texts(parameters, tmp_path, monkeypatch):
    run = open_run(**parameters)
    first = run.text_embeddings()
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, rtol=1e-5)
    assert first.sizes["text"] == len(run.texts)
    assert set(first["property"].values) == set(run.texts.vocabulary)
    with monkeypatch.context() as patch:
        patch.setattr("helpers.clip.model.Model.encode_text", lambda *_: pytest.fail("again"))
        xr.testing.assert_identical(first, open_run(**parameters).text_embeddings())
    file = tmp_path / "own.txt"
    file.write_text("a red circle\na blue square\n")
    other = open_run(**parameters | {"texts": str(file)}).text_embeddings()
    assert list(other["text"].values) == ["a red circle", "a blue square"]
    assert list(other["property"].values) == ["", ""]
    assert list(other["value"].values) == ["a red circle", "a blue square"]


def test_texts_without_a_property_get_that_of_the_nearest_of_the_own_pool(parameters, tmp_path):
    file = tmp_path / "own.csv"
    file.write_text("text,property\na blue object,\nan object at the top,\na red circle,mine\n")
    named = open_run(**parameters | {"texts": str(file)}).named_texts()
    assert list(named["property"].values) == ["colour", "position", "mine"]


def test_texts_that_are_missing_are_told_when_the_run_is_opened(parameters):
    with pytest.raises(WorkbookError, match=r"nowhere\.txt"):
        open_run(**parameters | {"texts": "nowhere.txt"})


def test_a_variant_is_the_run_of_other_parameters_below_this_one(run):
    stronger = run.variant("severities/2", severity=2.0)
    assert stronger.folder == run.folder / "severities/2"
    assert stronger.images.ids == run.images.ids
    assert run.variant("severities/1", severity=1.0) is run
    same = run.encodings()["embedding"].sel(view="original")
    xr.testing.assert_allclose(same, stronger.encodings()["embedding"].sel(view="original"))


def test_a_variant_of_the_same_model_loads_it_no_second_time(run):
    assert run.variant("severities/2", severity=2.0).model is run.model
    assert run.variant("models/0", pretrained="0").model is not run.model


def test_a_url_keeps_the_arrays_of_a_run_and_its_variants(parameters, tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.runs.paths.OUTPUTS", tmp_path / "outputs")
    far = open_run(**parameters | {"out": f"memory://{tmp_path.name}/far"})
    assert far.folder == tmp_path / "outputs" / tmp_path.name / "far"
    xr.testing.assert_identical(far.scores(), open_run(**parameters).scores())
    stronger = far.variant("severities/2", severity=2.0)
    assert stronger.parameters.out == f"memory://{tmp_path.name}/far/severities/2"
    assert stronger.folder == far.folder / "severities" / "2"
    assert not list(far.folder.glob("**/*.zarr"))


def test_batches_and_workers_do_not_change_results(parameters, tmp_path):
    alone = parameters | {"batch_size": 1, "workers": 1, "out": str(tmp_path / "alone")}
    together = parameters | {"batch_size": 32, "workers": 2, "out": str(tmp_path / "together")}
    xr.testing.assert_allclose(
        open_run(**alone).scores(), open_run(**together).scores(), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("images_per_pass", [1, 3])
def test_results_are_the_same_to_the_last_bit_for_any_batch_size(
    images_per_pass, parameters, tmp_path, monkeypatch
):
    config = DeviceConfig(images_per_pass, processes=0, scores=False)
    monkeypatch.setitem(DEVICE_CONFIGS, "cpu", config)
    runs = [
        open_run(**parameters | {"batch_size": size, "out": str(tmp_path / str(size))})
        for size in (1, 5, 32)
    ]
    for kept in ("scores", "encodings", "contributions", "dissection"):
        first, *others = [getattr(run, kept)() for run in runs]
        for other in others:
            xr.testing.assert_identical(first, other)


def test_auto_is_float32_as_long_as_bfloat16_moves_scores_beyond_the_bound(parameters, tmp_path):
    """It may be bfloat16 where no score moves by more than 0.001."""
    bound = 1e-3
    exact = open_run(**parameters)
    given = {"precision": "bfloat16", "out": str(tmp_path / "coarse")}
    change = abs(open_run(**parameters | given).scores() - exact.scores()).max()
    moved = {name for name, largest in change.items() if largest > bound}
    assert exact.identity["precision"] == ("float32" if moved else "bfloat16")
    assert "l2_distance" in moved
    by_pixels = [name for name, row in scores.SCORES.items() if row.needs == "pixels"]
    assert all(change[name] == 0 for name in by_pixels)
    assert change["attention_similarity"] < 0.05
    assert change["embedding_similarity"] < 0.05


def test_unreadable_images_are_told_and_in_no_n(run):
    assert "-broken.png" not in run.scores()["image"]
    assert list(run.unreadable["image"]) == ["-broken.png"]
    assert run.record["unreadable"].keys() == {"-broken.png"}
    assert run.encodings().sizes["image"] == 6


def test_metadata_are_coordinates_and_what_is_left_out_is_recorded(
    parameters, folder_of_images, tmp_path
):
    (folder_of_images / "metadata.csv").write_text(
        "file_name,class,text\n0.png,red,a\n1.png,blue,b\n"
    )
    (folder_of_images / "clip.mp4").write_bytes(b"x")
    run = open_run(**parameters)
    for values in (run.scores(), run.encodings(), StoredRun(run.folder).scores):
        assert values["image_label"].sel(image=["0.png", "1.png", "2.png"]).values.tolist() == [
            "red",
            "blue",
            "",
        ]
    assert known_truth(run.images)["label"].tolist() == ["", "red", "blue", "", "", "", ""]
    assert run.record["left_out"] == {".mp4": [1, "clip.mp4"]}
    page = write_report(run.folder).read_text()
    assert "<li>1 × .mp4, the first clip.mp4</li>" in page


def test_nothing_is_computed_twice(run, parameters, monkeypatch):
    run.scores()
    monkeypatch.setattr(Engine, "fill", lambda *_: pytest.fail("computed again"))
    again = open_run(**parameters)
    xr.testing.assert_identical(again.scores(), run.scores())
    for kept in ("encodings", "contributions", "dissection", "pixel_change"):
        assert getattr(again, kept)().sizes["image"] == 6


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
    published = Figure()
    run.save_figure(published, "published", source="labels by Intel Labs")
    assert [text.get_text() for text in published.texts] == ["labels by Intel Labs"]


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
    monkeypatch.setattr("helpers.runs.paths.OUTPUTS", tmp_path / "outputs")
    first = open_run(**parameters | {"out": None})
    second = open_run(**parameters | {"out": None, "seed": 1})
    faster = open_run(**parameters | {"out": None, "batch_size": 7, "workers": 1})
    assert first.folder != second.folder
    assert first.folder == faster.folder
    assert first.folder.name.startswith("run-")


def test_other_texts_or_compared_models_get_a_folder_of_their_own(
    parameters, tmp_path, monkeypatch
):
    monkeypatch.setattr("helpers.runs.paths.OUTPUTS", tmp_path / "outputs")
    changes = [{}, {"texts": "general"}, {"compare": []}]
    folders = {open_run(**parameters | {"out": None} | change).folder for change in changes}
    assert len(folders) == 3


def test_a_killed_run_goes_on_where_it_was(parameters, tmp_path):
    undisturbed = open_run(**parameters | {"images": "scenes:24", "out": str(tmp_path / "whole")})
    expected = undisturbed.encodings()
    given = parameters | {"images": "scenes:24", "out": str(tmp_path / "killed")}
    kill_in_the_middle(given)
    path = tmp_path / "killed" / "arrays.zarr"
    done = Arrays(str(path)).done().sum() if path.exists() else 0
    assert 0 < done < 24
    again = open_run(**given)
    xr.testing.assert_identical(again.encodings(), expected)
    assert again.timings["encode"]["images"] <= 24 + given["batch_size"]


def kill_in_the_middle(parameters):
    script = f"from helpers.runs import open_run; open_run(**{parameters!r}).encodings()"
    process = subprocess.Popen([sys.executable, "-c", script])
    record = Path(parameters["out"]) / "run.json"
    while process.poll() is None and not (record.exists() and "encode" in record.read_text()):
        time.sleep(0.005)
    time.sleep(random.Random(0).random() * 0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
