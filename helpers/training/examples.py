"""Single pictures for training, with all that is true of them: scenes and crops of photographs."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from helpers.data import scenes
from helpers.data.opencv import cv2
from helpers.data.scenes import PROPERTIES
from helpers.data.sources import PHOTOS, open_photos

SIDE = 224
GRID = 7  # rows and columns of patches of 32 pixels
LEAST_COVER = 0.12  # share of a patch that an object must cover for the patch to show it
HELD_OUT_ROOM = 0.6  # held-out crops lie beyond this share of the room to move, both ways
SUBJECTS = tuple(PHOTOS.values())
OBJECT_PROPERTIES = tuple(name for name, row in PROPERTIES.items() if row.of == "object")
MIRRORED = {"left": "right", "right": "left"}
SINGLE = {"count": "one"}
EASY = SINGLE | {"size": "large", "background": "plain"}


@dataclass(frozen=True)
class Example:
    """One picture, with all that is true of it.

    `scene` and `objects` are as in `helpers.data.scenes.Caption`, but complete; `subject` is the
    caption of a photograph. `owners`, rows × columns of patches, has the number of the object that
    each patch shows, or -1.
    """

    pixels: np.ndarray
    scene: dict[str, str]
    objects: tuple[dict[str, str], ...] = ()
    subject: str | None = None
    owners: np.ndarray = field(default_factory=lambda: np.full((GRID, GRID), -1))


def mirror(example: Example) -> Example:
    """Mirror a picture left to right, and where its objects are."""
    objects = tuple(
        item
        | {"position": " ".join(MIRRORED.get(w, w) for w in item["position"].split())}
        | {"x": SIDE - 1 - item["x"]}
        for item in example.objects
    )
    pixels, owners = example.pixels[:, ::-1], example.owners[:, ::-1]
    return Example(pixels, example.scene, objects, example.subject, owners)


def patch_owners(masks: np.ndarray) -> np.ndarray:
    """Find the object that covers most of each patch, if it covers enough."""
    side = SIDE // GRID
    shares = masks.reshape(len(masks), GRID, side, GRID, side).mean((2, 4))
    return np.where(shares.max(0) >= LEAST_COVER, shares.argmax(0), -1)


def pixels_of(pictures: Iterable[scenes.Scene | Example]) -> np.ndarray:
    """Stack the pixels of pictures, n × height × width × 3."""
    return np.stack([picture.pixels for picture in pictures])


def value_of(picture: scenes.Scene, name: str) -> str:
    """Return the value of a property, of the scene or of its first object."""
    return getattr(picture, name) if PROPERTIES[name].of == "scene" else picture.objects[0][name]


def from_scene(scene: scenes.Scene) -> Example:
    """Take what training needs from a scene."""
    whole = {"medium": scene.medium, "background": scene.background, "count": scene.count}
    return Example(scene.pixels, whole, tuple(scene.objects), owners=patch_owners(scene.masks))


def crop(picture: np.ndarray, rng: np.random.Generator, held_out: bool = False) -> np.ndarray:
    """Cut a random square out of a photograph and resize it to 224 × 224."""
    height, width = picture.shape[:2]
    side = int(min(height, width) * rng.uniform(0.5, 0.95))
    place = rng.uniform(HELD_OUT_ROOM, 1, 2) if held_out else rng.random(2)
    while not held_out and place.min() > HELD_OUT_ROOM:
        place = rng.random(2)
    top, left = (place * (height - side, width - side)).astype(int)
    cut = picture[top : top + side, left : left + side]
    return cv2.resize(cut, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def read_photographs() -> list[np.ndarray]:
    """Read the bundled photographs, height × width × 3, in the order of `SUBJECTS`."""
    return [photo.pixels for photo in open_photos("photos")]


def photograph_example(
    photographs: list[np.ndarray], number: int, rng: np.random.Generator
) -> Example:
    """Cut an example out of a photograph, one of those of `read_photographs`."""
    pixels = crop(photographs[number], rng)
    return Example(pixels, {"medium": "photo"}, subject=SUBJECTS[number])
