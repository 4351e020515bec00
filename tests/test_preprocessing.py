"""How images are brought to the size of views, by the study's way and by models' own."""

import json

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from skimage import data
from transformers import CLIPImageProcessor, SiglipImageProcessor

from helpers.checks import WorkbookError
from helpers.clip import huggingface, load
from helpers.data import CHANGES, SETS, SIZE, STUDY_PREPROCESSING, Preprocessing, geometry, views
from helpers.data.change import OF_PIXELS, SCALED
from helpers.runs.run import open_run

SIDE = 336
TOWER = {"image_size": SIDE, "layers": 2, "width": 64, "patch_size": 48, "head_width": 32}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1}
WIDE = data.chelsea()  # 300 × 451
TALL = np.ascontiguousarray(np.rot90(WIDE))
ALL = [n for names in SETS.values() for n in names if CHANGES[n].needs != "model"]


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    """The folder of a small CLIP that reads 336 × 336 pixels."""
    folder = tmp_path_factory.mktemp("tower")
    config = {"embed_dim": 48, "vision_cfg": TOWER, "text_cfg": TEXT}
    said = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}
    written = {"model_cfg": config, "preprocess_cfg": said | {"resize_mode": "shortest"}}
    (folder / "open_clip_config.json").write_text(json.dumps(written))
    torch.manual_seed(0)
    model = open_clip.model.CLIP(48, TOWER, TEXT)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture
def run_of(parameters, tower, tmp_path):
    """Open a run of a photograph that isn't square through the tower."""
    folder = tmp_path / "cats"
    folder.mkdir()
    Image.fromarray(WIDE).save(folder / "wide.png")
    Image.fromarray(TALL).save(folder / "tall.png")

    def opened(way):
        given = {"model": str(tower), "images": str(folder), "preprocessing": way, "compare": []}
        return open_run(**parameters | given | {"out": str(tmp_path / f"run-{way}")})

    return opened


@pytest.mark.parametrize("pixels", [WIDE, TALL, WIDE[:100, :90]])
@pytest.mark.parametrize("mode", ["squash", "shortest", "longest"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_pixels_are_those_of_open_clip(pixels, mode, interpolation):
    theirs = open_clip.transform.image_transform(
        SIDE, False, (0, 0, 0), (1, 1, 1), mode, interpolation
    )(Image.fromarray(pixels))
    ours = Preprocessing((SIDE, SIDE), mode, interpolation)(pixels)
    assert np.array_equal(ours, np.rint(255 * theirs.numpy()).transpose(1, 2, 0))


@pytest.mark.parametrize(
    "kind, processor",
    [
        ("clip", CLIPImageProcessor()),
        ("clip", CLIPImageProcessor(size={"shortest_edge": 256}, resample=2)),
        ("siglip", SiglipImageProcessor()),
    ],
)
@pytest.mark.parametrize("pixels", [WIDE, TALL])
def test_pixels_are_those_of_transformers(kind, processor, pixels, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    processor.save_pretrained(tmp_path)
    ours = Preprocessing((SIZE, SIZE), **huggingface.resizing(tmp_path))(pixels)
    options = {"do_rescale": False, "do_normalize": False, "return_tensors": "np"}
    theirs = processor(Image.fromarray(pixels), **options)["pixel_values"][0]
    # It resizes tensors, which rounds otherwise than Pillow; a crop a pixel aside differs more.
    difference = np.abs(ours - theirs.transpose(1, 2, 0).astype(float))
    assert difference.max() <= 2
    assert difference.mean() < 0.25


def test_a_folder_that_says_nothing_of_its_images_is_read_as_its_family(tmp_path):
    for kind, mode in (("clip", "shortest"), ("siglip", "squash")):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
        assert huggingface.resizing(tmp_path) == {
            "mode": mode,
            "interpolation": "bicubic",
            "edge": None,
        }


def test_the_study_squashes_to_224():
    assert STUDY_PREPROCESSING(TALL).shape == (SIZE, SIZE, 3)
    assert str(STUDY_PREPROCESSING) == "squashed to 224 × 224, bilinear without antialiasing"


def test_an_unknown_way_is_refused():
    with pytest.raises(WorkbookError, match="squash"):
        Preprocessing((SIZE, SIZE), "squeeze", "bicubic")
    with pytest.raises(WorkbookError, match="bicubic"):
        Preprocessing((SIZE, SIZE), "squash", "cubic")


@pytest.mark.parametrize("size", [(SIDE, SIDE), (160, 240)])
def test_every_change_is_made_at_the_size_of_the_view(size):
    to = Preprocessing(size, "shortest", "bicubic")
    drawn = views(WIDE, "cat", changes=ALL, preprocessing=to)
    assert {view.shape for view in drawn.values()} == {(*size, 3)}
    original = drawn.pop("original")
    assert all((view != original).any() for view in drawn.values())


@pytest.mark.parametrize("name", [name for name in ALL if CHANGES[name].at_other_sizes])
def test_lengths_in_pixels_grow_with_the_view_or_not_as_the_row_says(name):
    # The same image with each pixel as four, which a change that is scaled treats alike.
    small = np.ascontiguousarray(WIDE[38 : 38 + SIZE, 100 : 100 + SIZE])
    large = small.repeat(2, 0).repeat(2, 1)
    drawn = [_change_of(pixels, name) for pixels in (small, large)]
    likeness = np.corrcoef(drawn[0].ravel(), _halved(drawn[1]).ravel())[0, 1]
    if CHANGES[name].at_other_sizes == OF_PIXELS:
        assert likeness < 0.9
    elif name in PLACED_ANEW:
        assert _halved(drawn[1]).std() == pytest.approx(drawn[0].std(), rel=0.35)
    else:
        assert likeness > 0.9


PLACED_ANEW = ("coarse_dropout", "glass_blur", "snow")
"""Changes that are drawn pixel by pixel, or place by place: as strong, and elsewhere."""


def _change_of(pixels, name):
    size = pixels.shape[:2]
    to = Preprocessing(size, "squash", "nearest")
    drawn = views(pixels, "cat", severity=1.0, changes=[name], preprocessing=to)
    return drawn[name].astype(float) - pixels


def _halved(values):
    height, width, colours = values.shape
    return values.reshape(height // 2, 2, width // 2, 2, colours).mean(axis=(1, 3))


def test_rows_say_what_becomes_of_lengths():
    found = {CHANGES[name].at_other_sizes for name in ALL}
    assert found == {"", SCALED, OF_PIXELS}


def test_origins_are_those_of_views_of_another_size():
    size = (SIDE, SIDE)
    to = Preprocessing(size, "squash", "bicubic")
    drawn = views(WIDE, "cat", changes=geometry.GEOMETRIC, preprocessing=to)
    for name in geometry.GEOMETRIC:
        origin = geometry.origins(name, "cat", shape=size)
        moved = geometry.moved_as(drawn["original"], origin)
        known = ~np.isnan(moved)
        assert np.abs(moved - drawn[name])[known].mean() < 1.5


def test_a_run_sees_images_as_its_model_does(run_of):
    run = run_of(None)
    assert run.preprocessing == Preprocessing((SIDE, SIDE), "shortest", "bicubic")
    own = run.views("wide.png")
    assert own["noise"].shape == (SIDE, SIDE, 3)
    clip, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{run.parameters.model}")
    pixels = preprocess(Image.fromarray(WIDE))[None]
    with torch.inference_mode():
        theirs = clip.eval().encode_image(pixels).numpy()[0]
    ours = run.encodings()["embedding"].sel(image="wide.png", view="original").values
    assert np.allclose(ours, theirs, atol=1e-5)
    assert run.encodings()["attention"].shape[2:] == (7, 7)
    assert (run.scores() > 0).all()
    assert run.record["preprocessing"]["size"] == [SIDE, SIDE]
    # Another kernel reads it from the record, and needs no model for it.
    assert run_of(None).preprocessing == run.preprocessing


def test_both_ways_are_runs_of_their_own(run_of):
    study, own = run_of("study"), run_of("model")
    assert study.identity != own.identity
    assert study.preprocessing == STUDY_PREPROCESSING
    assert study.views("wide.png")["original"].shape == (SIZE, SIZE, 3)
    images = [run.encodings("embedding")["embedding"].sel(view="original") for run in (study, own)]
    assert not np.allclose(*images, rtol=1e-2)


def test_the_embedded_models_are_seen_as_in_the_study(parameters):
    run = open_run(**parameters)
    assert run.preprocessing == STUDY_PREPROCESSING
    assert "preprocessing" not in run.identity
    own = load("embedded", device="cpu").preprocessing
    assert open_run(**parameters | {"preprocessing": "model", "out": None}).preprocessing == own
