"""The changes that a run can make to an image, in sets, and the views that they make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from numbers import Real

import numpy as np

from helpers.checks import WorkbookError, one_of
from helpers.data.attacks import ATTACKS, UNKNOWN, Subject
from helpers.data.augmentations import AUGMENTATIONS
from helpers.data.change import MAX_SEVERITY, MODEL, SUBJECT, Change, Draw
from helpers.data.corruptions import CORRUPTIONS
from helpers.data.photography import PHOTOGRAPHY
from helpers.data.preprocessing import STUDY_PREPROCESSING, Preprocessing
from helpers.registry import Registry

ORIGINAL = "original"

STUDY: tuple[str, ...] = tuple(AUGMENTATIONS)
"""The published study's nine augmentations."""

VIEWS: tuple[str, ...] = (ORIGINAL, *STUDY)
"""The names of the study's views: the original, then the augmentations."""

SETS: Mapping[str, tuple[str, ...]] = {
    "study": STUDY,
    "corruptions": tuple(CORRUPTIONS),
    "photography": tuple(PHOTOGRAPHY),
    "attacks": tuple(ATTACKS),
}
"""Sets of changes by name."""


@dataclass(frozen=True)
class Scale:
    """How a set of changes counts severity.

    Attributes
    ----------
    severities : tuple of float
        Those at which responses to severity are measured; 1 is among them.
    axis : str
        What stands along an axis of severities.
    """

    severities: tuple[float, ...]
    axis: str


SCALES: Mapping[str, Scale] = {
    "study": Scale((0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0), "severity (1: as published)"),
    "corruptions": Scale((1.0, 2.0, 3.0, 4.0, 5.0), "severity (ImageNet-C's five levels)"),
    "photography": Scale(
        (0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0), "severity (1: as one sees every day, 5: noticeable)"
    ),
    "attacks": Scale((1.0, 2.0, 3.0, 4.0, 5.0), "severity (grey levels, or size)"),
}
"""The scale of every set."""

CHANGES: Registry[Change] = Registry(
    "change",
    [row for rows in (AUGMENTATIONS, CORRUPTIONS, PHOTOGRAPHY, ATTACKS) for row in rows.values()],
)
"""All changes by name; users add theirs (`helpers.extend`)."""


def names_of(changes: str | Sequence[str]) -> tuple[str, ...]:
    """Return the changes that a text or a list means."""
    given = [changes] if isinstance(changes, str) else list(changes)
    if not given:
        raise WorkbookError(
            f"changes names none; give a set ({', '.join(SETS)}) or a list of changes."
        )
    for name in given:
        one_of("changes", name, [*SETS, *CHANGES])
    return members_of(given)


def members_of(changes: str | Sequence[str]) -> tuple[str, ...]:
    """Return what a text or a list names, with the members of sets, whether it is known or not."""
    given = [changes] if isinstance(changes, str) else changes
    return tuple(dict.fromkeys(each for name in given for each in SETS.get(name, (name,))))


def scale_of(changes: Sequence[str]) -> Scale:
    """Return the scale on which responses to the severity of changes are measured.

    Parameters
    ----------
    changes : sequence of str
        Names among `CHANGES`.

    Returns
    -------
    Scale
        That of the set that has all of them. Changes of several sets are measured at the severities
        of all these sets, so that each set's own are among them; users' changes, of which nothing
        is known, follow the others, and by themselves `photography`.
    """
    shared = {name: set(members) & set(changes) for name, members in SETS.items()}
    for name, members in shared.items():
        if members == set(changes):
            return SCALES[name]
    met = [name for name, members in shared.items() if members] or ["photography"]
    every = {severity for name in met for severity in SCALES[name].severities}
    return Scale(tuple(sorted(every)), "severity")


def views(
    pixels: np.ndarray,
    image_id: str,
    seed: int = 0,
    severity: float = 1.0,
    changes: Sequence[str] = STUDY,
    preprocessing: Preprocessing = STUDY_PREPROCESSING,
    subject: Subject = UNKNOWN,
) -> dict[str, np.ndarray]:
    """Draw the original and the changed views of an image.

    The image is brought to the size of views, by default as in the study: 224 × 224 without keeping
    its aspect ratio (bilinear, the default of albumentations' `Resize`). Each change is then
    applied to the resized image. What it states in pixels is stated for 224, and
    `Change.at_other_sizes` says what becomes of that on views of another size.

    A view's random draw depends on the seed, the image's id and the view's name alone, so its
    pixels are the same in any batch, order, thread and process. The draw is shared by all
    severities, which only scale it (common random numbers): a shift grows in its own direction.
    Severity 0 changes nothing at all. A flip has no magnitude: a blend of an image and its mirror
    image is a double exposure and no weaker flip, so every severity above 0 flips.

    Parameters
    ----------
    pixels : ndarray of uint8, height × width × 3
        The image, RGB.
    image_id : str
        The image's id.
    seed : int
        Of all random draws.
    severity : float
        From 0 to `MAX_SEVERITY`; 1 gives the study's parameters. What it means is said in each
        row's `scaled`.
    changes : sequence of str
        Names among `CHANGES`.
    preprocessing : Preprocessing
        How the image is brought to the size of views.
    subject : Subject
        What is known of the image, for changes that need it.

    Returns
    -------
    dict of str to ndarray of uint8, height × width × 3
        By name: ``original``, then the changes in their order.

    Raises
    ------
    WorkbookError
        If the pixels, the seed or the severity are invalid, or a change fails or needs a model.

    Examples
    --------
    >>> from helpers.data import open_images, views
    >>> photo = open_images("photos")[0]
    >>> drawn = views(photo.pixels, photo.id, severity=0.5, changes=["noise", "blur"])
    >>> list(drawn), drawn["noise"].shape
    (['original', 'noise', 'blur'], (224, 224, 3))
    """
    _check_pixels(pixels, image_id)
    _check_draw(seed, severity)
    original = preprocessing(pixels)
    return {ORIGINAL: original} | {
        name: changed(original, name, image_id, seed, severity, subject=subject) for name in changes
    }


def changed(
    original: np.ndarray,
    name: str,
    image_id: str,
    seed: int = 0,
    severity: float = 1.0,
    *,
    subject: Subject = UNKNOWN,
    model: object = None,
) -> np.ndarray:
    """Draw one view of a resized image.

    Parameters
    ----------
    original : ndarray of uint8, height × width × 3
        The resized image; it is left as it is.
    name : str
        One of `CHANGES`.
    image_id, seed, severity
        What the draw depends on; see `views`.
    subject : Subject
        What is known of the image, for a change that needs it.
    model : helpers.clip.Model, optional
        That of the run, for a change that needs it.

    Returns
    -------
    ndarray of uint8, height × width × 3

    Raises
    ------
    WorkbookError
        If the seed or the severity is invalid, or the change fails, needs a model that isn't
        given, or returns no such pixels.
    """
    _check_draw(seed, severity)
    if severity == 0:
        return original.copy()
    row = CHANGES[one_of("change", name, CHANGES)]
    if row.needs == MODEL and model is None:
        raise WorkbookError(
            f"The change {name!r} needs a model, which pixels alone don't have; open a run of"
            " these images, and take its views (run.views)."
        )
    given = [{MODEL: model, SUBJECT: subject}[row.needs]] if row.needs else []
    arguments = (original.copy(), severity, Draw(_key(seed, image_id, name)), *given)
    view = _drawn(lambda: row.function(*arguments), name, image_id, severity)
    dtype, shape = getattr(view, "dtype", None), getattr(view, "shape", None)
    if (dtype, shape) != (original.dtype, original.shape):
        raise WorkbookError(
            f"The change {name!r} returned pixels of type {dtype} and shape {shape} for image"
            f" {image_id!r}; it must return {original.dtype} of shape {original.shape}."
        )
    return view.copy() if row.origin else view  # a user's function may use its array again


def redraw(
    pixels: np.ndarray,
    name: str,
    image_id: str,
    seed: int = 0,
    severity: float = 1.0,
    **settings: object,
) -> np.ndarray:
    """Apply the draw of a view of the study to other pixels, or with another setting."""
    if severity == 0:
        return pixels.copy()
    from helpers.data.transforms import transformed

    draw = Draw(_key(seed, image_id, name))
    return _drawn(
        lambda: transformed(name, pixels, severity, draw, **settings), name, image_id, severity
    )


def _drawn(draw, name: str, image_id: str, severity: float) -> np.ndarray:
    try:
        return draw()
    # Whatever a library may raise, no view may be missing or replaced without a word.
    except Exception as error:
        raise WorkbookError(
            f"View {name!r} of image {image_id!r} at severity {severity:g} can't be drawn: {error}."
        ) from error


def _key(seed: int, image_id: str, name: str) -> int:
    """Hash what a draw depends on; Python's own hash differs between processes."""
    text = f"{int(seed)}\0{image_id}\0{name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=16).digest(), "big")


def _check_pixels(pixels: np.ndarray, image_id: str) -> None:
    array = np.asarray(pixels)
    if array.dtype != np.uint8 or array.shape[2:] != (3,) or array.size == 0:
        raise WorkbookError(
            f"Image {image_id!r} has pixels of type {array.dtype} and shape {array.shape}; views "
            "takes uint8 of shape (height, width, 3)."
        )


def _check_draw(seed: int, severity: float) -> None:
    if not isinstance(seed, (int, np.integer)):
        raise WorkbookError(f"seed has no value {seed!r}; choose a whole number.")
    if not isinstance(severity, Real) or not 0 <= severity <= MAX_SEVERITY:
        raise WorkbookError(
            f"severity has no value {severity!r}; choose a number from 0 (no change) over 1 (the "
            f"study's parameters) to {MAX_SEVERITY:g}."
        )
