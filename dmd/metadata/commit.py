"""One write transaction, with what is counted in it.

The writer begins a ``Commit`` in each of its transactions and has the mutations applied through it.
Revisions and version IDs count up from the ones kept in the store, in the same transaction as the
records that carry them, so that no restart and no clock makes one come twice. Version IDs that are
given, by whoever copies versions from elsewhere, count as well: what is made is newer.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Protocol

import msgspec

from dmd.metadata import record_keys, stored
from dmd.metadata.engines.base import Reader, Transaction
from dmd.metadata.projection import project
from dmd.metadata.record_keys import REVISION_KEY, VERSION_TICK_KEY
from dmd.metadata.record_log import LogWriter, RecordLogSettings
from dmd.metadata.versioned_writes import VersionIds
from shared import version_id


class CommitSettings(msgspec.Struct, frozen=True):
    """What commits are told from outside.

    Version IDs are made of the replication group and, with ``version_info``, a count of the process
    after it, as CloudServer's are unless told otherwise. ``record_log`` None: nothing is logged.
    """

    replication_group_id: str = "RG001"
    version_info: bool = True
    record_log: RecordLogSettings | None = None


class Bodies(Protocol):
    """Where the bodies of mutations go (``dmd.data.packed.body_segments``)."""

    def add(self, content: bytes) -> str:
        """The key of the blob that it becomes when all have been written. Raises OSError."""


class NoBodies:
    """Of a store that takes none."""

    def add(self, content: bytes) -> str:
        raise AssertionError("a body that nobody takes")


class Committer:
    """Begins the commits of one process."""

    def __init__(self, settings: CommitSettings) -> None:
        self.settings = settings
        self.issued = count()
        self._counted: tuple[bytes | None, int] = (None, 0)

    def begin(self, transaction: Transaction, now_ms: int, bodies: Bodies | None = None) -> Commit:
        """``now_ms`` is the time of the commit in milliseconds since the epoch."""
        return Commit(transaction, now_ms, self, bodies or NoBodies())

    def last_revision(self, transaction: Transaction) -> int:
        """The revision that was counted last. Raises CorruptRecordError.

        It is stored like a record, with its checksum: a wrong one would give two writes the same
        revision. What is the same, byte for byte, as was written last needs no look at that.
        """
        value = transaction.get(REVISION_KEY)
        known, revision = self._counted
        if value is None:
            return 0
        return revision if value == known else stored.unpack(REVISION_KEY, value).revision

    def count_revision(self, transaction: Transaction, revision: int) -> None:
        """Keep the revision that was counted last."""
        entry = stored.Stored(revision, stored.NO_PROJECTION, b"", b"")
        value = stored.pack(REVISION_KEY, entry)
        transaction.put(REVISION_KEY, value)
        self._counted = value, revision


class Commit:
    """See the module. ``save`` is called once, after all mutations."""

    def __init__(
        self,
        transaction: Transaction,
        now_ms: int,
        committer: Committer,
        bodies: Bodies,
    ) -> None:
        self.transaction = transaction
        self.bodies = bodies
        self.now_ms = now_ms
        self._committer = committer
        self._log: LogWriter | None = None
        record_log = committer.settings.record_log
        if record_log is not None:
            self._log = LogWriter(transaction, record_log, now_ms)
        self._first_revision = self._revision = committer.last_revision(transaction)
        self._kept_tick: int | None = None
        self._tick = 0

    @property
    def records(self) -> StoredRecords:
        """What is stored, as of now."""
        return StoredRecords(self.transaction)

    @property
    def version_ids(self) -> VersionIds:
        """Those that versions are given."""
        group = self._committer.settings.replication_group_id
        return VersionIds(self._next_version_id, version_id.infinite(group))

    def next_revision(self) -> int:
        self._revision += 1
        return self._revision

    def put(self, key: bytes, entry: stored.Stored) -> None:
        """Store an entry."""
        self.transaction.put(key, stored.pack(key, entry))
        if self._log is not None:
            self._log.append("put", key, entry.record)

    def delete(self, key: bytes) -> None:
        self.transaction.delete(key)
        if self._log is not None:
            self._log.append("del", key, None)

    def save(self) -> None:
        """Keep what was counted."""
        if self._log is not None:
            self._log.save()
        if self._revision != self._first_revision:
            self._committer.count_revision(self.transaction, self._revision)
        if self._kept_tick is not None and self._tick != self._kept_tick:
            tick = str(self._tick).encode()
            entry = stored.Stored(0, stored.NO_PROJECTION, b"", tick)
            self.transaction.put(VERSION_TICK_KEY, stored.pack(VERSION_TICK_KEY, entry))

    def count_version_id(self, given: str) -> None:
        """Let every version ID that is made from now on be newer than one that was given."""
        tick = version_id.tick_of(given)
        if tick is not None:
            self._tick = max(self._last_tick(), tick)

    def _last_tick(self) -> int:
        if self._kept_tick is None:
            value = self.transaction.get(VERSION_TICK_KEY)
            last = 0 if value is None else int(stored.unpack(VERSION_TICK_KEY, value).record)
            self._kept_tick = self._tick = last
        return self._tick

    def _next_version_id(self) -> str:
        self._tick = version_id.next_tick(self._last_tick(), self.now_ms)
        settings = self._committer.settings
        info = str(next(self._committer.issued)) if settings.version_info else ""
        return version_id.make(self._tick, settings.replication_group_id, info)


def entry_of(key: bytes, record: bytes, revision: int) -> stored.Stored:
    """What is stored of a record, at this key or another one of its sub-level."""
    sub_level, _ = record_keys.split(key)
    return stored.Stored(revision, *project(sub_level, record), record)


class StoredRecords:
    """The records of a view of the store; raises CorruptRecordError where one is damaged."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, key: bytes) -> bytes | None:
        value = self._reader.get(key)
        return None if value is None else stored.unpack(key, value).record

    def range(self, lower: bytes, upper: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._reader.range(lower, upper):
            yield key, stored.unpack(key, value).record
