"""A model hub: whether it can be reached, and downloads from it."""

from functools import cache
from pathlib import Path

from helpers.checks import WorkbookError
from helpers.clip import files

BESIDE = ("*.json", "*.model", "*.txt")
"""Configuration and tokenizer, beside the weights."""


@cache
def reachable() -> bool:
    """Return whether the model hub answers.

    Without a network its client would try every file six times, half a minute each.
    """
    import huggingface_hub

    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return False
    try:
        huggingface_hub.get_session().head(huggingface_hub.constants.ENDPOINT, timeout=10)
    except Exception:  # whatever the network stack raises, the answer is the same
        return False
    return True


def download(name: str) -> Path:
    """Download a model of `transformers`.

    Parameters
    ----------
    name : str
        Its id on the hub.

    Returns
    -------
    Path
        The folder in the hub cache.

    Raises
    ------
    WorkbookError
        If it can't be had.
    """
    from huggingface_hub import list_repo_files, snapshot_download

    try:
        if not reachable():
            raise ConnectionError
        there = list_repo_files(name)
        safe = any(file in there for file in files.IN_FOLDERS[:2])
        weights = "model*.safetensors" if safe else "pytorch_model*.bin"
        return Path(snapshot_download(name, allow_patterns=[*BESIDE, weights]))
    except Exception as error:  # whatever the network stack raises, the ways on are the same
        raise WorkbookError(
            f"The model {name} is not on this machine, and could not be downloaded. Give the folder"
            " of a model that transformers saved, a name of open_clip's (`workbook models` lists"
            " them), or model embedded-clip, which needs no download."
        ) from error
