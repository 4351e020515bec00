"""Files of weights: finding them in a folder, and reading them without running code.

OpenAI's own files are TorchScript archives, which are programs: they are opened only if they are
the known ones. The address of each carries its SHA-256
(openaipublic.azureedge.net/clip/models/<sha256>/…).
"""

import json
import re
import zipfile
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.checks import WorkbookError

if TYPE_CHECKING:
    import torch

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

OPENAI = {
    "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762": "RN50",
    "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599": "RN101",
    "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd": "RN50x4",
    "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa": "RN50x16",
    "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c": "RN50x64",
    "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af": "ViT-B-32",
    "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f": "ViT-B-16",
    "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836": "ViT-L-14",
    "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02": "ViT-L-14-336",
}
"""SHA-256 of an archive → open_clip's name of its model."""

NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")


def configuration_in(folder: Path) -> str:
    """Return which configuration describes the weights of a folder."""
    there = [name for name in IN_FOLDERS if (folder / name).is_file()]
    if not there and (folder / "adapter_config.json").is_file():
        raise WorkbookError(f"{folder} {ADAPTER}.")
    if not there:
        raise WorkbookError(
            f"{folder} has no {TRANSFORMERS} or {OPEN_CLIP}, which says what its weights are; save"
            " the model with transformers' save_pretrained, or give open_clip's name as model and"
            " the file as pretrained."
        )
    of_models = [name for name in there if _names_a_model(folder / name)]
    filled = [name for name in of_models if _weights(folder, name)]
    return (filled or of_models or there)[0]


def configuration_of(path: Path) -> str | None:
    """Return which configuration beside a weights file describes it; None if there is none."""
    for name, patterns in IN_FOLDERS.items():
        configuration = path.parent / name
        fits = any(fnmatch(path.name, pattern) for pattern in patterns)
        if fits and configuration.is_file() and _names_a_model(configuration):
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
        choice = (name for pattern in patterns for name in names if fnmatch(name, pattern))
        first = next(choice, None)
        if configuration in names and first:
            base = first.split(".", 1)[0]
            ending = ".bin" if ".bin" in first else ".safetensors"
            parts = [name for name in names if re.fullmatch(rf"{base}-\d+-of-\d+{ending}", name)]
            return [first, *(parts if "index" in first else ())]
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
    """Return the state dict of a file, or of all files that an index lists."""
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
    """Return what a file is that can't be read as weights, and what to do."""
    with path.open("rb") as file:
        start = file.read(512).lower()
    for sign, meaning in SIGNS:
        if re.match(sign, start):
            return meaning
    message = f"{type(error).__name__} {error}".lower()
    is_cut = start.startswith(ARCHIVE.lower()) and not zipfile.is_zipfile(path)
    return CUT if is_cut or any(sign in message for sign in CUT_SIGNS) else NO_STATE_DICT


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


def is_archive(path: Path) -> bool:
    """Return whether a file is a TorchScript archive: a program, beside its weights."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def check_archive(path: Path, sha256: str, name: str) -> None:
    """Refuse an archive that is not OpenAI's own, or is another model's."""
    if sha256 not in OPENAI:
        raise WorkbookError(
            f"{path} is a TorchScript archive, which is a program, and its SHA-256 is none of those"
            " that OpenAI published; give the model's weights as .safetensors."
        )
    if OPENAI[sha256] != name.removesuffix("-quickgelu"):
        raise WorkbookError(f"{path} holds OpenAI's {OPENAI[sha256]}; give model that name.")


def read_archive(path: Path) -> dict[str, "torch.Tensor"]:
    """Read the weights of a checked archive, on the CPU, in float32."""
    import torch

    state = torch.jit.load(str(path), map_location="cpu").state_dict()
    return {name: value.float() for name, value in state.items() if name not in NOT_WEIGHTS}
