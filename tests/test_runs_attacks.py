"""Runs with attacks: views that need the model are drawn once, and kept with the run."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import extend
from helpers.checks import WorkbookError
from helpers.data import CHANGES
from helpers.runs import open_run
from helpers.runs.compute import engine
from helpers.runs.identity import CLASSES
from helpers.runs.parameters import from_profile
from helpers.runs.verify import verify, verify_files
from tests.registries import left_alone

MINE = """
import numpy as np
from helpers.extend import change


@change(severity="grey levels of a push along the mean embedding", needs="model")
def pushed(pixels, severity, rng, model):
    sign = 1 if model.encode(pixels[None]).embedding.mean() > 0 else -1
    return (pixels.astype(int) + sign * int(10 * severity)).clip(0, 255).astype(np.uint8)


@change(severity="lines of captions", needs="subject")
def captioned(pixels, severity, rng, subject):
    pixels[: 10 * len(subject.wrong_words[0])] = 0
    return pixels
"""


@pytest.fixture(scope="module", autouse=True)
def few_steps():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("helpers.clip.gradients.STEPS", 3)
        yield


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    pixels = np.random.default_rng(1).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    place = tmp_path_factory.mktemp("attacked")
    for number, tile in enumerate(pixels):
        folder = place / "images" / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(tile.repeat(12, 0).repeat(10, 1)).save(folder / f"{number}.png")
    overrides = {
        "images": str(place / "images"),
        "changes": ["adversarial", "blur", "typographic"],
        "severity": 2.0,
        "compare": [],
        "batch_size": 2,
    }
    return {**vars(from_profile("quick", overrides)), "out": str(place / "run")}


@pytest.fixture(scope="module")
def run(given):
    run = open_run(**given)
    run.compute()
    return run


def no_model(*_, **__):
    raise AssertionError("the model was asked")


def test_a_notebook_reads_the_views_that_were_encoded(run, given, monkeypatch):
    kept = sorted(Path(run.folder, "views").iterdir())
    assert [path.suffix for path in kept] == [".npz"] * 4
    embeddings, encode = run.encodings("embedding")["embedding"], run.model.encode
    monkeypatch.setattr(engine.Engine, "model", property(no_model))
    again = open_run(**given)
    for image in again.images.ids:
        views = again.views(image)
        assert list(views) == list(run.view_names)
        assert np.abs(views["adversarial"].astype(int) - views["original"]).max() == 2
        encoded = encode(np.stack(list(views.values()))).embedding
        np.testing.assert_allclose(embeddings.sel(image=image), encoded, rtol=1e-3, atol=1e-4)


def test_other_threads_and_a_resumed_run_read_the_same_pixels(run, given, tmp_path):
    out = tmp_path / "resumed"
    shutil.copytree(run.folder / "views", out / "views")
    before = {path.name: path.read_bytes() for path in (out / "views").iterdir()}
    resumed = open_run(**given | {"out": str(out), "workers": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("helpers.clip.gradients.adversarial", no_model)
        resumed.compute()
    assert {path.name: path.read_bytes() for path in (out / "views").iterdir()} == before


def test_a_second_run_draws_the_same_pixels(run, given, tmp_path):
    image = run.images.ids[0]
    second = open_run(**given | {"out": str(tmp_path / "second"), "limit": None})
    np.testing.assert_array_equal(
        *(each.views(image, ["adversarial"])["adversarial"] for each in (run, second))
    )


def test_another_severity_is_another_view(run):
    image = run.images.ids[0]
    weak = run.views(image, ["adversarial"], severity=1.0)["adversarial"].astype(int)
    assert np.abs(weak - run.views(image)["original"]).max() == 1


def test_a_damaged_view_is_reported_and_drawn_again(run, given, tmp_path, monkeypatch):
    out = tmp_path / "damaged"
    shutil.copytree(run.folder / "views", out / "views")
    other = open_run(**given | {"out": str(out)})
    expected = {image: run.views(image)["adversarial"] for image in run.images.ids}
    for path in (out / "views").iterdir():
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 255
        path.write_bytes(data)
    reported, checks = [], verify_files(other.folder)
    damaged = [check.wrong for check in checks if check.what == "views"]
    assert len(damaged[0]) == len(list((out / "views").iterdir()))
    monkeypatch.setattr(other._store.drawn_views, "_report", reported.append)
    for image, view in expected.items():
        np.testing.assert_array_equal(other.views(image)["adversarial"], view)
    assert len(reported) == 4
    assert "damaged or unfinished; that view is drawn again" in reported[0]


def test_the_views_that_were_drawn_are_verified(run):
    assert all(not check.wrong for check in verify(run.folder, share=1.0))


def test_images_whose_views_are_not_kept_are_not_computed_again(run, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(run.folder, moved)
    _, *others = sorted((moved / "views").iterdir())
    for path in others:
        path.unlink()
    (again,) = [
        check for check in verify(moved, share=1.0) if check.what == "images computed again"
    ]
    assert not again.wrong
    assert again.count == 1
    assert again.note.endswith("3 left out, as views that the model drew of them are not kept")


def test_the_words_are_the_runs_classes(run, given):
    assert run.identity[CLASSES] == ["cat", "dog"]
    assert run.subject(run.images.ids[0]).wrong_words == ("dog",)
    plain = open_run(**given | {"changes": ["blur"], "out": str(run.folder / "plain")})
    assert CLASSES not in plain.identity


def test_a_cluster_can_t_draw_what_needs_the_model(given):
    with pytest.raises(WorkbookError, match=r"'adversarial' needs the model.*leave out cluster"):
        open_run(**given | {"cluster": "local:2"})


def test_changes_of_ones_own_may_need_model_or_subject(given, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    mine = {"changes": ["pushed", "captioned"], "extend": str(file), "severity": 1.0}
    with left_alone():
        run = open_run(**given | mine | {"out": str(tmp_path / "mine")})
        run.compute()
        assert CHANGES["pushed"].needs == "model"
        for image in run.images.ids:
            views = run.views(image)
            moved = views["pushed"].astype(int) - views["original"]
            assert set(np.unique(np.abs(moved))) <= set(range(11))
            assert (views["captioned"][:30] == 0).all()
        assert len(list((run.folder / "views").iterdir())) == len(run.images)
        with pytest.raises(WorkbookError, match="needs has no value 'weights'"):
            extend.change(severity="none", needs="weights")


def test_processes_that_draw_ahead_leave_what_needs_the_model(run, given, tmp_path, monkeypatch):
    config = engine.DeviceConfig(images=1, processes=1, scores=False)
    monkeypatch.setattr(engine, "DEVICE_CONFIGS", {"cpu": config})
    ahead = open_run(**given | {"out": str(tmp_path / "ahead")})
    np.testing.assert_allclose(
        ahead.encodings("embedding")["embedding"],
        run.encodings("embedding")["embedding"],
        rtol=1e-3,
        atol=1e-3,
    )
