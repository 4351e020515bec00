"""What a Zarr group's own ``zarr.json`` says of its arrays: enough to notice damage and repair it.

Chunks carry checksums of their own. The few files beside them are sealed
(`helpers.runs.storage.checksums`): the group's holds copies of those of all arrays, and can be made
anew from them.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping

from zarr.abc.store import Store
from zarr.buffer import default_buffer_prototype
from zarr.core.sync import sync

from helpers.runs.storage.checksums import BLANK, is_sealed, sealed

KEY = "zarr.json"


class Manifest:
    """The metadata of a Zarr group and of its arrays."""

    def __init__(self, store: Store):
        self._store = store

    def identity(self) -> dict | None:
        """Return what the arrays' values depend on; None where nothing undamaged says it."""
        data = self._get(KEY)
        if data is None or (b'"checksum"' in data and not is_sealed(data)):
            return None
        try:
            # Earlier versions had no seal; what they say is believed, and is another identity.
            return json.loads(json.loads(data)["attributes"]["identity"])
        except (ValueError, KeyError):
            return None

    def read(self) -> dict | None:
        """Return what `write` was given, and ``metadata``; None where it is missing or damaged."""
        data = self._get(KEY)
        return json.loads(data)["attributes"] if data and is_sealed(data) else None

    def write(self, entries: Mapping[str, object]) -> None:
        """Seal the metadata of all arrays in the store, and then that of the group."""
        keys = [f"{name}/{KEY}" for name in sorted(self.stored())]
        seals = {"metadata": {key: self._seal(key) for key in keys}, "checksum": BLANK}
        document = {"zarr_format": 3, "node_type": "group", "attributes": {**entries, **seals}}
        self._set(KEY, sealed(json.dumps(document, indent=1)))

    def names(self) -> set[str]:
        """Return the names of the arrays that were sealed; of those stored where that is lost."""
        there = self.read()
        return (
            {key.removesuffix(f"/{KEY}") for key in there["metadata"]} if there else self.stored()
        )

    def stored(self) -> set[str]:
        """Return the names of all arrays whose metadata are in the store."""
        return {
            name
            for name in sync(_collected(self._store.list_dir("")))
            if self._get(f"{name}/{KEY}")
        }

    def count_files(self) -> int:
        """Return how many files the store holds."""
        return len(sync(_collected(self._store.list())))

    def damaged(self) -> list[str]:
        """Return the files of metadata that are missing or not as they were written."""
        there = self.read()
        if there is None:
            return [KEY]
        return [key for key, text in there["metadata"].items() if self._get(key) != text.encode()]

    def restore(self, key: str) -> None:
        """Write an array's metadata again, from the group's."""
        self._set(key, self.read()["metadata"][key].encode())

    def owner(self, name: str) -> str | None:
        """Return whom an array was made for (`mark`); None where nothing undamaged says it."""
        data = self._get(f"{name}/{KEY}")
        return json.loads(data)["attributes"]["of"] if data and is_sealed(data) else None

    def _seal(self, key: str) -> str:
        data = sealed(self._get(key))
        self._set(key, data)
        return data.decode()

    def _get(self, key: str) -> bytes | None:
        data = sync(self._store.get(key, default_buffer_prototype()))
        return None if data is None else data.to_bytes()

    def _set(self, key: str, data: bytes) -> None:
        sync(self._store.set(key, default_buffer_prototype().buffer.from_bytes(data)))


def mark(identity: Mapping) -> dict[str, str]:
    """Return the attributes that an array is made with: whom it is ``of``, and room for a seal."""
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return {"of": digest[:16], "checksum": BLANK}


async def _collected(listed: AsyncIterator[str]) -> list[str]:
    return [name async for name in listed]
