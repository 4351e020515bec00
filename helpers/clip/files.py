"""Weights files: finding them in a folder, and reading them without running code."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.checks import WorkbookError

if TYPE_CHECKING:
    import torch

IN_FOLDERS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""Names that `transformers` gives to weights, the safe ones first; an index lists several files."""


def weights_in(folder: Path) -> Path:
    """Find the weights in a folder of `transformers`.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Path
        The file, or the index of several.

    Raises
    ------
    WorkbookError
        If there is none, no configuration, or a file that the index lists is missing.
    """
    if not (folder / "config.json").is_file():
        raise WorkbookError(
            f"{folder} has no config.json, which says what its weights are; save the model with"
            " transformers' save_pretrained, or give open_clip's name as model and the file as"
            " pretrained."
        )
    path = next((folder / name for name in IN_FOLDERS if (folder / name).is_file()), None)
    if path is None:
        raise WorkbookError(
            f"{folder} holds no weights ({IN_FOLDERS[0]} or {IN_FOLDERS[2]}); a download that was"
            " interrupted leaves such a folder, so download it again."
        )
    if missing := [part.name for part in parts_of(path) if not part.is_file()]:
        raise WorkbookError(f"{folder} lacks {', '.join(missing)}; download it again.")
    return path


def parts_of(path: Path) -> list[Path]:
    """Return the files that hold the weights: those that an index lists, or the file itself.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of Path
        Beside the index, and nowhere else.

    Raises
    ------
    WorkbookError
        If the index is damaged, or names something else than files beside it.
    """
    if not path.name.endswith(".index.json"):
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


def names_in(path: Path) -> list[str]:
    """Return the names of a file's tensors; none where it can't be read as a state dict."""
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as opened:
                return list(opened.keys())
        except SafetensorError:
            return []
    import torch

    try:
        return list(torch.load(path, map_location="cpu", weights_only=True, mmap=True))
    except Exception:  # pickle, zip and torch raise kinds of their own; who loads it will tell
        return []


def read(path: Path) -> dict[str, "torch.Tensor"]:
    """Read a state dict, from one file or all that an index lists.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of str to Tensor

    Raises
    ------
    WorkbookError
        If a file is not one, or would run code.
    """
    state = {}
    for part in parts_of(path):
        try:
            state |= _read_one(part)
        except Exception as error:  # pickle, zip, safetensors and torch raise kinds of their own
            raise WorkbookError(
                f"{part} can't be read as weights: it is not a plain state dict, or only part of"
                " one; download it again."
            ) from error
    return state


def _read_one(path: Path) -> dict[str, "torch.Tensor"]:
    import torch

    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)
