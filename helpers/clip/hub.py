"""A model hub: whether it can be reached, downloads from it, and why one failed."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.error import HTTPError

from helpers.checks import WorkbookError
from helpers.clip import formats

BESIDE = ("*.json", "*.model", "*.txt")
"""Configuration and tokenizer, beside the weights."""
REASONS = {
    400: "the server refused the request",
    401: "there is none of this name, or it needs a login: check the spelling, or run `hf auth"
    " login` with an account that may read it",
    403: "access is refused: ask its owners for access on its page, then run `hf auth login`",
    404: "the server has none of this name: check the spelling, or where it has moved to",
    429: "it was asked too often: try again in some minutes",
    500: "the server is out of order, which is not your fault: try again later",
}
"""Answer of a server → what it means and what to do; of a hundred the first stands for the rest."""
CUT = ("consistency check", "remoteprotocol", "incompleteread", "readerror", "peer closed")
"""What the error says when a download ended too early."""


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


def download(name: str, part: Path | None = None) -> Path:
    """Download a model that has a configuration, of which ``part`` may be in the hub cache."""
    from huggingface_hub import HfApi, snapshot_download

    try:
        _check_reachable()
        there = HfApi().list_repo_files(name)
        if not (wanted := formats.wanted_of(there)):
            raise WorkbookError(
                f"The model {name} on the hub has no weights that can be read here, with"
                f" {formats.TRANSFORMERS} or {formats.OPEN_CLIP}; it has {', '.join(there[:8])}."
            )
        return Path(snapshot_download(name, allow_patterns=[*BESIDE, *wanted]))
    except WorkbookError:
        raise
    except Exception as error:  # whatever the network stack raises, the ways on are the same
        where = f"only in part on this machine ({part})" if part else "not on this machine"
        raise WorkbookError(
            f"The model {name} is {where}, and could not be downloaded: {why(error)}."
            " Other ways: the folder of a model, a name of open_clip's (`workbook models` lists"
            " them), or model embedded-clip, which needs no download."
        ) from error


def download_any(repository: str, names: list[str]) -> Path:
    """Download the first of some files that a repository of the hub has."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    _check_reachable()
    *first, last = names
    for name in first:
        try:
            return Path(hf_hub_download(repository, name))
        except LocalEntryNotFoundError:  # nothing was answered
            raise
        except EntryNotFoundError:
            continue
    return Path(hf_hub_download(repository, last))


def why(error: BaseException) -> str:
    """Return why a download failed and what to do, as the end of a sentence."""
    for each in _chain(error):
        status = _status(each)
        if reason := REASONS.get(status) or REASONS.get(status // 100 * 100):
            return f"{reason} (the server answered {status})"
        if any(sign in f"{type(each).__name__} {each}".lower() for sign in CUT):
            return "the download was cut off: try again, on a steadier line if need be"
    return "no model hub can be reached: check the network, and HF_HUB_OFFLINE if it is set"


def _check_reachable() -> None:
    if not reachable():
        raise ConnectionError


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Go through an error and those that it was raised from; a client may hide the true one."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int:
    from huggingface_hub.errors import GatedRepoError

    if isinstance(error, GatedRepoError):
        return 403
    if isinstance(error, HTTPError):
        return error.code
    return getattr(getattr(error, "response", None), "status_code", 0)
