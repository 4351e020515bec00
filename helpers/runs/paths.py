"""Where a run's results lie; paths in parameters."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from helpers.checks import WorkbookError
from helpers.clip import names
from helpers.clip.names import split_model
from helpers.data import absolute
from helpers.runs.parameters import NOTEBOOKS, OUTPUTS, Parameters, profile_of
from helpers.runs.storage.arrays import Arrays

RECORD, REPORT = "run.json", "index.html"
"""What a run's folder has: what it says of itself, and its report."""
ARRAYS, ALIGNED = "arrays.zarr", "aligned.zarr"
"""And its arrays, with those of `helpers.runs.derived.geometry.aligned_scores`."""


def folder(parameters: Parameters, identity: Mapping[str, object]) -> Path:
    """Choose the folder of a run's tables, figures, notebooks and record.

    By default it is below ``outputs/``: the profile's name, or one of the parameters' own.
    """
    if parameters.out is not None:
        return _folder_of(parameters.out)
    # Arrays don't depend on these, but tables and figures do: they must not be overwritten.
    read_with = {"texts": parameters.texts, "compare": parameters.compare}
    read_with["extend"] = parameters.extension
    key = hashlib.sha256(json.dumps({**identity, **read_with}).encode()).hexdigest()[:8]
    profile = profile_of(parameters)
    if profile is None:
        return OUTPUTS / f"run-{key}"
    # The same profile after an upgrade, or with other files in its folder: another run.
    there = Arrays.identity_of(str(OUTPUTS / profile / ARRAYS))
    return OUTPUTS / (profile if there in (None, identity) else f"{profile}-{key}")


def numbered_notebooks() -> list[Path]:
    """Return the workbook's notebooks in the order of their numbers, the appendix last."""
    return sorted(NOTEBOOKS.glob("[0-9A][0-9]_*.ipynb"))


def store(out: str | None, folder: Path) -> str:
    """Return where a run's arrays are: the path or URL of a Zarr group."""
    return below(out, folder, ARRAYS)


def below(out: str | None, folder: Path, name: str) -> str:
    """Return a path below a run's folder, or a URL below its ``out`` where that is one."""
    return f"{out if out and is_url(out) else folder}/{name}"


def is_url(out: str) -> bool:
    """Return whether it is a URL, and not the path of a folder."""
    return "://" in out


def _folder_of(out: str) -> Path:
    if not is_url(out):
        return Path(out).expanduser().absolute()
    url = urlsplit(out)
    return OUTPUTS / Path(f"{url.netloc}/{unquote(url.path)}".strip("/"))


def make_folders(folder: Path) -> None:
    """Make a run's folders."""
    try:
        for name in ("tables", "figures", "notebooks"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise WorkbookError(
            f"The run can't be written to {folder}: {error.strerror}. Choose another folder with"
            " --out."
        ) from error


def absolute_paths(parameters: Parameters) -> Parameters:
    """Make the paths in parameters absolute, and leave names of all kinds as they are.

    Notebooks run in a folder of their own, where a relative path would mean another place.
    """
    return plain_models(parameters).replace(
        images=[absolute(source) for source in parameters.sources],
        out=_folder(parameters.out),
        texts=_file(parameters.texts),
        extend=_file(parameters.extend),
    )


def plain_models(parameters: Parameters) -> Parameters:
    """Write models in the one way in which all else knows them: ``ViT-B-32`` for ``ViT-B/32``."""
    model, pretrained = _model(parameters.model, parameters.pretrained)
    compare = parameters.compare and [
        ":".join(filter(None, _model(*split_model(each)))) for each in parameters.compare
    ]
    return parameters.replace(model=model, pretrained=pretrained, compare=compare)


def _folder(out: str | None) -> str | None:
    if out is None or is_url(out):
        return out
    return str(Path(out).expanduser().absolute())


def _model(name: str, pretrained: str | None) -> tuple[str, str | None]:
    """Write a model and its weights in the one way in which they are written everywhere else."""
    named = names.resolve(name, pretrained)
    path = Path(named.name).expanduser()
    is_path = named.kind == names.FOLDER and path.exists()
    model = str(path.absolute()) if is_path else named.name
    if named.pretrained is None or named.kind != names.OPEN_CLIP:
        return model, named.pretrained
    file, chosen = names.path_in(named.pretrained)
    return model, _file(str(file)) + (f"{names.INSIDE}{chosen}" if chosen else "")


def _file(given: str | None) -> str | None:
    """Make the path of a file absolute, and leave names of weights and texts as they are."""
    is_file = given is not None and Path(given).expanduser().is_file()
    return str(Path(given).expanduser().absolute()) if is_file else given
