"""The engine that keeps nothing: for ``--memory`` and as the twin of LMDB in tests.

One lock makes views and transactions exclude each other, which is as isolated as a snapshot; a
transaction that is dropped is undone from a journal.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from sortedcontainers import SortedDict

from dmd.metadata.engines.base import EngineError, Ranged

KEY_BYTES_MAX = 1978
"""As LMDB's, so that both engines refuse the same keys."""


class _View(Ranged):
    def __init__(self, items: SortedDict) -> None:
        self._items = items
        self._journal: list[tuple[bytes, bytes | None]] = []

    def get(self, key: bytes) -> bytes | None:
        value: bytes | None = self._items.get(key)
        return value

    def range(
        self, lower: bytes, upper: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        if lower >= upper:
            return
        keys = self._items.irange(lower, upper, inclusive=(True, False), reverse=reverse)
        for key in keys:
            yield key, self._items[key]

    def first(self, lower: bytes, upper: bytes, count: int) -> list[tuple[bytes, bytes]]:
        if lower >= upper:
            return []
        keys = list(islice(self._items.irange(lower, upper, inclusive=(True, False)), count))
        return list(zip(keys, map(self._items.__getitem__, keys), strict=True))

    def put(self, key: bytes, value: bytes) -> None:
        if not 0 < len(key) <= KEY_BYTES_MAX:
            raise EngineError(f"a key of {len(key)} bytes cannot be stored")
        self._journal.append((key, self._items.get(key)))
        self._items[key] = value

    def delete(self, key: bytes) -> None:
        if key in self._items:
            self._journal.append((key, self._items.pop(key)))

    def undo(self) -> None:
        for key, value in reversed(self._journal):
            if value is None:
                del self._items[key]
            else:
                self._items[key] = value


class _Snapshot:
    """A view, and the lock while it is used."""

    __slots__ = ("_items", "_lock")

    def __init__(self, items: SortedDict, lock: threading.RLock) -> None:
        self._items = items
        self._lock = lock

    def __enter__(self) -> _View:
        self._lock.acquire()
        return _View(self._items)

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        self._lock.release()


class _Writing(_Snapshot):
    """The same of a view whose changes are undone when it is left with an error."""

    __slots__ = ("_view",)

    def __enter__(self) -> _View:
        self._view = super().__enter__()
        return self._view

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        try:
            if kind is not None:
                self._view.undo()
        finally:
            self._lock.release()


class MemoryEngine:
    """See ``base.Engine``."""

    key_bytes_max = KEY_BYTES_MAX

    def __init__(self) -> None:
        self._items = SortedDict()
        self._lock = threading.RLock()

    def snapshot(self) -> _Snapshot:
        return _Snapshot(self._items, self._lock)

    def transaction(self) -> _Writing:
        return _Writing(self._items, self._lock)

    def backup(self, directory: Path) -> None:
        raise EngineError("a store in memory has no file to copy")

    def close(self) -> None:
        self._items.clear()
