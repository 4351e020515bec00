"""Where a model's weights are, in the package, a file, a cache or on a hub; and their SHA-256."""

import contextlib
import hashlib
import json
import os
import re
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from helpers.checks import WorkbookError, one_of
from helpers.clip import embedded, formats, hub, names
from helpers.clip.embedded import UNTRAINED

DEFAULT = "embedded-clip"
"""The model that is opened where none is named."""
PRECISIONS = {"auto": "float32", "float32": "float32", "bfloat16": "bfloat16"}
OPENAI_CACHE = Path("~/.cache/clip")
"""Where OpenAI's own package keeps its files."""
LARGE = 2**24
"""Bytes from which a hash is kept between processes."""
SETTLED = 2
"""Seconds after which a file that changes again has another time of change on any file system."""


@dataclass(frozen=True)
class Weights:
    """A model's weights, found and not yet read."""

    path: Path | None = None  # A file, or the index of several; None for an untrained model
    # which of `formats.IN_FOLDERS` lies beside the file and describes it
    configuration: str | None = None
    chosen: str | None = None  # which set of weights is meant, of a file with several
    # SHA-256 of the file as its publisher gives it, or the beginning of it
    promised: str | None = None

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of all that is read, or ``"untrained"``.

        Configurations count, too, as they name the activation and the normalisation.
        """
        if self.path is None:
            return "untrained"
        files = formats.parts_of(self.path)
        for file in files:
            _check_promise(file, self.promised)
        beside = formats.READ_WITH.get(self.configuration, ())
        read = [*files, *(self.path.parent / name for name in beside)]
        parts = [sha256(file) for file in read if file.is_file()]
        parts += [self.chosen] if self.chosen else []
        return parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()


def locate(name: str, pretrained: str | None) -> Weights:
    """Find a model's weights, downloading them when a tag is neither local nor cached."""
    named = names.resolve(name, pretrained)
    located = WAYS[named.kind](named)
    if located.path and formats.is_archive(located.path):
        formats.check_archive(located.path, sha256(located.path), named.name)
    return located


def describes(located: Weights) -> bool:
    """Return whether the configuration beside weights says how the model is built.

    One of open_clip's may be there for the pixels alone.
    """
    if located.configuration != formats.OPEN_CLIP:
        return located.configuration is not None
    return "model_cfg" in formats.read_json(located.path.parent / formats.OPEN_CLIP)


def fingerprint(name: str, pretrained: str | None) -> str:
    """Return the SHA-256 of a model's weights; see `locate` and `Weights.fingerprint`."""
    return locate(name, pretrained).fingerprint


def cached_tags(name: str) -> dict[str, Path]:
    """Return the tags of a model whose weights are on this machine already, and where."""
    import open_clip

    paths = {tag: _cached(name, tag) for tag in open_clip.list_pretrained_tags_by_model(name)}
    return {tag: path for tag, path in paths.items() if path}


def cached_ids() -> dict[str, Path]:
    """Return the ids of `transformers`' models in the hub cache, and where each is."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return {}
    ids = sorted(repository.repo_id for repository in repositories)
    folders = {name: _snapshot(name) for name in ids}
    return {name: folder for name, folder in folders.items() if folder and _is_whole(folder)}


def folder(named: names.Named) -> Path:
    """Find the folder of a model that is one, a file in one, or an id; download it if need be."""
    if named.pretrained not in (None, UNTRAINED):
        raise WorkbookError(
            f"The model {named.name} comes with its weights; leave pretrained ({named.pretrained})"
            f" out, or give {UNTRAINED} for the same architecture untrained."
        )
    path = Path(named.name).expanduser()
    if path.exists():
        return path if path.is_dir() else path.parent
    if not names.is_id(named.name):
        raise WorkbookError(f"There is no folder {path}; give the path of one that holds a model.")
    there = _snapshot(named.name)
    return there if there and _is_whole(there) else hub.download(named.name, there)


def _embedded(named: names.Named) -> Weights:
    return Weights(embedded.weights_file(named.name, named.pretrained))


def _in_folder(named: names.Named) -> Weights:
    there = folder(named)
    if named.pretrained == UNTRAINED:
        return Weights(configuration=formats.configuration_in(there))
    given = Path(named.name).expanduser()
    path = given if given.is_file() and given.suffix != ".json" else formats.weights_in(there)
    return Weights(path, formats.configuration_of(path) or formats.configuration_in(there))


def _of_open_clip(named: names.Named) -> Weights:
    if named.pretrained is None:
        return Weights()
    if not names.is_file(named.pretrained):
        return _tagged(named.name, named.pretrained)
    path, chosen = names.path_in(named.pretrained)
    if path.is_dir():
        raise WorkbookError(f"{path} is a folder; give it as model, and leave pretrained out.")
    if not path.is_file():
        raise WorkbookError(f"There is no weights file {path}; give the path of an existing one.")
    return Weights(path, formats.configuration_of(path), chosen)


WAYS = {
    names.EMBEDDED: _embedded,
    names.FOLDER: _in_folder,
    names.OPEN_CLIP: _of_open_clip,
}
"""What a model's name means → how its weights are found."""


def _is_whole(folder: Path) -> bool:
    """Return whether a folder has a model that can be opened, and all of its weights."""
    from helpers.clip import huggingface

    try:
        formats.weights_in(folder)
        if formats.configuration_in(folder) == formats.TRANSFORMERS:
            huggingface.read_config(folder)
    except WorkbookError:  # another kind of model, or only part of one
        return False
    return True


def _snapshot(name: str) -> Path | None:
    """Find the folder of a model in the hub cache."""
    from huggingface_hub import try_to_load_from_cache

    paths = (try_to_load_from_cache(name, file) for file in formats.IN_FOLDERS)
    return next((Path(path).parent for path in paths if isinstance(path, str)), None)


def _tagged(name: str, tag: str) -> Weights:
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(name)
    if not tags:
        raise WorkbookError(
            f"open_clip knows no weights for {name}; give pretrained a local file, or leave it out"
            " for an untrained model."
        )
    one_of(f"pretrained (weights of {name})", tag, tags)
    path = _cached(name, tag) or _downloaded(name, tag)
    by_address = path.parent == OPENAI_CACHE.expanduser()
    return Weights(path, promised=_promised(name, tag) if by_address else None)


def _promised(name: str, tag: str) -> str | None:
    """Read the SHA-256 that an address of weights carries, or its first digits."""
    import open_clip

    url = open_clip.get_pretrained_cfg(name, tag)["url"]
    if "openaipublic" in url:
        return url.split("/")[-2]
    return Path(url).stem.rpartition("-")[2] if "mlfoundations" in url else None


def _cached(name: str, tag: str) -> Path | None:
    import open_clip
    from huggingface_hub import try_to_load_from_cache

    config = open_clip.get_pretrained_cfg(name, tag)
    if config["hf_hub"]:
        repository, _, file = config["hf_hub"].rpartition("/")
        for name in _hub_files(file):
            path = try_to_load_from_cache(repository, name)
            if isinstance(path, str):
                return Path(path)
    path = OPENAI_CACHE.expanduser() / Path(config["url"]).name
    return path if config["url"] and path.is_file() else None


def _hub_files(file: str) -> list[str]:
    # The safe twin of a pickled file comes first, as in open_clip's own downloads.
    file = file or "open_clip_pytorch_model.bin"
    return [f"{Path(file).stem.replace('_pytorch', '')}.safetensors", file]


def _downloaded(name: str, tag: str) -> Path:
    import open_clip
    from open_clip.pretrained import download_pretrained_from_url

    config = open_clip.get_pretrained_cfg(name, tag)
    repository, _, file = config["hf_hub"].rpartition("/")
    try:
        if repository:
            return hub.download_any(repository, _hub_files(file))
        return Path(download_pretrained_from_url(config["url"]))
    except Exception as error:  # whatever the network stack raises, the ways on are the same
        source = repository or config["url"]
        cached = ", ".join(cached_tags(name)) or "none of this model's is"
        raise WorkbookError(
            f"The weights {tag} of {name} are not on this machine, and could not be downloaded from"
            f" {source}: {hub.why(error)}. Three other ways: a tag that is cached here ({cached});"
            " a local .safetensors or .pt file as pretrained; or model embedded-clip, which needs"
            " no download."
        ) from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as it was taken before where the file has not changed.

    That of a large file is kept, by its path, size and time of the last change.
    """
    path = path.resolve()
    state = path.stat()
    return _of_state(path, state.st_size, state.st_mtime_ns)


def _check_promise(path: Path, promised: str | None) -> None:
    """Compare a downloaded file with the SHA-256 that its publisher gave for it."""
    there = path.resolve()
    promised = promised or (there.name if re.fullmatch("[0-9a-f]{64}", there.name) else "")
    if not sha256(path).startswith(promised):
        raise WorkbookError(
            f"{path} is damaged: its SHA-256 is not the one that it was published with"
            f" ({promised[:12]}…). Delete {there}, and it will be downloaded again."
        )


@cache
def _of_state(path: Path, size: int, changed: int) -> str:
    if size < LARGE:
        return _computed(path)
    kept = _kept_hashes() / f"{hashlib.sha256(bytes(path)).hexdigest()}.json"
    given = {"path": str(path), "size": size, "changed": changed}
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        read = json.loads(kept.read_text(encoding="utf-8"))
        if {name: read[name] for name in given} == given:
            return str(read["sha256"])
    digest = _computed(path)
    if time.time() - changed / 1e9 > SETTLED:
        _keep(kept, given | {"sha256": digest})
    return digest


def _computed(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kept_hashes() -> Path:
    cache_home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache_home).expanduser() / "clip-shift-workbook" / "hashes"


def _keep(kept: Path, values: dict) -> None:
    # A place that can't be written costs time only.
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        written = kept.with_suffix(f".{os.getpid()}")
        written.write_text(json.dumps(values), encoding="utf-8")
        written.replace(kept)
