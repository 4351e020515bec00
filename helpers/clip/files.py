"""Weights files: finding them in a folder, and reading them without running code."""

import json
import re
import zipfile
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.checks import WorkbookError

if TYPE_CHECKING:
    pass

TRANSFORMERS = "config.json"
OPEN_CLIP = "open_clip_config.json"
READ_WITH = {
    TRANSFORMERS: (TRANSFORMERS, "preprocessor_config.json", "processor_config.json"),
    OPEN_CLIP: (OPEN_CLIP,),
}
"""A configuration → all that lies beside weights and says how they are read."""
IN_FOLDERS = {
    TRANSFORMERS: (
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "model.*.safetensors",
        "model.safetensors.index.*.json",
        "pytorch_model.*.bin",
    ),
    OPEN_CLIP: (
        "open_clip_model.safetensors",
        "open_clip_pytorch_model.safetensors",
        "open_clip_pytorch_model.bin",
        "open_clip_pytorch_model.pth",
        "model.safetensors",
        "pytorch_model.bin",
        "*.safetensors",
        "*.bin",
        "*.pt",
        "*.pth",
    ),
}
"""A configuration → the names that weights have beside it, the preferred first."""
PART = r".*-\d{5}-of-\d{5}\..*"
"""Names of the files that an index lists."""

SIGNS = (
    (
        rb"version https://git-lfs",
        "is a Git LFS pointer, which stands where the weights were not fetched; run `git lfs pull`"
        " in its folder",
    ),
    (
        rb"\s*<(!doctype|html|\?xml)",
        "is a web page, such as one that asks for a login or reports an error; download the"
        " weights again, logged in",
    ),
    (rb"\s*[{\[]", "is a text of JSON and holds no weights; download the weights again"),
    (rb"$", "is empty; download it again"),
)
"""How a file begins that is saved in place of weights → what it is, and what to do."""
ADAPTER = (
    "holds an adapter (LoRA), which changes the weights of a model and is none; merge it into its"
    " model (peft's merge_and_unload) and save that"
)
"""What an adapter is, and what to do; the end of a sentence."""
ARCHIVE, PICKLE = b"PK\x03\x04", b"\x80"
"""How the files of torch begin, those of today and of long ago."""
CUT_SIGNS = ("header too small", "invalid header length", "not fully covered", "eof")
"""What safetensors and torch call a file that ends too early."""
CUT = "holds only part of the weights, as a download does that was cut off; download it again"
NO_STATE_DICT = (
    "can't be read as weights: it is not a plain state dict; give one as .safetensors, or as .pt"
    " that loads without running code"
)


def configuration_in(folder: Path) -> str:
    """Say which configuration describes the weights of a folder."""
    found = [name for name in IN_FOLDERS if (folder / name).is_file()]
    if not found and (folder / "adapter_config.json").is_file():
        raise WorkbookError(f"{folder} {ADAPTER}.")
    if not found:
        raise WorkbookError(
            f"{folder} has no {TRANSFORMERS} or {OPEN_CLIP}, which says what its weights are; save"
            " the model with transformers' save_pretrained, or give open_clip's name as model and"
            " the file as pretrained."
        )
    own = [name for name in found if _names_a_model(folder / name)]
    filled = [name for name in own if _weights(folder, name)]
    return (filled or own or found)[0]


def configuration_of(path: Path) -> str | None:
    """Say which configuration beside a weights file describes it; None if there is none."""
    for name, patterns in IN_FOLDERS.items():
        there = path.parent / name
        ours = any(fnmatch(path.name, pattern) for pattern in patterns)
        if ours and there.is_file() and _names_a_model(there):
            return name
    return None


def weights_in(folder: Path) -> Path:
    """Find the weights in a folder of `transformers` or of open_clip."""
    configuration = configuration_in(folder)
    path = _weights(folder, configuration)
    if path is None:
        names = [name for name in IN_FOLDERS[configuration] if "*" not in name]
        raise WorkbookError(
            f"{folder} holds no weights ({', '.join(names[:3])}); a download that was interrupted"
            " leaves such a folder, so download it again."
        )
    if missing := [part.name for part in parts_of(path) if not part.is_file()]:
        raise WorkbookError(f"{folder} lacks {', '.join(missing)}; download it again.")
    return path


def wanted_of(names: Iterable[str]) -> list[str]:
    """Choose which weights of a repository are downloaded."""
    names = list(names)
    for configuration, patterns in IN_FOLDERS.items():
        found = [name for pattern in patterns for name in names if fnmatch(name, pattern)]
        if configuration in names and found:
            base = found[0].split(".", 1)[0]
            ending = ".bin" if ".bin" in found[0] else ".safetensors"
            parts = [name for name in names if re.fullmatch(rf"{base}-\d+-of-\d+{ending}", name)]
            return [found[0], *(parts if "index" in found[0] else ())]
    return []


def parts_of(path: Path) -> list[Path]:
    """Return the files that hold the weights: those that an index lists, or the file itself."""
    if path.suffix != ".json":
        return [path]
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()
        names = sorted({str(name) for name in listed})
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise WorkbookError(f"{path} is no index of weights files; download it again.") from error
    if strays := [name for name in names if Path(name).name != name]:
        raise WorkbookError(
            f"{path} lists {strays[0]!r}, which is no file beside it; don't trust this model."
        )
    return [path.parent / name for name in names]


def read(path: Path) -> dict:
    """Read what a file holds, or the state dict of all files that an index lists.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict
        Names to tensors; from a checkpoint of a training, whatever holds them.

    Raises
    ------
    WorkbookError
        If a file is none of weights, only part of one, or would run code.
    """
    contents = {}
    for part in parts_of(path):
        try:
            contents |= _read_one(part)
        except Exception as error:  # pickle, zip, safetensors and torch raise kinds of their own
            raise WorkbookError(f"{part} {what_is(part, error)}.") from error
    return contents


def read_json(path: Path) -> dict:
    """Read a configuration; an empty one where there is no such file."""
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WorkbookError(f"{path} is no JSON ({error}); download it again.") from error
    if not isinstance(values, dict):
        raise WorkbookError(f"{path} is no configuration of a model; download it again.")
    return values


def what_is(path: Path, error: Exception) -> str:
    """Say what a file is that can't be read as weights, and what to do."""
    with path.open("rb") as file:
        start = file.read(512).lower()
    for sign, meaning in SIGNS:
        if re.match(sign, start):
            return meaning
    told = f"{type(error).__name__} {error}".lower()
    is_cut = start.startswith(ARCHIVE.lower()) and not zipfile.is_zipfile(path)
    return CUT if is_cut or any(sign in told for sign in CUT_SIGNS) else NO_STATE_DICT


def _read_one(path: Path) -> dict:
    import torch

    with path.open("rb") as file:
        start = file.read(4)
    # What a file holds decides, and not its name: people rename them.
    if not start.startswith((ARCHIVE, PICKLE)):
        from safetensors.torch import load_file

        return load_file(path)
    in_place = zipfile.is_zipfile(path) and path.suffix != ".safetensors"
    with path.open("rb") as file:  # by its name torch would take it for safetensors
        source = path if in_place else file
        contents = torch.load(source, map_location="cpu", weights_only=True, mmap=in_place)
    if not isinstance(contents, dict):
        raise TypeError("no dict")
    return contents


def _weights(folder: Path, configuration: str) -> Path | None:
    for pattern in IN_FOLDERS[configuration]:
        for path in sorted(folder.glob(pattern)):
            if path.is_file() and not re.fullmatch(PART, path.name):
                return path
    return None


def _names_a_model(path: Path) -> bool:
    """Return whether a configuration describes a model of its kind; timm writes one, too."""
    return path.name == OPEN_CLIP or "model_type" in read_json(path)
