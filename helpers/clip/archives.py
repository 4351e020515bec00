"""OpenAI's own files: TorchScript archives, which are programs, opened only if they are the known.

The address of each file carries its SHA-256 (openaipublic.azureedge.net/clip/models/<sha256>/…).
"""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.checks import WorkbookError

if TYPE_CHECKING:
    import torch

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


def is_archive(path: Path) -> bool:
    """Return whether a file is a TorchScript archive: a program, beside its weights."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def check(path: Path, sha256: str, name: str) -> None:
    """Refuse an archive that is not OpenAI's own, or is another model's."""
    if sha256 not in OPENAI:
        raise WorkbookError(
            f"{path} is a TorchScript archive, which is a program, and its SHA-256 is none of those"
            " that OpenAI published; give the model's weights as .safetensors."
        )
    if OPENAI[sha256] != name.removesuffix("-quickgelu"):
        raise WorkbookError(f"{path} holds OpenAI's {OPENAI[sha256]}; give model that name.")


def read(path: Path) -> dict[str, "torch.Tensor"]:
    """Read the weights of a checked archive, on the CPU, in float32.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of str to Tensor
    """
    import torch

    state = torch.jit.load(str(path), map_location="cpu").state_dict()
    return {name: value.float() for name, value in state.items() if name not in NOT_WEIGHTS}
