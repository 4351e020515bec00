import subprocess
import sys

import cv2
import numpy as np
import pytest

from helpers.checks import WorkbookError
from helpers.data import scenes
from helpers.data.scenes import (
    HELD_OUT_COMBINATIONS,
    HELD_OUT_SEED,
    PROPERTIES,
    captions,
    draw,
    drawing,
    scene,
    vocabulary,
)

TRAINING_SEED = 1
MANY = 150


@pytest.fixture(scope="module")
def drawn():
    return draw(MANY, TRAINING_SEED)


@pytest.fixture(scope="module")
def many():
    return [scene(index, TRAINING_SEED) for index in range(MANY)]


def test_draw_unpacks_into_pixels_attributes_captions_and_masks(drawn):
    pixels, attributes, texts, masks = drawn
    assert pixels.shape == (MANY, 224, 224, 3)
    assert pixels.dtype == np.uint8
    assert len(texts) == len(masks) == MANY
    assert attributes["scene"].tolist() == sorted(attributes["scene"])
    counts = attributes.groupby("scene").size()
    assert [len(mask) for mask in masks] == counts.tolist()
    words = attributes.groupby("scene")["count"].first()
    assert [vocabulary.COUNTS.index(word) + 1 for word in words] == counts.tolist()
    assert all(mask.dtype == bool and mask.shape[1:] == (224, 224) for mask in masks)


def test_a_scene_depends_on_seed_and_index_alone():
    whole, part = draw(6, 3), draw(2, 3, start=4)
    np.testing.assert_array_equal(whole.pixels[4:], part.pixels)
    assert whole.captions[4:] == part.captions
    np.testing.assert_array_equal(scene(5, 3).pixels, part.pixels[1])
    assert not np.array_equal(scene(5, 4).pixels, part.pixels[1])


def test_every_value_of_every_property_occurs(drawn):
    for name, one in PROPERTIES.items():
        assert set(drawn.attributes[name]) == set(one.values)


def test_counts_masks_and_visible_pixels_agree(drawn):
    visible = np.concatenate([mask.sum((1, 2)) for mask in drawn.masks])
    np.testing.assert_array_equal(drawn.attributes["visible"], visible)
    assert (visible > 100).all()
    assert all(mask.sum(0).max() == 1 for mask in drawn.masks)


@pytest.mark.parametrize("shape", PROPERTIES["shape"].values)
def test_masks_are_exact(shape):
    """A flat solid object on a plain background: its mask is where its colour is."""
    fixed = {"count": "one", "medium": "drawing", "background": "plain", "fill": "solid"}
    one = scene(0, 2, shape=shape, **fixed)
    ink = np.array(vocabulary.COLOURS[one.objects[0]["colour"]])
    near_ink = np.abs(one.pixels.astype(int) - ink).sum(2)
    near_background = np.abs(one.pixels.astype(int) - one.pixels[0, 0]).sum(2)
    # Half covered pixels on the edge are as near to one as to the other.
    clear = np.abs(near_ink - near_background) > 8
    np.testing.assert_array_equal((near_ink < near_background)[clear], one.masks[0][clear])
    assert clear.mean() > 0.99


def test_objects_drawn_later_hide_earlier_ones():
    overlapping = [
        {"shape": "square", "colour": colour, "fill": "solid", "x": x, "y": 100.0}
        | {"radius": 40.0, "angle": 0.0}
        for colour, x in (("red", 90.0), ("blue", 110.0))
    ]
    rng = np.random.default_rng(0)
    pixels, masks = drawing.draw_scene(overlapping, "drawing", "plain", rng)
    assert not masks[0, 100, 110]
    assert masks[1, 100, 110]
    assert tuple(pixels[100, 110]) == vocabulary.COLOURS["blue"]
    assert not (masks[0] & masks[1]).any()


def test_fixing_a_property_leaves_the_rest_as_it_is():
    before, after = scene(0, TRAINING_SEED), scene(0, TRAINING_SEED, fill="dotted")
    assert {item["fill"] for item in after.objects} == {"dotted"}
    for old, new in zip(before.objects, after.objects, strict=True):
        assert old | {"fill": "dotted"} == new
    np.testing.assert_array_equal(before.masks, after.masks)
    # Edges are blended over the border of the masks.
    untouched = cv2.dilate(before.masks.any(0).astype(np.uint8), np.ones((5, 5))) == 0
    np.testing.assert_array_equal(before.pixels[untouched], after.pixels[untouched])


def test_objects_are_where_and_as_large_as_the_table_says(drawn):
    table = drawn.attributes
    for column, axis in (("x", 0), ("y", 1)):
        side = table["position"].map(lambda name, axis=axis: vocabulary.POSITIONS[name][axis])
        third = np.digitize(table[column], (224 * 0.42, 224 * 0.58)) - 1
        np.testing.assert_array_equal(side, third)
    limits = np.array([vocabulary.SIZES[size] for size in table["size"]])
    assert ((limits[:, 0] <= table["radius"]) & (table["radius"] <= limits[:, 1])).all()
    margin = table[["x", "y"]].sub(111.5).abs().max(axis=1) + table["radius"]
    assert (margin < 112).all()


def test_held_out_combinations_occur_for_the_held_out_seed_only(drawn):
    def pairs(table):
        return set(zip(table["shape"], table["colour"], strict=True))

    assert not pairs(drawn.attributes) & HELD_OUT_COMBINATIONS
    assert pairs(draw(MANY, HELD_OUT_SEED).attributes) & HELD_OUT_COMBINATIONS


def test_objects_of_a_scene_differ_in_colour(drawn):
    assert not drawn.attributes.duplicated(["scene", "colour"]).any()


def test_captions_claim_only_what_is_true(many):
    rng = np.random.default_rng(0)
    for one in many:
        told = (one.objects, one.medium, one.background, rng)
        for caption in (captions.random_caption(*told), captions.full_caption(*told)):
            whole = {"medium": one.medium, "background": one.background, "count": one.count}
            assert caption.scene.items() <= whole.items()
            for claims in caption.objects:
                assert any(claims.items() <= item.items() for item in one.objects)
                assert all(value.split()[0] in caption.text for value in claims.values())


def test_the_full_caption_names_every_object(many):
    for one in many[:30]:
        assert all(f"{item['shape']}" in one.full_caption for item in one.objects)
        assert one.full_caption == scene(one.index, TRAINING_SEED).full_caption


def test_captions_fit_the_context(many):
    rng = np.random.default_rng(0)
    for one in many:
        told = (one.objects, one.medium, one.background, rng)
        full = (captions.full_caption(*told, held_out) for held_out in (False, True))
        for caption in (captions.random_caption(*told), *full):
            assert len(caption.text.split()) <= captions.LONGEST


def test_held_out_templates_are_not_those_of_training():
    for one in PROPERTIES.values():
        assert not set(one.prompts) & set(one.held_out)
    assert not set(captions.OPENINGS) & set(captions.HELD_OUT_OPENINGS)
    assert not set(captions.MEDIUM_OPENINGS) & set(captions.HELD_OUT_MEDIUM_OPENINGS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw(0), "0 scenes cannot be drawn; ask for 1 or more."),
        (lambda: scene(-1), "scene -1 of seed 20260 does not exist"),
        (lambda: scene(0, 1, colour="rde"), "colour has no value 'rde'"),
        (lambda: scene(0, 1, hue="red"), "a fixed property has no value 'hue'"),
    ],
)
def test_bad_input_is_told_in_a_sentence(call, message):
    with pytest.raises(WorkbookError, match=message):
        call()


def test_scenes_need_no_torch():
    code = "import sys; sys.modules['torch'] = None; from helpers.data.scenes import draw; draw(1)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_public_names_exist():
    assert all(hasattr(scenes, name) for name in scenes.__all__)
