"""Where images come from: a table with a row per kind of source, and the way to open them."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from numbers import Integral
from os import PathLike, fspath
from pathlib import Path, PurePath

import numpy as np

from helpers.checks import WorkbookError
from helpers.data.decode import EXTRAS, decode, is_image, suffix_of
from helpers.data.folders import open_folder, open_image, open_list
from helpers.data.images import Image, Images, LeftOut
from helpers.data.metadata import TABLE_SUFFIXES
from helpers.data.reading import expand
from helpers.data.shards import SHARD_SUFFIX, open_shards

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
"""File name in scikit-image's data folder → what the photograph shows.

Left out of the wheel's pictures, because no camera took them: chessboard_GRAY, chessboard_RGB,
color (a hue disc), horse (a silhouette), logo, phantom (a tomography test pattern) and cell (a
phase map computed from a hologram). Left out for other reasons: motorcycle_right (the second eye
of a stereo pair, which would count one scene twice), lfw_subset (200 crops of 25 × 25 pixels),
no_time_for_that_tiny and the multipage files (a few pixels each).
"""

DEFAULT_SCENES = 100
SCENE = re.compile(r"(?:.*/)?scene-(\d+)-(\d+)")
"""What the ids of scenes look like."""


@dataclass(frozen=True)
class Source:
    """One row of the table of sources.

    Attributes
    ----------
    form : str
        How such a source is written.
    recognises : callable
        Whether a text names a source of this kind.
    open : callable
        From the text to its images; raises WorkbookError if there are none.
    is_path : bool
        Whether the text is the path of a file or folder.
    origin : str
        A hash of the user's code that it comes from; "" for the workbook's own.
    """

    form: str
    recognises: Callable[[str], bool]
    open: Callable[[str], Images]
    is_path: bool = True
    origin: str = ""


def open_photos(spec: str) -> Images:
    """List the photographs; their ids are the file names without the ending."""
    folder = Path(str(files("skimage").joinpath("data")))
    return Images(
        Image(Path(name).stem, partial(decode, folder / name), caption)
        for name, caption in PHOTOS.items()
    )


def open_scenes(spec: str) -> Images:
    """List scenes of the held-out seed; they are drawn when their pixels are asked for."""
    # A run on photographs need not load what draws scenes.
    from helpers.data.scenes import HELD_OUT_SEED

    _, colon, number = spec.partition(":")
    if colon and not re.fullmatch("0*[1-9][0-9]*", number):
        raise WorkbookError(
            f"images has no source {spec!r}; write scenes:N with N a whole number of 1 or more."
        )
    return Images(
        Image(
            f"scene-{HELD_OUT_SEED}-{index}",
            partial(_scene_pixels, index),
            partial(_scene_caption, index),
        )
        for index in range(int(number) if colon else DEFAULT_SCENES)
    )


def _scene_pixels(index: int, image_id: str) -> np.ndarray:
    from helpers.data.scenes import scene

    return scene(index).pixels


def _scene_caption(index: int, image_id: str) -> str:
    from helpers.data.scenes import scene

    return scene(index).caption


def _is_file_with(*suffixes: str) -> Callable[[str], bool]:
    return lambda spec: spec.lower().endswith(suffixes) and not _is_folder(spec)


def _is_folder(spec: str) -> bool:
    # pathlib takes "" for the current folder, and raises for names that are too long.
    return os.path.isdir(os.path.expanduser(spec))


SOURCES: tuple[Source, ...] = (
    Source("photos", lambda spec: spec == "photos", open_photos, is_path=False),
    Source(
        "scenes:N",
        lambda spec: re.match("scenes(:|$)", spec) is not None,
        open_scenes,
        is_path=False,
    ),
    Source(
        "SHARD.tar",
        _is_file_with(SHARD_SUFFIX, ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"),
        open_shards,
    ),
    Source("LIST.csv", _is_file_with(*TABLE_SUFFIXES), open_list),
    Source("FOLDER", _is_folder, open_folder),
    Source(
        "IMAGE.jpg",
        lambda spec: is_image(os.path.basename(spec)) and os.path.isfile(os.path.expanduser(spec)),
        open_image,
    ),
)
"""All kinds of source; the first that recognises a text opens it."""

OWN_SOURCES: dict[str, Source] = {}
"""Those that users registered (`helpers.extend`), by name; they are asked first."""


def open_images(
    source: str | PathLike | Sequence[str | PathLike],
    limit: int | None = None,
    seed: int | None = None,
) -> Images:
    """List the images of one or more sources; their pixels are read when asked for.

    Parameters
    ----------
    source : str, path, or sequence of them
        Where the images are; `SOURCES` lists the forms. Several sources follow one another; ids
        that occur in more than one of them get the source's name as a prefix.
    limit : int, optional
        How many images to take at most. All by default.
    seed : int, optional
        Take `limit` images at random instead of the first ones, in the order of the source. A
        larger limit adds images to those of a smaller one. Without a limit all are taken, and the
        seed changes nothing.

    Returns
    -------
    Images

    Raises
    ------
    WorkbookError
        If a source is unknown, missing, empty or corrupt, or limit or seed is no valid number.

    Examples
    --------
    >>> from helpers.data import open_images
    >>> images = open_images(["photos", "scenes:20"])
    >>> len(images), images[0].id, images[0].pixels.shape
    (38, 'astronaut', (512, 512, 3))
    """
    _check_whole("limit", limit, least=1)
    _check_whole("seed", seed, least=0)
    images = _combine({spec: _list(spec) for spec in _specs(source)})
    if limit is None or limit >= len(images):
        return images
    if seed is None:
        return images[:limit]
    chosen = np.random.default_rng(seed).permutation(len(images))[:limit]
    return Images((images[index] for index in sorted(chosen)), images.left_out)


def absolute(spec: str) -> str:
    """Return a source as it is written in any folder: paths absolute, names as they are."""
    return str(expand(spec).absolute()) if _source_of(spec).is_path else spec


def _check_whole(parameter: str, value: object, least: int) -> None:
    """Check that an optional parameter is a whole number and not too small."""
    if value is None:
        return
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise WorkbookError(
            f"{parameter} has no value {value!r}; choose a whole number of {least} or more, "
            "or none."
        )


def _specs(source: object) -> list[str]:
    """Turn one source or several into a list of different texts."""
    several = (source,) if isinstance(source, (str, PathLike)) else source
    if not isinstance(several, Sequence) or not all(
        isinstance(spec, (str, PathLike)) for spec in several
    ):
        raise WorkbookError(f"images has no value {source!r}; choose a source or a list of them.")
    specs = [fspath(spec) for spec in several]
    if not specs:
        raise WorkbookError("images names no source; give at least one, for instance photos.")
    for spec, times in Counter(specs).items():
        if times > 1:
            raise WorkbookError(f"images names the source {spec!r} {times} times; name it once.")
    return specs


def _list(spec: str) -> Images:
    """List one source's images and check that no two have the same id."""
    images = _source_of(spec).open(spec)
    name, times = Counter(image.id for image in images).most_common(1)[0]
    if times > 1:
        raise WorkbookError(
            f"{spec!r} names the image {name!r} {times} times; name every image once, so that none "
            "counts more than the others."
        )
    return images


def _source_of(spec: str) -> Source:
    for source in (*OWN_SOURCES.values(), *SOURCES):
        if source.recognises(spec):
            return source
    raise WorkbookError(
        f"images has no source {spec!r}: as a path it {_what_is_wrong(spec)}; choose one of "
        f"{', '.join(source.form for source in (*SOURCES, *OWN_SOURCES.values()))}."
    )


def _what_is_wrong(spec: str) -> str:
    if not os.path.exists(os.path.expanduser(spec)):
        return "does not exist"
    needs = [extra.package for extra in EXTRAS if suffix_of(spec) in extra.suffixes]
    return f"needs pip install {needs[0]}" if needs else "is no folder and of no kind that is read"


def _combine(listings: dict[str, Images]) -> Images:
    """Put sources one after the other and distinguish images of the same id by their source."""
    times = Counter(image.id for images in listings.values() for image in images)
    combined = [
        replace(image, source=label, id=f"{label}/{image.id}" if times[image.id] > 1 else image.id)
        for label, images in zip(_labels(listings), listings.values(), strict=True)
        for image in images
    ]
    name, most = Counter(image.id for image in combined).most_common(1)[0]
    if most > 1:
        raise WorkbookError(
            f"Two of the sources {', '.join(listings)} have an image {name!r}; rename one of their "
            "folders or open them one at a time."
        )
    left_out = LeftOut()
    for listing in listings.values():
        for kind, (count, first) in listing.left_out.items():
            left_out.add(kind, first, count)
    return Images(combined, left_out)


def _labels(specs: Iterable[str]) -> list[str]:
    """Name each source shortly: by its name or folder's name, numbered where that repeats."""
    seen: Counter[str] = Counter()
    labels = []
    for spec in specs:
        name = (PurePath(spec).name or spec).partition(":")[0]
        seen[name] += 1
        labels.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return labels
