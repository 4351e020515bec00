"""Where a model's weights are: in the package, in a local file, in a cache, or on a model hub."""

import hashlib
from functools import cache
from pathlib import Path

from helpers.checks import WorkbookError, one_of

EMBEDDED = "embedded"
PRECISIONS = {"auto": "float32", "float32": "float32", "bfloat16": "bfloat16"}
WEIGHT_FILES = (".safetensors", ".pt", ".pth", ".bin")


def locate(name: str, pretrained: str | None) -> Path | None:
    """Find a model's weights, downloading them when a tag is neither local nor cached.

    Parameters
    ----------
    name : str
        ``"embedded"`` or the name of an open_clip model.
    pretrained : str or None
        A tag of open_clip's, a local file, or None for an untrained model.

    Returns
    -------
    Path or None
        The weights file; None for an untrained model.

    Raises
    ------
    WorkbookError
        If the name, tag or file is unknown, or the weights can't be had.
    """
    if name == EMBEDDED:
        from helpers.clip import embedded

        return embedded.weights_file(pretrained)
    _check_name(name)
    if pretrained is None:
        return None
    path = Path(pretrained).expanduser()
    if path.suffix in WEIGHT_FILES or path.is_file():
        return _local_file(path)
    return _tagged(name, pretrained)


def fingerprint(path: Path | None) -> str:
    """Return the SHA-256 of a weights file, or ``"untrained"`` where there is none."""
    if path is None:
        return "untrained"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def title(name: str, pretrained: str | None) -> str:
    """Return how results name a model; says *untrained* or *embedded* where that is so."""
    if name == EMBEDDED:
        from helpers.clip.embedded.files import UNTRAINED

        if pretrained == UNTRAINED:
            return "embedded model, untrained"
        return "embedded model" if pretrained is None else f"embedded model at step {pretrained}"
    return f"{name}, {Path(pretrained).name if pretrained else 'untrained'}"


def vision_transformers() -> list[str]:
    """Return the names of open_clip's models that are plain transformers with a class token."""
    import open_clip

    configs = {name: open_clip.get_model_config(name) for name in open_clip.list_models()}
    return [name for name, config in configs.items() if _is_supported(config)]


def cached_tags(name: str) -> list[str]:
    """Return the tags of a model whose weights are on this machine already."""
    import open_clip

    return [tag for tag in open_clip.list_pretrained_tags_by_model(name) if _cached(name, tag)]


def _is_supported(config: dict) -> bool:
    vision = config["vision_cfg"]
    # open_clip writes the four stages of a ResNet where a transformer has its number of layers.
    resnet = isinstance(vision.get("layers"), list)
    pooled = vision.get("attentional_pool") or vision.get("pool_type", "tok") != "tok"
    # Towers of other libraries have blocks, or text vocabularies, that only a model hub has.
    foreign = "timm_model_name" in vision or "hf_model_name" in config["text_cfg"]
    return not (resnet or pooled or foreign or "multimodal_cfg" in config)


@cache
def _check_name(name: str) -> None:
    import open_clip

    supported = vision_transformers()
    if name in open_clip.list_models() and name not in supported:
        raise WorkbookError(
            f"{name} can't be taken apart here: it is not one of open_clip's plain vision"
            " transformers with a class token. Choose one, such as ViT-B-32; `workbook models`"
            " lists them."
        )
    one_of("model", name, [EMBEDDED, *supported])


def _local_file(path: Path) -> Path:
    if not path.is_file():
        raise WorkbookError(f"There is no weights file {path}; give the path of an existing one.")
    return path


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
    if not config["hf_hub"]:
        path = Path.home() / ".cache/clip" / Path(config["url"]).name
        return path if path.is_file() else None
    repository, _, file = config["hf_hub"].rpartition("/")
    paths = (try_to_load_from_cache(repository, each) for each in _hub_files(file))
    return next((Path(path) for path in paths if isinstance(path, str)), None)


def _hub_files(file: str) -> list[str]:
    # The safe twin of a pickled file comes first, as in open_clip's own downloads.
    file = file or "open_clip_pytorch_model.bin"
    return [f"{Path(file).stem.replace('_pytorch', '')}.safetensors", file]


def _downloaded(name: str, tag: str) -> Path:
    import huggingface_hub
    import open_clip

    try:
        # Without a network every file would be tried six times, half a minute each; ask once.
        huggingface_hub.get_session().head(huggingface_hub.constants.ENDPOINT, timeout=10)
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
        " .pt file as pretrained; or model embedded, which needs no download."
    )
