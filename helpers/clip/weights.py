"""Where a model's weights are: in the package, in a local file, in a cache, or on a model hub."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from helpers.checks import WorkbookError, one_of
from helpers.clip import archives, embedded, files, hashes, hub, names
from helpers.clip.embedded.files import UNTRAINED

DEFAULT = "embedded-clip"
"""The model that is opened where none is named."""
PRECISIONS = {"auto": "float32", "float32": "float32", "bfloat16": "bfloat16"}
OPENAI_CACHE = Path("~/.cache/clip")
"""Where OpenAI's own package keeps its files."""


@dataclass(frozen=True)
class Weights:
    """A model's weights, found and not yet read."""

    path: Path | None = None  # A file, or the index of several; None for an untrained model
    # which of `files.IN_FOLDERS` lies beside the file and describes it
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
        parts = files.parts_of(self.path)
        for part in parts:
            hashes.check_promise(part, self.promised)
        beside = files.READ_WITH.get(self.configuration, ())
        read = [*parts, *(self.path.parent / name for name in beside)]
        found = [hashes.sha256(one) for one in read if one.is_file()]
        found += [self.chosen] if self.chosen else []
        return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()


def locate(name: str, pretrained: str | None) -> Weights:
    """Find a model's weights, downloading them when a tag is neither local nor cached."""
    named = names.resolve(name, pretrained)
    found = WAYS[named.kind](named)
    if found.path and archives.is_archive(found.path):
        archives.check(found.path, hashes.sha256(found.path), named.name)
    return found


def describes(found: Weights) -> bool:
    """Return whether the configuration beside weights says how the model is built.

    One of open_clip's may be there for the pixels alone.
    """
    if found.configuration != files.OPEN_CLIP:
        return found.configuration is not None
    return "model_cfg" in files.read_json(found.path.parent / files.OPEN_CLIP)


def fingerprint(name: str, pretrained: str | None) -> str:
    """Return the SHA-256 of a model's weights; see `locate` and `Weights.fingerprint`."""
    return locate(name, pretrained).fingerprint


def cached_tags(name: str) -> dict[str, Path]:
    """Return the tags of a model whose weights are on this machine already, and where."""
    import open_clip

    found = {tag: _cached(name, tag) for tag in open_clip.list_pretrained_tags_by_model(name)}
    return {tag: path for tag, path in found.items() if path}


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
    """Find the folder of a model, downloading it where it is not there.

    Parameters
    ----------
    named : Named
        A folder, a file in it, or an id.

    Returns
    -------
    Path

    Raises
    ------
    WorkbookError
        If other weights are asked for, or the folder can't be had.
    """
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
    own = folder(named)
    if named.pretrained == UNTRAINED:
        return Weights(configuration=files.configuration_in(own))
    given = Path(named.name).expanduser()
    path = given if given.is_file() and given.suffix != ".json" else files.weights_in(own)
    return Weights(path, files.configuration_of(path) or files.configuration_in(own))


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
    return Weights(path, files.configuration_of(path), chosen)


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
        files.weights_in(folder)
        if files.configuration_in(folder) == files.TRANSFORMERS:
            huggingface.read_config(folder)
    except WorkbookError:  # another kind of model, or only part of one
        return False
    return True


def _snapshot(name: str) -> Path | None:
    """Find the folder of a model in the hub cache."""
    from huggingface_hub import try_to_load_from_cache

    found = (try_to_load_from_cache(name, file) for file in files.IN_FOLDERS)
    return next((Path(path).parent for path in found if isinstance(path, str)), None)


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
        for each in _hub_files(file):
            path = try_to_load_from_cache(repository, each)
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
