"""A form for the parameters of a run."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import ipywidgets as widgets

from helpers.checks import WorkbookError
from helpers.clip import embedded
from helpers.data import CHANGES, SETS
from helpers.data.texts import POOLS
from helpers.runs.parameters import (
    DEFAULT_PROFILE,
    Parameters,
    as_argument,
    described,
    from_profile,
    parse_value,
    profiles,
    values_of,
)
from helpers.runs.paths import absolute_paths

WIDE = widgets.Layout(width="44em")
STYLE = {"description_width": "7em"}


OFFERED: Mapping[str, tuple[Iterable[str], ...]] = {
    "images": (),
    "limit": (),
    "changes": (SETS, CHANGES),
    "severity": (),
    "model": (embedded.NAMES,),
    "pretrained": (),
    "texts": (POOLS,),
}
"""Parameters that have a line of their own → lists of values to choose from; others may be
typed."""


class Form:
    """Fields for the parameters of a run, set to those of a profile."""

    def __init__(self):
        profile = widgets.Dropdown(
            options=list(profiles()), value=DEFAULT_PROFILE, description="profile", style=STYLE
        )
        others = widgets.Textarea(
            description="others", placeholder="seed 3\nlayers 2", layout=WIDE, style=STYLE
        )
        fields = {name: _line(name, offered) for name, offered in OFFERED.items()}
        self.controls: dict[str, widgets.Widget] = {"profile": profile, **fields, "others": others}
        profile.observe(lambda _: self._fill(), "value")
        self._fill()

    @property
    def widget(self) -> widgets.Widget:
        """All fields, one below the other."""
        return widgets.VBox(list(self.controls.values()))

    def parameters(self) -> Parameters:
        """Return what is filled in, with absolute paths; the rest is as in the profile."""
        texts = {name: self.controls[name].value.strip() for name in OFFERED} | dict(
            map(_pair, self.controls["others"].value.strip().splitlines())
        )
        values = {name: parse_value(name, text) if text else None for name, text in texts.items()}
        return absolute_paths(from_profile(self.controls["profile"].value, values))

    def _fill(self) -> None:
        values = values_of(self.controls["profile"].value)
        for name in OFFERED:
            value = values[name]
            self.controls[name].value = "" if value is None else as_argument(value)


def _line(name: str, offered: Sequence[Iterable[str]]) -> widgets.Combobox:
    """Make the line of a parameter, which is written as after ``-p``; empty, it means none."""
    hint = described(name)["hint"]
    return widgets.Combobox(
        description=name,
        placeholder=hint,
        tooltip=hint,
        options=list(chain(*offered)),
        layout=WIDE,
        style=STYLE,
    )


def _pair(line: str) -> tuple[str, str]:
    """Split a line of other parameters, with or without the ``-p`` of the command line."""
    name, _, value = line.strip().removeprefix("-p ").strip().partition(" ")
    if not value.strip():
        raise WorkbookError(
            f"others has no value {line!r}; write a parameter's name and value in each line, such"
            " as 'seed 3'."
        )
    return name, value.strip()
