"""Zero-shot answers: classes of labelled images, and what is answered at every depth."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

from helpers.analysis.flips import before_after, crossed
from helpers.analysis.predictions import answered, ensembles
from helpers.analysis.severity import MEAN, accuracy_by_severity, corruption_errors
from helpers.checks import WorkbookError
from helpers.data.scenes import scene
from helpers.data.texts.templates import TEMPLATES, class_texts, templates_of
from helpers.runs.derived import zero_shot
from helpers.runs.run import open_run

SHAPES = ("circle", "square", "star")


@pytest.fixture
def folder_of_classes(tmp_path):
    """Drawn scenes of one object, in a folder for each shape."""
    folder, drawn = tmp_path / "shapes", dict.fromkeys(SHAPES, 0)
    for number in range(200):
        image = scene(number, count="one")
        shape = image.attributes["shape"].iloc[0]
        if drawn.get(shape, 9) < 4:
            drawn[shape] += 1
            (folder / shape).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.pixels).save(folder / shape / f"{number}.png")
    assert set(drawn.values()) == {4}
    return folder


@pytest.fixture
def run(parameters, folder_of_classes):
    given = {"images": str(folder_of_classes), "model": "embedded-clip", "compare": []}
    return open_run(**parameters | given)


def test_folders_are_classes_and_the_model_finds_them(run):
    assert zero_shot.are_labelled(run)
    assert zero_shot.classes_of(run) == list(SHAPES)
    classes = zero_shot.embedded_classes(run)
    answered = zero_shot.class_answers(run, classes)
    assert answered.sizes == {"image": 12, "view": 10, "property": 1}
    true = [name.split("/")[-2] for name in answered["image"].values]
    for view in run.view_names:
        answers = answered["answer"].sel(view=view, property="label").values
        right = answered["right"].sel(view=view, property="label").values
        assert np.array_equal(right, answers == true)
    assert answered["right"].sel(view="original").mean() > 0.9
    assert answered["chance"].item() == pytest.approx(1 / 3)


def test_answers_are_those_of_a_plain_loop(run):
    classes = zero_shot.embedded_classes(run, "a picture of a {}")
    answers = zero_shot.class_answers(run, classes)["answer"]
    texts = run.model.encode_text([f"a picture of a {name}" for name in SHAPES])
    for image, view in (("first", "noise"), ("last", "blur")):
        name = answers["image"].values[{"first": 0, "last": -1}[image]]
        (embedding,) = run.model.encode(run.views(name)[view][None]).embedding
        cosines = [text @ embedding / np.linalg.norm(text) for text in texts]
        assert answers.sel(image=name, view=view).item() == SHAPES[int(np.argmax(cosines))]


def test_severities_are_those_asked_for(run):
    right = zero_shot.right_by_severity(run, severities=(0.5, 1.0))
    assert right.dims == ("severity", "image", "view")
    original = right.sel(view="original")
    assert np.array_equal(original.sel(severity=0.5), original.sel(severity=1.0))
    at_one = zero_shot.class_answers(run, zero_shot.embedded_classes(run))["right"].isel(property=0)
    assert np.array_equal(right.sel(severity=1.0), at_one)


def test_images_without_classes_have_none(parameters):
    run = open_run(**parameters)
    assert zero_shot.classes_of(run) == []
    assert not zero_shot.are_labelled(run)


def test_ensembles_are_those_that_people_use():
    assert [len(write()) for write in TEMPLATES.values()] == [80, 7, 1, 2]
    assert "a photo of a {}." in templates_of("imagenet")
    texts = class_texts(["red_fox", "owl"], ("{}", "a picture of a {}"))
    assert texts.texts == ("red fox", "a picture of a red fox", "owl", "a picture of a owl")
    assert texts.values == ("red_fox", "red_fox", "owl", "owl")


@pytest.mark.parametrize("given", ["imagenets", [], ["a photo"], ["{} and {}"]])
def test_templates_that_are_none_are_refused(given):
    with pytest.raises(WorkbookError, match="templates"):
        templates_of(given)


def _answers(rng, accuracy):
    views = ["original", "noise", "blur", "flip"]
    values = rng.random((5, 300, 4)) < np.array(accuracy)
    values[:, :, 0] = values[0, :, 0]
    axes = {"severity": range(1, 6), "image": range(300), "view": views}
    return xr.DataArray(values.astype(float), axes, list(axes))


def test_corruption_errors_are_those_of_the_published_formula():
    rng = np.random.default_rng(0)
    tested, reference = _answers(rng, [0.9, 0.5, 0.7, 0.85]), _answers(rng, [0.8, 0.4, 0.5, 0.6])
    table = corruption_errors(tested, reference)
    errors = []
    for values in (tested, reference):
        rows = pd.DataFrame(1 - values.mean("image").values, columns=list(values["view"].values))
        errors.append(rows)
    published = {}
    for change in ("noise", "blur", "flip"):
        ce = errors[0][change].sum() / errors[1][change].sum()
        beyond = [(rows[change] - rows["original"]).sum() for rows in errors]
        published[change] = (ce, beyond[0] / beyond[1])
    for change, (ce, relative) in published.items():
        assert table.loc[change, "ce"] == pytest.approx(ce)
        assert table.loc[change, "relative"] == pytest.approx(relative)
        assert table.loc[change, "ce_low"] < ce < table.loc[change, "ce_high"]
    assert table.loc[MEAN, "ce"] == pytest.approx(np.mean([ce for ce, _ in published.values()]))
    same = corruption_errors(tested, tested)
    assert (same.loc[:, ["ce", "ce_low", "ce_high", "relative"]] == 1).all(axis=None)


def test_errors_that_a_reference_does_not_make_are_no_measure():
    rng = np.random.default_rng(0)
    tested, perfect = _answers(rng, [0.9, 0.5, 0.7, 0.85]), _answers(rng, [1, 1, 0.5, 1])
    table = corruption_errors(tested, perfect)
    assert table["ce"].isna().tolist() == [True, False, True, False]
    with pytest.raises(WorkbookError, match="'image'"):
        corruption_errors(tested, perfect.isel(image=slice(9)))


def test_a_model_without_texts_classifies_nothing():
    silent = SimpleNamespace(capabilities=SimpleNamespace(texts=False))
    assert not zero_shot.are_labelled(silent)


def test_accuracy_by_severity_is_a_mean_over_images():
    right = _answers(np.random.default_rng(0), [0.9, 0.5, 0.7, 0.85])
    table = accuracy_by_severity(right).set_index(["severity", "augmentation"])
    assert len(table) == 15
    row = table.loc[2, "noise"]
    at_two = right.sel(severity=2)
    assert row["mean"] == pytest.approx(at_two.sel(view="noise").mean().item())
    assert row["lost"] == pytest.approx(
        (at_two.sel(view="original") - at_two.sel(view="noise")).mean()
    )
    assert row["low"] < row["mean"] < row["high"]


def test_answers_before_and_after_are_crossed():
    views = ["original", "noise"]
    answers = [["a", "a"], ["a", "b"], ["b", "b"], ["a", "b"], ["c", "b"]]
    axes = {"image": range(5), "view": views, "property": ["label"]}
    array = xr.DataArray(np.array(answers, object)[..., None], axes, list(axes))
    table = crossed(before_after(array), "noise", 9)
    assert table.to_numpy().tolist() == [[1, 2, 0], [0, 1, 0], [0, 1, 0]]
    assert list(crossed(before_after(array), "noise", 2)) == ["a", "b"]


def test_depths_are_those_of_the_encoding_and_end_in_the_embedding(parameters):
    run = open_run(**parameters | {"images": "scenes:3"})
    ids = run.images.ids[1:]
    depths = zero_shot.read_at_every_depth(run, ids)
    assert list(depths["image"].values) == ids
    assert list(depths["depth"].values) == ["start", *"012345"]
    embedding = run.encodings()["embedding"].sel(image=ids)
    np.testing.assert_allclose(depths.sel(depth="5"), embedding, atol=2e-5)
    start = depths.sel(depth="start").values
    np.testing.assert_allclose(start, np.broadcast_to(start[0, 0], start.shape), atol=1e-6)


def test_answers_at_depths_are_kept_and_end_in_those_of_the_embedding(parameters, monkeypatch):
    monkeypatch.setattr(zero_shot, "MOST_AT_EVERY_DEPTH", 2)
    run = open_run(**parameters | {"images": "scenes:3"})
    texts = ensembles(run.text_embeddings())
    answers = zero_shot.answers_at_every_depth(run, texts)
    assert list(answers["image"].values) == [run.images.ids[0], run.images.ids[2]]
    assert set(answers["source"].values) == {"scenes"}
    of_embeddings = answered(run.encodings()["embedding"].sel(image=answers["image"].values), texts)
    assert (answers.sel(depth="5", drop=True) == of_embeddings).all()
    # It would be called for what is not kept.
    monkeypatch.setattr(zero_shot, "read_at_every_depth", None)
    assert (zero_shot.answers_at_every_depth(run, texts) == answers).all()
