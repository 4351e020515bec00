from itertools import pairwise

import numpy as np
import pytest

from helpers.data.scenes import HELD_OUT_COMBINATIONS, PROPERTIES, captions, compositions
from helpers.data.scenes.contrasts import SET_SIZE, Content, contrast_set

RED_STAR = {"shape": "star", "colour": "red", "fill": "solid", "size": "large", "position": "left"}
BLUE_CIRCLE = RED_STAR | {"shape": "circle", "colour": "blue", "position": "right"}


def contents(scene):
    """All that captions could say of a scene, of each object in order."""
    names = [name for name, one in PROPERTIES.items() if one.of == "object"]
    objects = tuple(tuple(item[name] for name in names) for item in scene.objects)
    return objects, scene.medium, scene.background


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_members_are_alike_but_never_the_same(count):
    for index in range(12):
        members = contrast_set(index, 7, count)
        assert 1 <= len(members) <= SET_SIZE
        assert len({contents(one) for one in members}) == len(members)
        counts = [len(one.objects) for one in members]
        assert set(counts) == {count} or (count > 1 and sorted(counts) == [1, 2, 3, 4])


def test_objects_are_left_out():
    sets = (contrast_set(index, 7, 3) for index in range(40))
    ordered = (sorted(members, key=lambda one: len(one.objects)) for members in sets)
    varied = [members for members in ordered if len(members[0].objects) == 1]
    assert varied
    for fewer, more in (pair for members in varied for pair in pairwise(members)):
        assert contents(fewer)[0] == contents(more)[0][:-1]
        assert contents(fewer)[1:] == contents(more)[1:]


def test_one_object_varies_or_objects_exchange():
    sets = [contrast_set(index, 7, 3) for index in range(12)]
    for first, *others in (one for one in sets if {len(member.objects) for member in one} == {3}):
        for other in others:
            changed = [a != b for a, b in zip(contents(first)[0], contents(other)[0], strict=True)]
            colours = [sorted(item["colour"] for item in one.objects) for one in (first, other)]
            assert changed == [True, False, False] or colours[0] == colours[1]


def test_the_same_arguments_give_the_same_set_and_no_held_out_combination():
    one, again = (contrast_set(3, 7, 2) for _ in range(2))
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
        assert a.caption == b.caption
    drawn = [one for index in range(40) for one in contrast_set(index, 7, 2)]
    looks = {(item["shape"], item["colour"]) for one in drawn for item in one.objects}
    assert not looks & HELD_OUT_COMBINATIONS


def test_easy_ones_are_mostly_large_on_a_plain_background():
    """But for the sets in which just that varies."""
    for index in range(8):
        members = contrast_set(index, 7, 1, easy=True)
        looks = [(one.objects[0]["size"], one.background) for one in members]
        assert ("large", "plain") in looks or len(set(looks)) > 1


def test_an_exchange_moves_a_property_between_objects():
    content = Content((RED_STAR, BLUE_CIRCLE), {"medium": "photo", "background": "plain"})
    exchanged = content.exchanged("colour", (1, 0))
    assert [item["colour"] for item in exchanged.objects] == ["blue", "red"]
    assert [item["shape"] for item in exchanged.objects] == ["star", "circle"]
    assert exchanged.is_allowed
    assert not content.varied({"colour": "blue"}).is_allowed  # as the other one's
    assert not content.varied({"colour": "purple"}).is_allowed  # a purple star is held out


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((10, 50), (90, 60), "left of"),
        ((90, 0), (10, 60), "right of"),
        ((10, 20), (40, 90), "above"),
        ((10, 90), (40, 20), "below"),
    ],
)
def test_relations_follow_the_longer_axis(first, second, expected):
    one, other = ({"x": x, "y": y} for x, y in (first, second))
    assert compositions.relation(one, other) == expected


@pytest.mark.parametrize("write", [compositions.full_caption, compositions.partial_caption])
def test_captions_fit_and_are_true(write):
    rng = np.random.default_rng(0)
    for index in range(30):
        for one in contrast_set(index, 7, 1 + index % 4)[:2]:
            text = write(one.objects, one.medium, one.background, rng)
            words = set(text.split())
            assert len(text.split()) <= captions.LONGEST
            for name in ("shape", "colour", "fill", "size"):
                true = {item[name] for item in one.objects}
                assert words & set(PROPERTIES[name].values) <= true


def write_fully(one, rng):
    return compositions.full_caption(one.objects, one.medium, one.background, rng)


def test_full_captions_tell_members_of_sets_of_one_object_apart():
    rng = np.random.default_rng(0)
    for index in range(20):
        members = contrast_set(index, 7, 1)
        told = {
            (write_fully(one, rng).split(" of ")[-1], one.medium)  # without the opening
            for one in members
        }
        assert len(told) == len(members)


def test_what_has_no_shape_is_something_or_an_object():
    claims = {"colour": "red", "position": "left"}
    assert captions.noun_phrase(claims, "something") == "something red on the left"
    assert captions.noun_phrase(claims) == "a red object on the left"
