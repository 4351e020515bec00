"""The photographs that come with scikit-image, with captions.

Left out of the wheel's pictures, because no camera took them: chessboard_GRAY, chessboard_RGB,
color (a hue disc), horse (a silhouette), logo, phantom (a tomography test pattern) and cell (a
phase map computed from a hologram). Left out for other reasons: motorcycle_right (the second eye
of a stereo pair, which would count one scene twice), lfw_subset (200 crops of 25 × 25 pixels),
no_time_for_that_tiny and the multipage files (a few pixels each).
"""

from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from pathlib import Path

from helpers.data.decode import decode
from helpers.data.images import Image, Images

PHOTOS: Mapping[str, str] = {
    "astronaut.png": "a smiling astronaut in an orange space suit",
    "brick.png": "a close view of a brick wall, in black and white",
    "camera.png": "a man in a coat behind a film camera on a tripod, in black and white",
    "chelsea.png": "the face of a ginger tabby cat",
    "clock_motion.png": "a clock on a wall, blurred by motion, in black and white",
    "coffee.png": "a cup of espresso on a red saucer with a spoon",
    "coins.png": "rows of ancient coins on a dark ground, in black and white",
    "grass.png": "a close view of dry grass, in black and white",
    "gravel.png": "a close view of gravel, in black and white",
    "hubble_deep_field.jpg": "many distant galaxies in deep space, seen by a telescope",
    "ihc.png": "tissue stained brown and blue under a microscope",
    "microaneurysms.png": "blood vessels of a retina in close view, in black and white",
    "moon.png": "the surface of the moon with craters, in black and white",
    "motorcycle_left.png": "a red motorcycle in a garage",
    "page.png": "a printed page of text, in black and white",
    "retina.jpg": "the back of a human eye with its blood vessels",
    "rocket.jpg": "a rocket on its launch pad at dusk",
    "text.png": "handwritten formulas on paper, in black and white",
}
"""File name in scikit-image's data folder → what the photograph shows."""


def open_photos(spec: str) -> Images:
    """List the photographs; their ids are the file names without the ending."""
    folder = Path(str(files("skimage").joinpath("data")))
    return Images(
        Image(Path(name).stem, partial(decode, folder / name), caption)
        for name, caption in PHOTOS.items()
    )
