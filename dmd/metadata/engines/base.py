"""What an ordered key-value engine must offer to hold metadata.

The metadata service and its writer know only this protocol: ordered byte keys, snapshot reads, and
one atomic write transaction at a time. ``lmdb`` is the durable default, ``memory`` the twin that
the same tests keep alive; a distributed database can stand behind it too.

Order is byte order. Ranges are half open, ``lower <= key < upper``, so a caller expresses
"greater than k" as ``k + b"\\0"``, the next byte string after ``k``.

Threads: ``transaction`` is called from one thread only (the writer's); ``snapshot`` from any.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from typing import Protocol


class EngineError(Exception):
    """An operation could not be applied and its transaction is lost; the engine goes on.

    A full disk or a full map are of this kind: nothing of the transaction is visible, and later
    transactions may succeed.
    """


class EngineFullError(EngineError):
    """There is no room for a change: the disk is full, or the map of the store."""


class EngineFatalError(Exception):
    """The outcome of a commit is unknown (a failed fsync): the process must stop and re-open."""


class Reader(Protocol):
    """A consistent view of the whole store."""

    def get(self, key: bytes) -> bytes | None:
        """The value stored at ``key``, or None."""

    def range(
        self, lower: bytes, upper: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with ``lower <= key < upper``, ascending, or descending if reversed.

        The bounds may be longer than any key can be.
        """

    def first(self, lower: bytes, upper: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """The first ``count`` of ``range(lower, upper)``, or all when there are fewer.

        Reading so many at once costs a fraction of iterating over them.
        """

    def first_apart(
        self, lower: bytes, upper: bytes, count: int, behind: bytes
    ) -> list[tuple[bytes, bytes]]:
        """The same, without what lies between each key and the key followed by ``behind``."""

    def expect(
        self, lower: bytes, upper: bytes, count: int, *, on_disk: bool = False
    ) -> Callable[[], None] | None:
        """The first ``count`` keys of a range are going to be read, in several steps; who says so
        before each lets a store fetch them from a slow disk together. ``on_disk``: they are hardly
        in memory; otherwise that is found out when the first of them are read.

        Something, when they are being fetched now: what returns once they are there, or about. It
        is to be called in a thread of its own, outside of the snapshot, and need not be.
        """


class Ranged(ABC):
    """What a ``Reader`` can do as soon as it can go through a range, for those that have no faster
    way."""

    @abstractmethod
    def range(
        self, lower: bytes, upper: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """See ``Reader``."""

    def first(self, lower: bytes, upper: bytes, count: int) -> list[tuple[bytes, bytes]]:
        return list(islice(self.range(lower, upper), count))

    def first_apart(
        self, lower: bytes, upper: bytes, count: int, behind: bytes
    ) -> list[tuple[bytes, bytes]]:
        items: list[tuple[bytes, bytes]] = []
        while len(items) < count and (found := self.first(lower, upper, 1)):
            items += found
            lower = found[0][0] + behind
        return items

    def expect(
        self, lower: bytes, upper: bytes, count: int, *, on_disk: bool = False
    ) -> Callable[[], None] | None:
        """See ``Reader``: nothing is to be fetched."""
        return None


class Transaction(Reader, Protocol):
    """A view that can be changed; it sees its own changes."""

    def put(self, key: bytes, value: bytes) -> None:
        """Store ``value`` at ``key``, replacing what was there.

        A key that is empty or longer than ``key_bytes_max`` ends the transaction in EngineError.
        """

    def delete(self, key: bytes) -> None:
        """Remove ``key``; removing an absent key is no error."""


class Engine(Protocol):
    """An open store."""

    @property
    def key_bytes_max(self) -> int:
        """The longest key that can be stored, in bytes."""

    def snapshot(self) -> AbstractContextManager[Reader]:
        """A read view. Keep it short: an open view holds back the reuse of deleted space."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """An atomic, durable change: committed when the block ends, dropped when it raises.

        Raises EngineError when a change or the commit failed cleanly, EngineFatalError when the
        outcome of the commit is unknown.
        """

    def backup(self, directory: Path) -> None:
        """Write a consistent copy of the store, durably, into an empty directory, while reads and
        writes go on. Raises EngineError."""

    def close(self) -> None:
        """Release the store. No view or transaction may be open."""
