"""A run's identity: all that the values of its arrays depend on."""

from importlib.metadata import version

from helpers import extend
from helpers.checks import one_of
from helpers.clip import weights
from helpers.data import CHANGES, Images
from helpers.data.change import SUBJECT
from helpers.data.images import LABEL
from helpers.runs.parameters import Parameters

# Raised when the same parameters give other values than before, so that old arrays are not read.
ARRAYS_VERSION = 6

CLASSES = "classes"
"""Entry of the identity: the classes of the images, where a change writes their names."""


def identity(parameters: Parameters, images: Images, fingerprint: str) -> dict[str, object]:
    """Return all that the values of a run's arrays depend on."""
    one_of("precision", parameters.precision, weights.PRECISIONS)
    # The study's way is named by nothing, so that arrays of before there was another are read.
    way = parameters.preprocessed_for
    return (
        ({} if way == "study" else {"preprocessing": way})
        | _classes(parameters, images)
        | {
            "images": images.fingerprint,
            "seed": parameters.seed,
            "severity": parameters.severity,
            "changes": list(parameters.change_names),
            "own": extend.fingerprint(parameters.change_names),
            "model": parameters.model,
            "weights": fingerprint,
            "precision": weights.PRECISIONS[parameters.precision],
            "layers": parameters.layers,
            "albumentations": version("albumentations"),
            "version": ARRAYS_VERSION,
        }
    )


def _classes(parameters: Parameters, images: Images) -> dict[str, list[str]]:
    if all(CHANGES[name].needs != SUBJECT for name in parameters.change_names):
        return {}  # the metadata of a million images are not read without need
    labels = images.metadata().get(LABEL, [])
    named = sorted({label for label in labels if label})
    return {CLASSES: named} if len(named) > 1 else {}
