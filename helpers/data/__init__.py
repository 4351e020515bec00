"""Pixels: images from any source, and the changed views of each. Knows no model."""

from helpers.data.augmentations import AUGMENTATIONS
from helpers.data.change import MAX_SEVERITY, SIZE, Change
from helpers.data.changes import CHANGES, SETS, STUDY, VIEWS, names_of, scale_of, views
from helpers.data.decode import UnreadableImage
from helpers.data.images import Image, Images
from helpers.data.preprocessing import STUDY_PREPROCESSING, Preprocessing
from helpers.data.sources import SOURCES, Source, absolute, open_images

__all__ = [
    "AUGMENTATIONS",
    "CHANGES",
    "MAX_SEVERITY",
    "SETS",
    "SIZE",
    "SOURCES",
    "STUDY",
    "STUDY_PREPROCESSING",
    "VIEWS",
    "Change",
    "Image",
    "Images",
    "Preprocessing",
    "Source",
    "UnreadableImage",
    "absolute",
    "names_of",
    "open_images",
    "scale_of",
    "views",
]
