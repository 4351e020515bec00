"""What a change to an image is: a row with a name, a function and what severity means."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from helpers.registry import named

F = TypeVar("F", bound=Callable)

SIZE = 224
"""Height and width of the study's views in pixels, for which lengths in pixels are stated."""

SCALED = "scaled with the view"
"""Lengths that grow with the side: the change looks the same at any size."""

OF_PIXELS = "of single pixels at any size"
"""Lengths that don't, as for noise on every pixel or the blocks of JPEG."""

MAX_SEVERITY = 5.0
"""The largest severity."""

MODEL, SUBJECT = "model", "subject"
NEEDS = (MODEL, SUBJECT)
"""What a change may need beside pixels: the model of the run, or what is known of the image."""


def enlargement(pixels: np.ndarray) -> float:
    """Return how many pixels a pixel of an image of 224 is on these: by their shorter side."""
    return min(pixels.shape[:2]) / SIZE


class Draw(np.random.Generator):
    """The random generator of one change of one image; the same for every severity.

    Libraries that bring a generator of their own take its key: ``random.Random(draw.key)``.
    """

    def __init__(self, key: int):
        super().__init__(np.random.PCG64(key))
        self.key = key


@dataclass(frozen=True)
class Change:
    """One row of the table of changes.

    Attributes
    ----------
    name : str
        The view's name, in arrays and tables.
    label : str
        Its name in figures.
    function : callable
        ``function(pixels, severity, rng)``: from height × width × 3 pixels of uint8, a severity
        above 0 and a `Draw` to pixels of that shape and type. What is drawn at random must not
        depend on the severity, so that a stronger change is the same one carried further.
    parameters : str
        What it does, in words.
    scaled : str
        What severity means.
    origin : str
        A hash of the user's code that it comes from; "" for the workbook's own.
    at_other_sizes : str
        What becomes of its lengths in pixels, which are stated for 224, on views of another size:
        one of `SCALED` and `OF_PIXELS`, or "" where it has none.
    needs : str
        One of `NEEDS`, which `function` then takes as its fourth argument, or "": the model is a
        `helpers.clip.Model`, the subject a `helpers.data.attacks.Subject`.
    """

    name: str
    label: str
    function: Callable[..., np.ndarray]
    parameters: str
    scaled: str
    origin: str = ""
    at_other_sizes: str = ""
    needs: str = ""


def row_of(
    function: Callable[..., np.ndarray],
    parameters: str,
    scaled: str,
    at_other_sizes: str = "",
    *,
    label: str | None = None,
    needs: str = "",
    origin: str = "",
) -> Change:
    """Describe a function, whose name is the change's, as a row of the table of changes."""
    name, label = named(function, label)
    return Change(name, label, function, parameters, scaled, origin, at_other_sizes, needs)


def change_in(table: dict[str, Change], *columns: str, **more: str) -> Callable[[F], F]:
    """Add a function's row to a set of the workbook's own; its docstring says what it does."""

    def register(function: F) -> F:
        does = inspect.getdoc(function).removesuffix(".")
        table[function.__name__] = row_of(function, does[0].lower() + does[1:], *columns, **more)
        return function

    return register
