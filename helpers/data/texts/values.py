"""The values that the properties of the embedded model's world take."""

from collections.abc import Mapping
from types import MappingProxyType

from helpers.data.photos import PHOTOS
from helpers.data.scenes import PROPERTIES

VALUES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: row.values for name, row in PROPERTIES.items()} | {"photograph": tuple(PHOTOS.values())}
)
"""Property of the pool ``scenes`` → its values, as `helpers.analysis.directions` takes them."""
