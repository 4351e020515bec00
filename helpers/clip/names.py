"""What a model's name means, in all the ways in which people write it."""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from helpers.checks import WorkbookError
from helpers.clip import embedded
from helpers.clip.embedded import UNTRAINED

EMBEDDED = "embedded"
OPEN_CLIP = "open_clip"
FOLDER = "folder"
SCHEMES = ("hf-hub:", "local-dir:")
"""What open_clip writes before an id of the hub and before a folder."""
WEIGHT_FILES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
INSIDE = "#"
"""Between a file and the set of weights in it that is meant, as in ``epoch.pt#state_dict_ema``."""


@dataclass(frozen=True)
class Named:
    """A model as its name is understood."""

    # `EMBEDDED`; `OPEN_CLIP` for a name of open_clip's; or `FOLDER` for a folder, a file in it, or
    # an id such as ``openai/clip-vit-base-patch32``
    kind: str
    name: str  # as they are written everywhere else: ``ViT-B-32`` for ``vit_b_32``
    pretrained: str | None


def resolve(name: str, pretrained: str | None = None) -> Named:
    """Return what a model's name and that of its weights mean; ``ViT-B-32:openai`` is both."""
    if pretrained is None:
        name, pretrained = split_model(name)
    if is_embedded(name):
        return Named(EMBEDDED, name, pretrained)
    bare = _without_scheme(name)
    if bare != name or _exists(name):
        return Named(FOLDER, bare, pretrained)
    if known := _of_open_clip(name):
        return Named(OPEN_CLIP, known, _tag(known, pretrained))
    if is_id(name) and (pretrained in (None, UNTRAINED) or not nearest(name)):
        return Named(FOLDER, name, pretrained)
    if name.count("/") > 1 or name.startswith(("/", "~", ".")):
        raise WorkbookError(f"There is no folder {name}; give the path of one that holds a model.")
    raise unknown(name)


def split_model(text: str) -> tuple[str, str | None]:
    """Split a model as the parameter ``compare`` lists it, ``name:pretrained``, into the two."""
    if Path(text).expanduser().exists():
        return text, None
    scheme = text[: len(text) - len(_without_scheme(text))]
    name, _, pretrained = text.removeprefix(scheme).partition(":")
    return scheme + name, pretrained or None


def is_embedded(name: str) -> bool:
    """Return whether a name means one of the models that come with the workbook."""
    return name in embedded.NAMES


def is_id(name: str) -> bool:
    """Return whether a name could be an id of a model hub."""
    return re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None


def brings_weights(name: str) -> bool:
    """Return whether a name alone means trained weights: ours, or those of a folder or an id."""
    return is_embedded(name) or "/" in name or _exists(name)


def is_file(pretrained: str) -> bool:
    """Return whether weights are given by a file, and not by a tag."""
    path = path_in(pretrained)[0]
    return path.suffix in WEIGHT_FILES or path.exists()


def path_in(pretrained: str) -> tuple[Path, str | None]:
    """Split weights given by a file into its path and, after `INSIDE`, the set that is meant."""
    whole = Path(pretrained).expanduser()
    path, inside, chosen = pretrained.rpartition(INSIDE)
    return (whole, None) if whole.exists() or not inside else (Path(path).expanduser(), chosen)


def title(name: str, pretrained: str | None) -> str:
    """Return how results name a model; says *untrained* or *embedded* where that is so."""
    if is_embedded(name):
        base = f"{name} model"
        if pretrained == UNTRAINED:
            return f"{base}, untrained"
        return base if pretrained is None else f"{base} at step {pretrained}"
    if brings_weights(name):
        is_hub = is_id(name) and not _exists(name)
        base = name if is_hub else Path(name).expanduser().absolute().name
        return f"{base}, untrained" if pretrained == UNTRAINED else base
    return f"{name}, {Path(pretrained).name if pretrained else 'untrained'}"


@cache
def open_clip_names() -> tuple[str, ...]:
    """Return the names of all models that open_clip builds."""
    import open_clip

    return tuple(open_clip.list_models())


def nearest(name: str) -> list[str]:
    """Return up to three names that a mistyped one may have meant, the nearest first."""
    known = {_plain(full): full for full in (*embedded.NAMES, *open_clip_names())}
    return [known[near] for near in get_close_matches(_plain(name), known, n=3, cutoff=0.6)]


def unknown(name: str) -> WorkbookError:
    """Return the error for a name that means nothing."""
    near = nearest(name)
    hint = f"the nearest names are {', '.join(near)}; " if near else ""
    return WorkbookError(
        f"model has no value {name!r}; {hint}`workbook models` lists all, and a folder or the id"
        " of a model on the hub is a model, too."
    )


def _without_scheme(name: str) -> str:
    return next((name.removeprefix(each) for each in SCHEMES if name.startswith(each)), name)


def _exists(name: str) -> bool:
    """Return whether a name is a path here, and not just a word that open_clip knows."""
    if not Path(name).expanduser().exists():
        return False
    return "/" in name or name not in open_clip_names()


def _plain(name: str) -> str:
    """Write a name without what people write in different ways: ``ViT-L/14@336px``."""
    return re.sub(r"(?<=\d)px\b", "", re.sub(r"[^a-z0-9]+", "-", name.lower()))


def _of_open_clip(name: str) -> str | None:
    names = open_clip_names()
    return name if name in names else {_plain(full): full for full in names}.get(_plain(name))


def _tag(name: str, pretrained: str | None) -> str | None:
    import open_clip

    if pretrained is None or is_file(pretrained):
        return pretrained
    tags = {_plain(tag): tag for tag in open_clip.list_pretrained_tags_by_model(name)}
    return tags.get(_plain(pretrained), pretrained)
