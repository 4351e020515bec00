"""What a Zarr group's own ``zarr.json`` says of its arrays: enough to notice damage and repair it.

Chunks carry checksums of their own. The few files beside them are sealed
(`helpers.runs.storage.checksums`): the group's holds copies of those of all arrays, and can be made
anew from them.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping

from zarr.abc.store import Store
from zarr.buffer import default_buffer_prototype
from zarr.core.sync import sync

from helpers.runs.storage.checksums import BLANK, is_sealed, sealed

KEY = "zarr.json"
BUFFERS = default_buffer_prototype()


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

    def write(self, entries: Mapping[str, object], metadata: Mapping[str, str]) -> None:
        """Write the group's own file: what else it says, and copies of the arrays' metadata."""
        attributes = {**entries, "metadata": dict(sorted(metadata.items())), "checksum": BLANK}
        document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        self._set(KEY, sealed(json.dumps(document, indent=1)))

    def add(self, made: Store) -> dict[str, str]:
        """Write the files of new arrays, metadata last, and return these by key, sealed."""
        files = _read(made, sync(_collected(made.list())))
        metadata = {key: sealed(data) for key, data in files.items() if key.endswith(f"/{KEY}")}
        left = self.folders() - self.names()  # by a process that was killed
        for name in left & {key.partition("/")[0] for key in files}:
            sync(self._store.delete_dir(name))
        _write(self._store, {key: files[key] for key in files.keys() - {KEY, *metadata}})
        _write(self._store, metadata)
        return {key: data.decode() for key, data in metadata.items()}

    def clear(self) -> None:
        """Remove all that is in the store."""
        if self.folders():
            sync(self._store.delete_dir(""))

    def names(self) -> set[str]:
        """Return the names of the arrays of the group; of those stored where its file is lost."""
        return {key.removesuffix(f"/{KEY}") for key in self._metadata()}

    def axes(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the axes of the same arrays, by name."""
        return {
            key.removesuffix(f"/{KEY}"): tuple(json.loads(text)["dimension_names"])
            for key, text in self._metadata().items()
        }

    def sound(self) -> dict[str, str]:
        """Return the metadata of the arrays in the store that are as they were written, by key."""
        stored = _read(self._store, [f"{name}/{KEY}" for name in self.folders()])
        return {key: data.decode() for key, data in stored.items() if data and is_sealed(data)}

    def folders(self) -> set[str]:
        """Return the names of all that is in the store, whatever it is."""
        return {*sync(_collected(self._store.list_dir("")))} - {KEY}

    def count_files(self) -> int:
        """Return how many files the store holds."""
        return len(sync(_collected(self._store.list())))

    def damaged(self) -> list[str]:
        """Return the files of metadata that are missing or not as they were written."""
        there = self.read()
        if there is None:
            return [KEY]
        stored = _read(self._store, there["metadata"])
        return [key for key, text in there["metadata"].items() if stored[key] != text.encode()]

    def restore(self, key: str) -> None:
        """Write an array's metadata again, from the group's."""
        self._set(key, self.read()["metadata"][key].encode())

    def owners(self) -> set[str]:
        """Return whom the arrays in the store were made for (`mark`), by those that are sound."""
        return {json.loads(text)["attributes"]["of"] for text in self.sound().values()}

    def _metadata(self) -> dict[str, str]:
        there = self.read()
        return there["metadata"] if there else self.sound()

    def _get(self, key: str) -> bytes | None:
        return _read(self._store, [key])[key]

    def _set(self, key: str, data: bytes) -> None:
        _write(self._store, {key: data})


def copies(data: bytes) -> dict[str, str]:
    """Return the arrays' metadata that the group's own file has; none of a damaged one."""
    return json.loads(data)["attributes"]["metadata"] if is_sealed(data) else {}


def mark(identity: Mapping) -> dict[str, str]:
    """Return the attributes that an array is made with: whom it is ``of``, and room for a seal."""
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return {"of": digest[:16], "checksum": BLANK}


async def _collected(listed: AsyncIterator[str]) -> list[str]:
    return [name async for name in listed]


def _read(store: Store, keys: Iterable[str]) -> dict[str, bytes | None]:
    """Read files side by side, as an object store takes long for each; None where one is not."""
    stored = sync(_gathered([store.get(key, BUFFERS) for key in keys]))
    return {
        key: None if buffer is None else buffer.to_bytes()
        for key, buffer in zip(keys, stored, strict=True)
    }


def _write(store: Store, files: Mapping[str, bytes]) -> None:
    as_buffer = BUFFERS.buffer.from_bytes
    sync(_gathered([store.set(key, as_buffer(data)) for key, data in files.items()]))


async def _gathered(asked: Iterable[Awaitable]) -> list:
    return await asyncio.gather(*asked)
