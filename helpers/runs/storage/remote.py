"""Object stores, where every request costs: what says how arrays are stored is asked for once."""

from collections.abc import AsyncIterator

from zarr.abc.store import Store
from zarr.core.buffer import Buffer
from zarr.storage import FsspecStore, WrapperStore

from helpers.checks import WorkbookError
from helpers.runs.storage.manifest import BUFFERS, KEY, copies

CHUNK = "/c/"
OPTIONS = {"s3": {"max_concurrency": 1}}
"""By scheme: s3fs otherwise asks for the size of every object before it reads it."""


class Remembered(WrapperStore):
    """A store that keeps its metadata and its lists in memory, as this process writes them.

    Another process may write, too, while this one waits for its turn: `look_again` then.
    """

    def __init__(self, store: Store):
        super().__init__(store)
        self._metadata: dict[str, Buffer | None] = {}
        self._lists: dict[str, list[str]] = {}

    def with_read_only(self, read_only: bool = False) -> Store:
        """Return this store; nothing that only reads asks it to write."""
        return self

    async def look_again(self) -> None:
        """If the group's own file is another one, forget the rest, and believe its copies of it."""
        known, stored = self._metadata.get(KEY), await self._store.get(KEY, BUFFERS)
        if known is None or stored is None or known.to_bytes() != stored.to_bytes():
            self._forget()
            for key, text in copies(stored.to_bytes() if stored else b"").items():
                self._metadata[key] = BUFFERS.buffer.from_bytes(text.encode())
        self._metadata[KEY] = stored

    async def get(self, key, prototype, byte_range=None):
        """Return the bytes of a key: those of metadata as they are known."""
        if CHUNK in key or byte_range is not None:
            return await self._store.get(key, prototype, byte_range)
        if key not in self._metadata:
            self._metadata[key] = await self._store.get(key, prototype)
        return self._metadata[key]

    async def exists(self, key: str) -> bool:
        """Return whether there is such a key."""
        if CHUNK in key:
            return await self._store.exists(key)
        return await self.get(key, BUFFERS) is not None

    async def set(self, key: str, value: Buffer) -> None:
        """Write a key."""
        await self._store.set(key, value)
        if CHUNK not in key:
            self._metadata[key] = value
            folder, _, name = key.rpartition("/")
            for place, entry in ((folder, name), *([("", folder)] if folder else [])):
                if entry not in self._lists.get(place, [entry]):
                    self._lists[place].append(entry)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a key, unless it is there."""
        if not await self.exists(key):
            await self.set(key, value)

    async def delete(self, key: str) -> None:
        """Delete a key."""
        await self._store.delete(key)
        if CHUNK not in key:
            self._metadata[key] = None
            self._lists.clear()

    async def delete_dir(self, prefix: str) -> None:
        """Delete all keys below a folder, if it is there at all."""
        if prefix in [name async for name in self.list_dir("")] or not prefix:
            await self._store.delete_dir(prefix)
            self._forget()

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """List the names in a folder."""
        if prefix not in self._lists:
            self._lists[prefix] = [name async for name in self._store.list_dir(prefix)]
        for name in self._lists[prefix]:
            yield name

    def _forget(self) -> None:
        self._metadata.clear()
        self._lists.clear()


def open_remote(url: str, scheme: str) -> Remembered:
    """Open what is at a URL, of any scheme that fsspec knows."""
    try:
        return Remembered(FsspecStore.from_url(url, storage_options=OPTIONS.get(scheme)))
    except (ImportError, ValueError, OSError) as error:
        raise WorkbookError(f"The arrays can't be kept at {url}: {error}.") from error
