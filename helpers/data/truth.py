"""What is known to be true of images: the questions that have an answer.

A scene is drawn, so its properties are known; of a bundled photograph its caption is. A question is
asked only of images with a true answer: a photograph has no fill, and a scene shows none of the
photographs.
"""

from collections.abc import Iterable, Sequence

import pandas as pd

from helpers.data.changes import VIEWS
from helpers.data.decode import UnreadableImage
from helpers.data.images import LABEL, Image
from helpers.data.sources import PHOTOS, SCENE

CAPTION = "caption"
PHOTOGRAPH = "photograph"
MIRROR = "horizontal_flip"
SIDES = {"left": "right", "right": "left"}


def known_truth(images: Iterable[Image]) -> pd.DataFrame:
    """Return what is known of images.

    Parameters
    ----------
    images : iterable of Image

    Returns
    -------
    DataFrame of str
        A row per image, indexed by id. ``caption`` is a sentence about it: of a scene all that
        fits, else what its source says. Then a column per property: of scenes those of
        `helpers.data.scenes.PROPERTIES`, where a property of objects counts if all objects share
        its value; ``photograph`` of the bundled photographs, which is their caption; ``label`` of
        images whose metadata name a class. "" where nothing is known.
    """
    images = list(images)
    table = pd.DataFrame([_known(image) for image in images], index=[image.id for image in images])
    rest = [name for name in table.columns if name != CAPTION]
    return table[[CAPTION, *rest]].fillna("").rename_axis("image")


def truth_of_views(truth: pd.DataFrame, views: Sequence[str] = VIEWS) -> dict[str, pd.DataFrame]:
    """Return what is true of each view: in a mirror, left is right.

    All other changes keep what the original shows, or change it by an unknown amount: an
    object may be repainted (colour jitter) or move to another place (shift-scale-rotate). Of them
    the truth is that of the original.

    Parameters
    ----------
    truth : DataFrame of str
        As of `known_truth`.
    views : sequence of str
        Names of views.

    Returns
    -------
    dict of str to DataFrame
        View → its truth.
    """
    truths = dict.fromkeys(views, truth)
    if "position" in truth and MIRROR in truths:
        truths[MIRROR] = truth.assign(position=truth["position"].map(_mirrored))
    return truths


def _mirrored(position: str) -> str:
    return " ".join(SIDES.get(word, word) for word in position.split(" "))


def _known(image: Image) -> dict[str, str]:
    # A file of a user's that is called like a scene need not be one.
    drawn = image.path is None and SCENE.fullmatch(image.id)
    if drawn:
        return _known_of_scene(*map(int, drawn.groups()))
    try:
        caption, label = image.caption or "", image.label
    except UnreadableImage:  # a run reports the image, which it can't read either
        return {CAPTION: ""}
    bundled = image.path is None and caption in PHOTOS.values()
    known = {PHOTOGRAPH: caption if bundled else None, LABEL: label}
    return {CAPTION: caption} | {name: value for name, value in known.items() if value}


def _known_of_scene(seed: int, index: int) -> dict[str, str]:
    # A run on photographs need not load what draws scenes.
    from helpers.data.scenes import PROPERTIES, scene

    drawn = scene(index, seed)
    shared = drawn.attributes[list(PROPERTIES)].nunique() == 1
    first = drawn.attributes.iloc[0]
    return {CAPTION: drawn.full_caption} | {
        name: first[name] for name in PROPERTIES if shared[name]
    }
