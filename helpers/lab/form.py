"""A form for the parameters of a run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ipywidgets as widgets

from helpers.checks import WorkbookError
from helpers.clip import embedded
from helpers.data import CHANGES, SETS
from helpers.runs.parameters import (
    DEFAULT_PROFILE,
    Parameters,
    as_argument,
    from_profile,
    parse_value,
    profiles,
    values_of,
)
from helpers.runs.paths import absolute_paths

WIDE = widgets.Layout(width="38em")
STYLE = {"description_width": "7em"}


@dataclass(frozen=True)
class Field:
    """A parameter that has a line of its own; it is written as after ``-p``."""

    name: str
    hint: str  # what stands in the line while it is empty, which means none
    offered: Callable[[], Sequence[str]] = tuple  # gives values to choose from; others may be typed

    def build(self) -> widgets.Combobox:
        """Make the widget."""
        return widgets.Combobox(
            description=self.name,
            placeholder=self.hint,
            options=list(self.offered()),
            layout=WIDE,
            style=STYLE,
        )


FIELDS = (
    Field("images", "~/photos, or a list: [photos, ~/photos]"),
    Field("limit", "all; or a number, drawn at random"),
    Field("changes", "a set, a change, or a list", lambda: [*SETS, *CHANGES]),
    Field("severity", "from 0 to 5"),
    Field("model", "ViT-B-32, a hub id, or a folder", lambda: list(embedded.NAMES)),
    Field("pretrained", "none; or a tag such as openai, or a file"),
    Field("texts", "what suits the model; or a file", lambda: ["general", "scenes"]),
)


class Form:
    """Fields for the parameters of a run, set to those of a profile."""

    def __init__(self):
        profile = widgets.Dropdown(
            options=list(profiles()), value=DEFAULT_PROFILE, description="profile", style=STYLE
        )
        others = widgets.Textarea(
            description="others", placeholder="seed 3\nlayers 2", layout=WIDE, style=STYLE
        )
        fields = {field.name: field.build() for field in FIELDS}
        self.controls: dict[str, widgets.Widget] = {"profile": profile, **fields, "others": others}
        profile.observe(lambda _: self._fill(), "value")
        self._fill()

    @property
    def widget(self) -> widgets.Widget:
        """All fields, one below the other."""
        return widgets.VBox(list(self.controls.values()))

    def parameters(self) -> Parameters:
        """Return what is filled in, with absolute paths; the rest is as in the profile."""
        texts = {field.name: self.controls[field.name].value.strip() for field in FIELDS} | dict(
            map(_pair, self.controls["others"].value.strip().splitlines())
        )
        values = {name: parse_value(name, text) if text else None for name, text in texts.items()}
        return absolute_paths(from_profile(self.controls["profile"].value, values))

    def _fill(self) -> None:
        values = values_of(self.controls["profile"].value)
        for field in FIELDS:
            value = values[field.name]
            self.controls[field.name].value = "" if value is None else as_argument(value)


def _pair(line: str) -> tuple[str, str]:
    """Split a line of other parameters, with or without the ``-p`` of the command line."""
    name, _, value = line.strip().removeprefix("-p ").strip().partition(" ")
    if not value.strip():
        raise WorkbookError(
            f"others has no value {line!r}; write a parameter's name and value in each line, such"
            " as 'seed 3'."
        )
    return name, value.strip()
