"""Parameters that mean the same in any folder."""

from dataclasses import replace
from pathlib import Path

from helpers.data import absolute
from helpers.study.parameters import Parameters, split_model
from helpers.study.places import is_url


def absolute_paths(parameters: Parameters) -> Parameters:
    """Make the paths in parameters absolute, and leave names of all kinds as they are.

    Notebooks run in a folder of their own, where a relative path would mean another place.

    Parameters
    ----------
    parameters : Parameters

    Returns
    -------
    parameters : Parameters
        With the same results.

    Raises
    ------
    WorkbookError
        If there is no such source of images.
    """
    return replace(
        parameters,
        images=[absolute(source) for source in parameters.sources],
        out=_folder(parameters.out),
        model=_model(parameters.model),
        pretrained=_file(parameters.pretrained),
        texts=_file(parameters.texts),
        extend=_file(parameters.extend),
        compare=parameters.compare and [_weights(model) for model in parameters.compare],
    )


def _folder(out: str | None) -> str | None:
    if out is None or is_url(out):
        return out
    return str(Path(out).expanduser().absolute())


def _weights(model: str) -> str:
    name, pretrained = split_model(model)
    if pretrained is None:
        return _model(name)
    return f"{_model(name)}:{_file(pretrained)}"


def _model(name: str) -> str:
    """Make the path of a model's folder absolute, and leave names and hub ids as they are."""
    from helpers.clip.weights import is_hugging_face

    path = Path(name).expanduser()
    return str(path.absolute()) if path.exists() and is_hugging_face(name) else name


def _file(given: str | None) -> str | None:
    """Make the path of a file absolute, and leave names of weights and texts as they are."""
    is_file = given is not None and Path(given).expanduser().is_file()
    return str(Path(given).expanduser().absolute()) if is_file else given
