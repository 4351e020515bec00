"""Parameters that mean the same in any folder."""

from pathlib import Path

from helpers.clip.names import split_model
from helpers.data import absolute
from helpers.runs.parameters import Parameters
from helpers.runs.paths import is_url


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
    from helpers.clip import names

    named = names.resolve(name, pretrained)
    path = Path(named.name).expanduser()
    is_path = named.kind == names.FOLDER and path.exists()
    own = str(path.absolute()) if is_path else named.name
    if named.pretrained is None or named.kind != names.OPEN_CLIP:
        return own, named.pretrained
    file, chosen = names.path_in(named.pretrained)
    return own, _file(str(file)) + (f"{names.INSIDE}{chosen}" if chosen else "")


def _file(given: str | None) -> str | None:
    """Make the path of a file absolute, and leave names of weights and texts as they are."""
    is_file = given is not None and Path(given).expanduser().is_file()
    return str(Path(given).expanduser().absolute()) if is_file else given
