"""What opening a run takes."""

from helpers.clip import names
from helpers.data.texts import Texts, open_texts
from helpers.runs.parameters import Parameters


def open_pool(parameters: Parameters) -> Texts:
    """Open the pool of texts that the parameters ask for."""
    return open_texts(parameters.texts) if parameters.texts else own_pool(parameters)


def own_pool(parameters: Parameters) -> Texts:
    """Open the pool of texts that suits the parameters' model."""
    return open_texts("scenes" if names.is_embedded(parameters.model) else "general")
