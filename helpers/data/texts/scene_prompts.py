"""Further ways to name the properties of scenes, in words that the embedded model knows.

With the prompts of `helpers.data.scenes.PROPERTIES` they make the pool of the embedded model's own
world. Properties of few values have more of them, so that no property fills the pool.
"""

SCENE_PROMPTS: dict[str, tuple[str, ...]] = {
    "colour": (),
    "shape": ("a view of a {}", "the shape of a {}", "objects in the shape of a {}"),
    "fill": (
        "{} objects",
        "this is a {} object",
        "a {} shape",
        "a picture of a {} object",
        "the object is {}",
        "the surface is {}",
    ),
    "size": (
        "{} objects",
        "this is a {} object",
        "a {} shape",
        "a picture of a {} object",
        "the object is {}",
        "a picture of something {}",
        "there is something {}",
        "this is something {}",
        "the shape is {}",
        "a {} object is in the picture",
        "a view of something {}",
    ),
    "position": (),
    "medium": ("a {} of an object", "a {} of something", "objects in a {}", "an object in a {}"),
    "background": (
        "an object on a {} background",
        "a shape on a {} background",
        "this is a {} background",
        "there is a {} background",
        "a picture of a {} background",
        "the picture is on a {} background",
    ),
    "count": ("a view of {}", "a picture: {}", "{} in the picture"),
}
"""Property → prompts, each with one place for a value."""

PHOTOGRAPH_PROMPTS = ("{}", "a picture of {}")
"""Prompts for the captions of photographs."""
