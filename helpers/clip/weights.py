"""Where a model's weights are: in the package, in a local file, in a cache, or on a model hub."""

import hashlib
import re
from functools import cache
from pathlib import Path

from helpers.checks import WorkbookError, one_of
from helpers.clip import archives, embedded, files, hub
from helpers.clip.embedded.files import UNTRAINED

EMBEDDED = "embedded"
OPEN_CLIP = "open_clip"
HUGGING_FACE = "Hugging Face"
DEFAULT = "embedded-clip"
"""The model that is opened where none is named."""
PRECISIONS = {"auto": "float32", "float32": "float32", "bfloat16": "bfloat16"}
WEIGHT_FILES = (".safetensors", ".pt", ".pth", ".bin")
OPENAI_CACHE = Path("~/.cache/clip")
"""Where OpenAI's own package keeps its files."""


def kind_of(name: str) -> str:
    """Say what a model's name means.

    Parameters
    ----------
    name : str
        As for `helpers.clip.load`.

    Returns
    -------
    str
        `EMBEDDED`, `OPEN_CLIP` for a name of open_clip's, or `HUGGING_FACE` for a folder, a file in
        it, or an id such as ``openai/clip-vit-base-patch32``.

    Raises
    ------
    WorkbookError
        If it means nothing.
    """
    if is_embedded(name):
        return EMBEDDED
    if is_hugging_face(name):
        return HUGGING_FACE
    if "/" in name:
        raise WorkbookError(f"There is no folder {name}; give the path of one that holds a model.")
    one_of("model", name, [*embedded.NAMES, *open_clip_names()])
    return OPEN_CLIP


def is_embedded(name: str) -> bool:
    """Return whether a name means one of the models that come with the workbook."""
    return name in embedded.NAMES


def is_hugging_face(name: str) -> bool:
    """Return whether a name means a model of `transformers`: a folder, a file in it, or an id."""
    if Path(name).expanduser().exists():
        return "/" in name or name not in open_clip_names()
    return re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None


def locate(name: str, pretrained: str | None) -> Path | None:
    """Find a model's weights, downloading them when a tag is neither local nor cached.

    Parameters
    ----------
    name : str
        As for `helpers.clip.load`.
    pretrained : str or None
        A tag of open_clip's, a local file, or None for an untrained model.

    Returns
    -------
    Path or None
        The weights file, or the index of several; None for an untrained model.

    Raises
    ------
    WorkbookError
        If the name, tag or file is unknown, or the weights can't be had.
    """
    kind = kind_of(name)
    if kind == EMBEDDED:
        return embedded.weights_file(name, pretrained)
    if kind == HUGGING_FACE:
        own = folder(name, pretrained)
        return None if pretrained == UNTRAINED else files.weights_in(own)
    if pretrained is None:
        return None
    path = Path(pretrained).expanduser()
    local = path.suffix in WEIGHT_FILES or path.exists()
    path = _local_file(path) if local else _tagged(name, pretrained)
    if archives.is_archive(path):
        archives.check(path, _sha256(path), name)
    return path


def fingerprint(path: Path | None) -> str:
    """Return the SHA-256 of a model's weights, or ``"untrained"`` where there are none.

    Parameters
    ----------
    path : Path or None
        A weights file or an index of several; beside `transformers`' the configuration counts, too,
        as it names the activation.

    Returns
    -------
    str
    """
    if path is None:
        return "untrained"
    read = files.parts_of(path)
    if path.name in files.IN_FOLDERS:
        read = [*read, *path.parent.glob("config.json")]
    hashes = [_sha256(one) for one in read]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def title(name: str, pretrained: str | None) -> str:
    """Return how results name a model; says *untrained* or *embedded* where that is so."""
    if is_embedded(name):
        own = f"{name} model"
        if pretrained == UNTRAINED:
            return f"{own}, untrained"
        return own if pretrained is None else f"{own} at step {pretrained}"
    if is_hugging_face(name):
        path = Path(name).expanduser()
        own = path.absolute().name if path.exists() else name
        return f"{own}, untrained" if pretrained == UNTRAINED else own
    return f"{name}, {Path(pretrained).name if pretrained else 'untrained'}"


@cache
def open_clip_names() -> tuple[str, ...]:
    """Return the names of all models that open_clip builds."""
    import open_clip

    return tuple(open_clip.list_models())


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
    return {name: folder for name, folder in folders.items() if folder and _is_pair(folder)}


def _is_pair(folder: Path) -> bool:
    from helpers.clip import huggingface

    try:
        files.weights_in(folder)
        huggingface.read_config(folder)
    except WorkbookError:  # another kind of model, or only part of one
        return False
    return True


def _local_file(path: Path) -> Path:
    if path.is_dir():
        raise WorkbookError(f"{path} is a folder; give it as model, and leave pretrained out.")
    if not path.is_file():
        raise WorkbookError(f"There is no weights file {path}; give the path of an existing one.")
    return path


def folder(name: str, pretrained: str | None) -> Path:
    """Find the folder of a model of `transformers`, downloading it where it is not there.

    Parameters
    ----------
    name : str
        A folder, a file in it, or an id.
    pretrained : str or None
        None for the folder's weights, or ``"0"`` for the same architecture untrained.

    Returns
    -------
    Path

    Raises
    ------
    WorkbookError
        If other weights are asked for, or the folder can't be had.
    """
    if pretrained not in (None, UNTRAINED):
        raise WorkbookError(
            f"The model {name} comes with its weights; leave pretrained ({pretrained}) out, or give"
            f" {UNTRAINED} for the same architecture untrained."
        )
    path = Path(name).expanduser()
    if path.exists():
        return path if path.is_dir() else path.parent
    return _snapshot(name) or hub.download(name)


def _snapshot(name: str) -> Path | None:
    """Find the folder of a model in the hub cache."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(name, "config.json")
    return Path(path).parent if isinstance(path, str) else None


def _tagged(name: str, tag: str) -> Path:
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(name)
    if not tags:
        raise WorkbookError(
            f"open_clip knows no weights for {name}; give pretrained a local file, or leave it out"
            " for an untrained model."
        )
    one_of(f"pretrained (weights of {name})", tag, tags)
    return _cached(name, tag) or _downloaded(name, tag)


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

    try:
        if not hub.reachable():
            raise ConnectionError
        return Path(open_clip.download_pretrained(open_clip.get_pretrained_cfg(name, tag)))
    except Exception as error:  # whatever the network stack raises, the ways on are the same
        raise WorkbookError(_unavailable(name, tag)) from error


def _unavailable(name: str, tag: str) -> str:
    import open_clip

    config = open_clip.get_pretrained_cfg(name, tag)
    source = config["hf_hub"].rstrip("/") or config["url"]
    cached = ", ".join(cached_tags(name)) or "none of this model's is"
    return (
        f"The weights {tag} of {name} are not on this machine, and {source} could not be"
        f" downloaded. Three ways on: a tag that is cached here ({cached}); a local .safetensors or"
        " .pt file as pretrained; or model embedded-clip, which needs no download."
    )
