"""The parameters of a run: the same names in profiles, notebooks and the command line."""

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

import numpy as np
import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError

from helpers.checks import WorkbookError, one_of
from helpers.clip import embedded
from helpers.clip.names import split_model
from helpers.data import CHANGES, MAX_SEVERITY, names_of
from helpers.data.change import MODEL

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
OUTPUTS = Path(os.environ.get("WORKBOOK_OUTPUTS", ROOT / "outputs")).expanduser().absolute()
DEFAULT_PROFILE = "quick"
NEUTRAL = ("extras", "device", "batch_size", "workers", "cluster", "out")
"""Parameters that results don't depend on."""

PREPROCESSINGS = ("study", "model")
"""Ways to bring images to the size of views: squashed to 224 × 224, or as the model's own code."""


def _plain(value: object) -> object:
    """Return what comes from code as a profile would have it."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.generic):
        return value.item()
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _as_text(value: object) -> object:
    """Return numbers as text: papermill's own -p makes numbers of what looks like one."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _as_sources(value: object) -> object:
    """Return a list that was given as text, as by papermill's own -p, as a list."""
    value = _as_text(value)
    return _parse_list_or_text(value) if isinstance(value, str) else value


def _none_empty(sources: str | list[str]) -> str | list[str]:
    if not sources or not all(sources):
        raise ValueError
    return sources


def _all_models(listed: list[str] | None) -> list[str] | None:
    if not all(split_model(model)[0] for model in listed or ()):
        raise ValueError
    return listed


def _parameter(hint: str, meaning: str = "", *, valid: str = "a text", **limits: object) -> object:
    """Describe a parameter.

    The hint is shown by ``workbook run --help``, the form and the comment in each notebook's
    parameters cell, the meaning by the README's table, and what is valid by an error.
    """
    return Field(
        description=meaning or hint, json_schema_extra={"hint": hint, "valid": valid}, **limits
    )


def _whole(hint: str, meaning: str = "", *, least: int = 1, or_else: str = "") -> object:
    return _parameter(hint, meaning, valid=f"a whole number >= {least}{or_else}", ge=least)


Text = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]
TRUE_OR_FALSE = "true or false"


class Parameters(BaseModel, frozen=True, strict=True):
    """What a run is made of; every notebook has these names in its parameters cell.

    Raises
    ------
    WorkbookError
        If there is no such parameter, or a value is out of its range.
    """

    images: Annotated[
        str | list[str], BeforeValidator(_as_sources), AfterValidator(_none_empty)
    ] = _parameter(
        "photos, scenes:N, a folder, shards or a list file; or several",
        "one source or a list of them",
        valid="one source or a list of them, such as photos, scenes:200 or the path of a folder"
        " (-p images ~/photos)",
    )
    limit: int | None = _whole(
        "number of images, drawn at random with the seed; None takes all",
        or_else=", or null for no limit",
    )
    seed: int = _whole("of the random subset and of every change's draw", least=0)
    changes: str | list[str] = _parameter(
        "study, corruptions, photography, attacks, a change, or a list of these",
        "what is done to images: a set (`study`, `corruptions`, `photography`, `attacks`), a"
        " change, or a list of both",
        valid="a set, a change, or a list of them",
    )
    severity: float = _parameter(
        f"strength of the changes, 0 to {MAX_SEVERITY:g}; of the study's, 1 is what was published",
        valid=f"a number from 0 to {MAX_SEVERITY:g}",
        ge=0,
        le=MAX_SEVERITY,
        allow_inf_nan=False,
    )
    extend: Text | None = _parameter(
        "a .py file with changes, scores, ... of your own; it is run",
        "a `.py` file with changes, scores, labellers of heads or sources of your own; **it is"
        " run**, also when a run that names it is verified, repeated or redrawn",
    )
    model: Text = _parameter(
        "embedded-clip, ViT-B-32, a hub id, a folder, ...; see `workbook models`",
        "a name of ours or of open_clip's, a hub id or a folder of transformers ([all"
        " ways](helpers/clip/README.md))",
    )
    pretrained: Text | None = _parameter(
        "open_clip's tag, such as openai, or a local weights file",
        "open_clip's tag, or a local `.safetensors` or `.pt` file",
    )
    device: Text = _parameter(
        "auto takes a GPU where there is one",
        "where the model runs; `auto` takes a GPU where there is one",
    )
    precision: Text = _parameter(
        "auto is float32; bfloat16 is faster and keeps three digits",
        "in which numbers; `auto` is float32 (`bfloat16` is faster)",
    )
    preprocessing: Literal[PREPROCESSINGS] | None = _parameter(
        "study: squashed to 224; model: its own way; None takes what suits it",
        "how images become views: `study` (squashed to 224 × 224, for the embedded models) or"
        " `model` (size, crop and interpolation of the model's own code, for all others); None"
        " takes what suits the model",
        valid=f"{' or '.join(PREPROCESSINGS)}, or null for what suits the model (study for the"
        " embedded ones)",
    )
    texts: Text | None = _parameter(
        "general, scenes or a file of texts; None takes what suits the model",
        "pool to read heads and shifts with: `general` (3,563 descriptions), `scenes`, a `.txt` (a"
        " text a line) or `.csv` (`text`, and perhaps `property` and the `value` that it names);"
        " None takes the pool that suits the model",
    )
    layers: int = _whole("how many of the last layers' heads are read")
    compare: Annotated[list[str] | None, AfterValidator(_all_models)] = _parameter(
        "models that 11 compares with this one; None takes what suits the model",
        "models that 11 compares with this one, such as `[ViT-B-32:openai]`; None takes what suits"
        " the model: the untrained network, and of an embedded model its earlier states and the"
        " other one",
        valid="a list of models, such as [ViT-B-32:openai, embedded:304], [] for none, or null for"
        " what suits the model",
    )
    compare_fully: bool = _parameter(
        "True gives them all notebooks and a report, too", valid=TRUE_OR_FALSE
    )
    extras: bool = _parameter(
        "False leaves out what goes beyond the images and the model: 10 to 12 and more",
        "False leaves out what goes beyond your images and model: other severities (10), compared"
        " models (11), examples (12), attacks (15), other fillings and ten untrained networks (03,"
        " 04), patched heads (08), and tries methods on a fifth of the fresh scenes (06, 07); a"
        " later run without it goes on from there",
        valid=TRUE_OR_FALSE,
    )
    batch_size: int = _whole(
        "images that are computed and written together",
        "images per chunk on disk; changes the speed and nothing else",
    )
    workers: int = _whole(
        "threads that take images from file to scores",
        "threads that take images from file to scores; changes the speed and nothing else",
    )
    cluster: Annotated[str, Field(pattern=r"^(local:0*[1-9][0-9]*|\w+://.+)$")] | None = _parameter(
        "a Dask cluster that computes the arrays: local:N or tcp://host:port",
        "a Dask cluster that computes the arrays: `local:8` for 8 processes, or `tcp://host:8786`",
        valid="local:N, tcp://host:port, or null for none",
    )
    out: Text | None = _parameter(
        "folder of the run; None picks one below outputs/",
        "folder of the run, also as `--out DIR`; None picks one below `outputs/`; a URL such as"
        " `s3://bucket/run` keeps the arrays there",
    )

    def __init__(self, **values: object):
        names = type(self).model_fields
        for name in values:
            one_of("parameter", name, names)
        if missing := [name for name in names if name not in values]:
            raise WorkbookError(
                f"The parameters {', '.join(missing)} have no value; from_profile('quick', {{…}})"
                " of helpers.runs.parameters gives one to each."
            )
        values = {name: _plain(value) for name, value in values.items()}
        try:
            super().__init__(**values)
        except ValidationError as error:
            name = error.errors()[0]["loc"][0]
            raise WorkbookError(
                f"{name} has no value {values.get(name)!r}; give {described(name)['valid']}."
            ) from None
        self._check_changes()

    @classmethod
    def from_record(cls, values: Mapping[str, object]) -> "Parameters":
        """Take the parameters from what ``run.json`` says of them."""
        if differing := sorted(cls.model_fields.keys() ^ values.keys()):
            raise WorkbookError(
                f"The run is of another version of the workbook ({', '.join(differing)}: one of the"
                " two has no such parameter); run it anew with this version."
            )
        return cls(**values)

    def replace(self, **changed: object) -> "Parameters":
        """Return these parameters with some of them changed."""
        return Parameters(**dict(self) | changed)

    def _check_changes(self) -> None:
        for name in self.change_names:
            if self.cluster is not None and CHANGES[name].needs == MODEL:
                raise WorkbookError(
                    f"The change {name!r} needs the model, and its views are kept in the run's"
                    " folder, which a cluster's workers don't share; leave out cluster or that"
                    " change."
                )

    @property
    def sources(self) -> list[str]:
        """The sources of images, as a list."""
        return [self.images] if isinstance(self.images, str) else list(self.images)

    @property
    def preprocessed_for(self) -> str:
        """Which of `PREPROCESSINGS` holds."""
        suits = "study" if self.model in embedded.NAMES else "model"
        return self.preprocessing or suits

    @property
    def extension(self) -> str | None:
        """The SHA-256 of the file that extends the workbook, whose rows are registered then."""
        if self.extend is None:
            return None
        from helpers import extend

        return extend.load(self.extend)

    @property
    def change_names(self) -> tuple[str, ...]:
        """The names of the changes, each once."""
        # Also in another process, to which parameters were sent.
        _ = self.extension
        return names_of(self.changes)


def compared_with(parameters: Parameters) -> list[str]:
    """List the models that a run is compared with, each once, without its own."""
    given = parameters.compare
    listed = _compared_by_default(parameters.model) if given is None else given
    own_model = parameters.model, parameters.pretrained
    return [text for text in dict.fromkeys(listed) if split_model(text) != own_model]


def _compared_by_default(model: str) -> list[str]:
    """Name what an embedded model is compared with by default; of any other, nothing."""
    if model not in embedded.NAMES:
        return []
    others = [name for name in embedded.NAMES if name != model]
    return [*others, *(f"{model}:{step}" for step in reversed(embedded.checkpoints(model)))]


def described(name: str) -> Mapping[str, str]:
    """Return a parameter's ``hint``, in a line, and what is ``valid``, in words."""
    return Parameters.model_fields[name].json_schema_extra


def profiles() -> dict[str, Path]:
    """Return the named sets of parameters: name → YAML file."""
    return {path.stem: path for path in sorted((NOTEBOOKS / "parameters").glob("*.yaml"))}


def from_profile(profile: str, overrides: Mapping[str, object]) -> Parameters:
    """Read a profile's parameters, with some replaced."""
    return Parameters(**values_of(profile) | dict(overrides))


def values_of(profile: str) -> dict[str, object]:
    """Return the values of a profile, also where one has yet to be given."""
    files = profiles()
    one_of("profile", profile, files)
    return _read(files[DEFAULT_PROFILE]) | _read(files[profile])


def profile_of(parameters: Parameters) -> str | None:
    """Return the name of the profile whose results these parameters give, or None."""
    return next((name for name in profiles() if _same_results(name, parameters)), None)


def parse_value(name: str, text: str) -> object:
    """Turn a command line's text into the value of a parameter."""
    if text.lower() in ("null", "none"):
        return None
    kind = Parameters.model_fields[name].annotation if name in Parameters.model_fields else str
    kinds = {get_origin(each) or each for each in get_args(kind) or (kind,)}
    parse = next((parser for each, parser in _PARSERS.items() if each in kinds), str)
    try:
        return parse(text)
    except (ValueError, yaml.YAMLError):
        return text


def as_argument(value: object) -> str:
    """Write the value of a parameter as `parse_value` reads it."""
    if isinstance(value, str):
        return value
    return (
        yaml.safe_dump(value, default_flow_style=True, width=math.inf).removesuffix("...\n").strip()
    )


def _parse_list_or_text(text: str) -> str | list[str]:
    if not text.startswith("["):
        return text
    try:
        listed = yaml.load(text, Loader=yaml.BaseLoader)  # all scalars are texts
        if all(isinstance(item, str) for item in listed):
            return listed
    except yaml.YAMLError:
        pass
    # Braces mean something to YAML, which reads no list with a pattern of shards.
    parts = re.split(r",(?![^{]*\})", text[1:-1])
    return [part.strip(" \"'") for part in parts] if text.endswith("]") else text


_PARSERS = {list: _parse_list_or_text, bool: yaml.safe_load, int: int, float: float}


def _read(path: Path) -> dict[str, object]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _same_results(profile: str, parameters: Parameters) -> bool:
    expected = values_of(profile)
    return all(value == expected[name] for name, value in parameters if name not in NEUTRAL)
