"""The bucket records that are kept (``kept_records``), and what is told of a bucket."""

from __future__ import annotations

from typing import Final

import msgspec

from s3front.metadata.gateway import Known
from s3front.metadata.kept_records import KeptRecords
from s3front.policies.policy_memory import document_memory, policy_memory
from shared.records.bucket import POLICY_MEMBER, BucketRecord

KEPT_ENTRIES_MAX: Final = 1_000
KEPT_BYTES_MAX: Final = 32 * 1024 * 1024
"""Of memory, as far as can be said, with what is compiled of their policies."""


class StoredBucket(msgspec.Struct, frozen=True):
    """A bucket as it was read; ``name`` is that of the record, which is asked for often."""

    record: BucketRecord
    revision: int
    name: str


class KeptBucket(msgspec.Struct, frozen=True):
    """A bucket, what was told of it, and the bytes of memory that it takes. ``reads_first``: its
    keys have null versions, so that writes which had not read them were refused."""

    bucket: StoredBucket
    known: Known
    size: int
    reads_first: bool = False


def memory_of(record: BucketRecord) -> int:
    """The bytes of a record, its policy ready to be asked."""
    document = record.document
    policy = document.get(POLICY_MEMBER)
    return document_memory(document) + (policy_memory(policy) if policy else 0)


class KeptBuckets(KeptRecords[str, KeptBucket]):
    """Buckets by their names."""

    def __init__(
        self, entries_max: int = KEPT_ENTRIES_MAX, bytes_max: int = KEPT_BYTES_MAX
    ) -> None:
        super().__init__(entries_max, bytes_max)
