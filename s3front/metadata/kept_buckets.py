"""Bucket records that this process has read and parsed, so that it need not be told them again.

Nothing is decided on a kept record alone: a read says which revision it has, and the daemon
confirms that this is still the one, in the snapshot of that read; or it is the commit that requires
this, and nothing is refused before a read. Revisions are numbered by a store, and a daemon that is
restarted may have another one (restored, or in memory), so what was told over one connection counts
for nothing over the next.

At most so many records, of so many bytes of text, are kept; those that were not asked for the
longest time go first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from s3front.metadata.gateway import Known
from shared.records.bucket import BucketRecord

KEPT_ENTRIES_MAX: Final = 1_000
KEPT_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of text as it is stored; parsed it takes several times as much."""


class StoredBucket(msgspec.Struct, frozen=True):
    """A bucket as it was read; ``name`` is that of the record, which is asked for often."""

    record: BucketRecord
    revision: int
    name: str


class KeptBucket(msgspec.Struct, frozen=True):
    """A bucket, what was told of it, and the bytes of its text. ``reads_first``: its keys have null
    versions, so that writes which had not read them were refused."""

    bucket: StoredBucket
    known: Known
    size: int
    reads_first: bool = False


class KeptBuckets:
    """See the module."""

    def __init__(
        self, entries_max: int = KEPT_ENTRIES_MAX, bytes_max: int = KEPT_BYTES_MAX
    ) -> None:
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._buckets: OrderedDict[str, KeptBucket] = OrderedDict()
        self._size = 0

    def get(self, name: str) -> KeptBucket | None:
        """The bucket of this name, if it is kept."""
        kept = self._buckets.get(name)
        if kept is not None:
            self._buckets.move_to_end(name)
        return kept

    def keep(self, name: str, kept: KeptBucket) -> None:
        """Keep a bucket in place of an earlier one of its name, unless it is too large."""
        self.forget(name)
        if kept.size > self._bytes_max:
            return
        self._buckets[name] = kept
        self._size += kept.size
        while self._size > self._bytes_max or len(self._buckets) > self._entries_max:
            _, oldest = self._buckets.popitem(last=False)
            self._size -= oldest.size

    def forget(self, name: str) -> None:
        """Keep the bucket no longer."""
        kept = self._buckets.pop(name, None)
        if kept is not None:
            self._size -= kept.size
