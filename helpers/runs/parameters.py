"""The parameters of a run: the same names in profiles, notebooks and the command line."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import yaml

from helpers.checks import WorkbookError, one_of
from helpers.clip.embedded import files as embedded
from helpers.clip.names import split
from helpers.data import CHANGES, MAX_SEVERITY, names_of
from helpers.data.change import MODEL

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
OUTPUTS = Path(os.environ.get("WORKBOOK_OUTPUTS", ROOT / "outputs")).expanduser().absolute()
DEFAULT_PROFILE = "quick"
NEUTRAL = ("extras", "device", "batch_size", "workers", "cluster", "out")
"""Parameters that results don't depend on."""


@dataclass(frozen=True)
class Parameters:
    """What a run is made of; every notebook has these names in its parameters cell.

    Attributes
    ----------
    images : str or list of str
        Sources of images: ``photos``, ``scenes:200``, a folder, shards or a list file.
    limit : int or None
        Number of images, drawn at random with `seed`; None takes all.
    seed : int
        Seed of the random subset and of every augmentation's draw.
    changes : str or list of str
        What is done to the images: one of `helpers.data.SETS` or of `helpers.data.CHANGES`, or a
        list of them.
    severity : float
        Strength of the changes; of ``study``, 1 is what was published.
    extend : str or None
        A ``.py`` file that registers changes, scores, labellers or sources of images
        (`helpers.extend`). It is user code, and it is run.
    model, pretrained : str, str or None
        What `helpers.clip.load` opens.
    device, precision : str
        Where and in which numbers the model runs.
    preprocessing : str or None
        One of `PREPROCESSINGS`: how images are brought to the size of views. None takes ``study``
        for an embedded model and ``model`` for any other.
    texts : str or None
        Pool of texts that heads and shifts are read with: a name or file that
        `helpers.data.texts.open_texts` takes; None takes the pool that suits the model.
    layers : int
        How many of the last layers' heads are kept for reading and searching.
    compare : list of str or None
        Models that this one is compared with, such as ``ViT-B-32:laion2b_s34b_b79k``; see
        `split_model`. The untrained network is always one. None adds, for an embedded model, its
        earlier states and the other one, and for any other model nothing.
    compare_fully : bool
        Whether the compared models get all notebooks and a report, too.
    extras : bool
        Whether what goes beyond the run's own images and model is computed, too: other severities,
        compared models, other fillings, patched heads (`helpers.runs.progress`).
    batch_size : int
        Images that are computed and written together. Results don't depend on it.
    workers : int
        Threads that take images from file to scores, side by side; each has its share of the cores.
        Results don't depend on it.
    cluster : str or None
        Dask cluster that computes the arrays: ``local:N`` for N processes on this machine, or the
        address of a scheduler, such as ``tcp://node1:8786``. None computes in this process.
        Results don't depend on it.
    out : str or None
        Folder of the run; None picks one below ``outputs/``. A URL that fsspec opens, such as
        ``s3://bucket/run``, keeps the arrays there and all else below ``outputs/``.

    Raises
    ------
    WorkbookError
        If a value is out of its range.
    """

    images: str | list[str]
    limit: int | None
    seed: int
    changes: str | list[str]
    severity: float
    extend: str | None
    model: str
    pretrained: str | None
    device: str
    precision: str
    preprocessing: str | None
    texts: str | None
    layers: int
    compare: list[str] | None
    compare_fully: bool
    extras: bool
    batch_size: int
    workers: int
    cluster: str | None
    out: str | None

    def __post_init__(self):
        for name in ("images", *TEXTS):  # papermill's own -p makes numbers of what looks like one
            object.__setattr__(self, name, _as_text(name, getattr(self, name)))
        sources = self.images if isinstance(self.images, list) else [self.images]
        named = sources and all(isinstance(source, str) and source for source in sources)
        models = isinstance(self.compare, list) and all(map(_is_model, self.compare))
        models = models or self.compare is None
        number = isinstance(self.severity, int | float) and not isinstance(self.severity, bool)
        for name, valid, expected in (
            ("images", named, IMAGES),
            ("cluster", self.cluster is None or re.fullmatch(CLUSTERS, str(self.cluster)), CLUSTER),
            ("compare", models, COMPARED),
            ("compare_fully", isinstance(self.compare_fully, bool), "true or false"),
            ("extras", isinstance(self.extras, bool), "true or false"),
            ("preprocessing", self.preprocessing in (None, *PREPROCESSINGS), PREPROCESSED),
            ("severity", number and 0 <= self.severity <= MAX_SEVERITY, SEVERITIES),
        ):
            _check(valid, name, getattr(self, name), expected)
        for name, optional in TEXTS.items():
            _check_text(name, getattr(self, name), optional=optional)
        for name, least in LEAST.items():
            _check_whole(name, getattr(self, name), least, optional=name == "limit")
        self._check_changes()

    @classmethod
    def from_record(cls, values: Mapping[str, object]) -> "Parameters":
        """Take the parameters from what ``run.json`` says of them."""
        names = {field.name for field in fields(cls)}
        if differing := sorted(names ^ values.keys()):
            raise WorkbookError(
                f"The run is of another version of the workbook ({', '.join(differing)}: one of the"
                " two has no such parameter); run it anew with this version."
            )
        return cls(**values)

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


PREPROCESSINGS = ("study", "model")
"""Ways to bring images to the size of views: squashed to 224 × 224, or as the model's own code."""

PREPROCESSED = (
    f"{' or '.join(PREPROCESSINGS)}, or null for what suits the model (study for the embedded ones)"
)
IMAGES = (
    "one source or a list of them, such as photos, scenes:200 or the path of a folder"
    " (-p images ~/photos)"
)

CLUSTERS = r"local:0*[1-9][0-9]*|\w+://.+"

CLUSTER = "local:N, tcp://host:port, or null for none"
SEVERITIES = f"a number from 0 to {MAX_SEVERITY:g}"
TEXTS = {
    "model": False,
    "device": False,
    "precision": False,
    "pretrained": True,
    "preprocessing": True,
    "texts": True,
    "out": True,
    "extend": True,
}
"""Parameters that are texts → whether they may be left out."""
LEAST = {"limit": 1, "seed": 0, "batch_size": 1, "workers": 1, "layers": 1}
COMPARED = (
    "a list of models, such as [ViT-B-32:openai, embedded:304], [] for none, or null for what suits"
    " the model"
)


def split_model(text: str) -> tuple[str, str | None]:
    """Split a model as `compare` lists it into its name and its weights."""
    return split(text)


def compared_with(parameters: Parameters) -> list[str]:
    """List the models that a run is compared with, each once, without its own."""
    asked = parameters.compare
    listed = _beside(parameters.model) if asked is None else asked
    own = parameters.model, parameters.pretrained
    return [text for text in dict.fromkeys(listed) if split_model(text) != own]


def _beside(model: str) -> list[str]:
    """Name what an embedded model is compared with by default; of any other, nothing."""
    if model not in embedded.NAMES:
        return []
    others = [name for name in embedded.NAMES if name != model]
    return [*others, *(f"{model}:{step}" for step in reversed(embedded.checkpoints(model)))]


def profiles() -> dict[str, Path]:
    """Return the named sets of parameters: name → YAML file."""
    return {path.stem: path for path in sorted((NOTEBOOKS / "parameters").glob("*.yaml"))}


def from_profile(profile: str, overrides: Mapping[str, object]) -> Parameters:
    """Read a profile's parameters, with some replaced."""
    values = values_of(profile)
    names = [field.name for field in fields(Parameters)]
    for name in overrides:
        one_of("-p", name, names)
    return Parameters(**values | dict(overrides))


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
    try:
        return _PARSERS.get(name, str)(text)
    except (ValueError, yaml.YAMLError):
        return text


def as_argument(value: object) -> str:
    """Write the value of a parameter as `parse_value` reads it."""
    if isinstance(value, str):
        return value
    return (
        yaml.safe_dump(value, default_flow_style=True, width=math.inf).removesuffix("...\n").strip()
    )


def _as_text(name: str, value: object) -> object:
    """Return numbers as text, and a list of sources that was given as text as a list."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    is_list = name == "images" and isinstance(value, str) and value.startswith("[")
    return _parse_list_or_text(value) if is_list else value


def _parse_list_or_text(text: str) -> str | list[str]:
    if not text.startswith("["):
        return text
    try:
        listed = yaml.load(text, Loader=yaml.BaseLoader)  # all scalars are texts
        if all(isinstance(one, str) for one in listed):
            return listed
    except yaml.YAMLError:
        pass
    # Braces mean something to YAML, which reads no list with a pattern of shards.
    parts = re.split(r",(?![^{]*\})", text[1:-1])
    return [one.strip(" \"'") for one in parts] if text.endswith("]") else text


_PARSERS = {
    "images": _parse_list_or_text,
    "changes": _parse_list_or_text,
    "compare": _parse_list_or_text,
    "compare_fully": yaml.safe_load,
    "extras": yaml.safe_load,
    "layers": int,
    "limit": int,
    "seed": int,
    "severity": float,
    "batch_size": int,
    "workers": int,
}


def _read(path: Path) -> dict[str, object]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _same_results(profile: str, parameters: Parameters) -> bool:
    given = asdict(parameters)
    expected = values_of(profile)
    return all(given[name] == expected[name] for name in given if name not in NEUTRAL)


def _check_whole(name: str, value: object, least: int, *, optional: bool = False) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= least
    expected = f"a whole number >= {least}" + (", or null for no limit" if optional else "")
    _check(whole or (optional and value is None), name, value, expected)


def _is_model(value: object) -> bool:
    return isinstance(value, str) and split_model(value)[0] != ""


def _check_text(name: str, value: object, *, optional: bool = False) -> None:
    text = isinstance(value, str) and value != ""
    _check(text or (optional and value is None), name, value, "a text")


def _check(valid: object, name: str, value: object, expected: str) -> None:
    if not valid:
        raise WorkbookError(f"{name} has no value {value!r}; give {expected}.")
