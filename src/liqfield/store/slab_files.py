"""Where slabs lie: a folder on disk, or memory with a bound. Both behave the same."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

from liqfield.model.errors import StoreError
from liqfield.store.atomic import write_atomic
from liqfield.store.slab import SlabIndex, SlabKey, index_bytes, read_index

_HEAD_GUESS = 8192  # the index usually fits: one read


class SlabFiles(Protocol):
    """Safe to call from the writer's thread and from one reader at once."""

    def name(self, key: SlabKey) -> str:
        """For messages to people."""
        ...

    def write(self, key: SlabKey, data: bytes, *, is_complete: bool) -> None: ...

    def read(self, key: SlabKey) -> bytes | None: ...

    def read_tile(
        self, key: SlabKey, level: int, price_index: int
    ) -> tuple[SlabIndex, bytes | None] | None:
        """(index, zstd frame or None where the slab has no such tile); None without the slab."""
        ...

    def newest(self, base: str, venue: str, column_s: int) -> SlabKey | None:
        """The latest slab of a series."""
        ...

    def prune(self, key: SlabKey) -> None:
        """Forget the slabs of the same series that are older than `key`."""
        ...


class SlabFolder:
    """<folder>/<base>/<venue>/<column_s>/<time_index>.slab"""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, key: SlabKey) -> Path:
        name = f"{key.time_index}.slab"
        return self._folder / key.base / key.venue / str(key.column_s) / name

    def name(self, key: SlabKey) -> str:
        return str(self.path(key))

    def write(self, key: SlabKey, data: bytes, *, is_complete: bool) -> None:
        write_atomic(self.path(key), data, durable=is_complete)

    def read(self, key: SlabKey) -> bytes | None:
        try:
            return self.path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(str(self.path(key)), str(error.strerror)) from error

    def read_tile(
        self, key: SlabKey, level: int, price_index: int
    ) -> tuple[SlabIndex, bytes | None] | None:
        path = self.path(key)
        try:
            with path.open("rb") as file:
                head = file.read(_HEAD_GUESS)
                end = index_bytes(head)
                head += file.read(max(end - len(head), 0))
                index = read_index(head)
                entry = _find(index, level, price_index)
                if entry is None:
                    return index, None
                file.seek(end + entry[0])
                return index, file.read(entry[1])
        except (FileNotFoundError, NotADirectoryError):
            return None
        except StoreError as error:
            raise StoreError(str(path), error.why) from error
        except OSError as error:
            raise StoreError(str(path), str(error.strerror)) from error

    def newest(self, base: str, venue: str, column_s: int) -> SlabKey | None:
        keys = [SlabKey(base, venue, column_s, i) for i in self.indices(base, venue, column_s)]
        return max(keys, default=None)

    def prune(self, key: SlabKey) -> None:
        for time_index in self.indices(key.base, key.venue, key.column_s):
            if time_index < key.time_index:
                old = SlabKey(key.base, key.venue, key.column_s, time_index)
                self.path(old).unlink(missing_ok=True)

    def indices(self, base: str, venue: str, column_s: int) -> list[int]:
        """Time indices of the slabs of a series, in no order."""
        folder = self.path(SlabKey(base, venue, column_s, 0)).parent
        names = [path.stem for path in folder.glob("*.slab")]
        return [int(name) for name in names if name.lstrip("-").isdigit()]


class SlabMemory:
    """The same in memory, oldest written forgotten first beyond `limit_bytes`."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._slabs: OrderedDict[SlabKey, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def name(self, key: SlabKey) -> str:
        return f"{key} in memory"

    def write(self, key: SlabKey, data: bytes, *, is_complete: bool) -> None:  # noqa: ARG002
        with self._lock:
            self._bytes += len(data) - len(self._slabs.pop(key, b""))
            self._slabs[key] = data
            while self._bytes > self._limit_bytes and len(self._slabs) > 1:
                self._bytes -= len(self._slabs.popitem(last=False)[1])

    def read(self, key: SlabKey) -> bytes | None:
        with self._lock:
            return self._slabs.get(key)

    def read_tile(
        self, key: SlabKey, level: int, price_index: int
    ) -> tuple[SlabIndex, bytes | None] | None:
        data = self.read(key)
        if data is None:
            return None
        index = read_index(data)
        entry = _find(index, level, price_index)
        if entry is None:
            return index, None
        start = index_bytes(data) + entry[0]
        return index, data[start : start + entry[1]]

    def newest(self, base: str, venue: str, column_s: int) -> SlabKey | None:
        series = (base, venue, column_s)
        with self._lock:
            keys = [k for k in self._slabs if (k.base, k.venue, k.column_s) == series]
        return max(keys, default=None)

    def prune(self, key: SlabKey) -> None:
        with self._lock:
            series = (key.base, key.venue, key.column_s)
            old = [k for k in self._slabs if (k.base, k.venue, k.column_s) == series and k < key]
            for k in old:
                self._bytes -= len(self._slabs.pop(k))


def _find(index: SlabIndex, level: int, price_index: int) -> tuple[int, int] | None:
    for entry in index.tiles:
        if entry.level == level and entry.price_index == price_index:
            return entry.offset, entry.length
    return None
