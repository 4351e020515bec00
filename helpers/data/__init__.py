"""Pixels: images from any source, and the nine augmented views of each. Knows no model."""

from helpers.data.augmentations import AUGMENTATIONS, MAX_SEVERITY, SIZE, VIEWS, Augmentation, views
from helpers.data.decode import UnreadableImage
from helpers.data.images import Image, Images
from helpers.data.sources import SOURCES, Source, absolute, open_images

__all__ = [
    "AUGMENTATIONS",
    "MAX_SEVERITY",
    "SIZE",
    "SOURCES",
    "VIEWS",
    "Augmentation",
    "Image",
    "Images",
    "Source",
    "UnreadableImage",
    "absolute",
    "open_images",
    "views",
]
