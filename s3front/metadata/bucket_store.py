"""Buckets, in terms of the metadata RPC.

Every function is one round trip. A bucket is created only where there is none, changed only as it
was read, and deleted only without objects (DESIGN, section 5): the commits say so. When that does
not hold, nothing was written and ``ChangedError`` is raised: the caller reads again and decides
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from msgspec.structs import replace

from s3front.metadata import gateway
from s3front.metadata.gateway import (
    SAME_AS_KNOWN,
    ChangedError,
    Entry,
    Known,
    MetadataGateway,
    Operation,
    Requirement,
    Same,
    Wanted,
)
from s3front.metadata.kept_buckets import KeptBucket, KeptBuckets, StoredBucket, memory_of
from s3front.s3_errors import S3Error
from shared.records.bucket import BucketRecord
from shared.records.names import METASTORE, USERS_BUCKET, owner_entry_key
from shared.records.upload import uploads_level


@dataclass(frozen=True, slots=True)
class BucketEnding:
    """What ends the uploads of a bucket, as a part of the commit that deletes it.

    ``is_complete``: all of them, so that the bucket can go.
    """

    operations: Sequence[Operation]
    requirements: Sequence[Requirement]
    is_complete: bool


class BucketStore:
    """All buckets."""

    def __init__(self, metadata: MetadataGateway) -> None:
        self._metadata = metadata
        self._kept = KeptBuckets()

    def told(self, name: str) -> StoredBucket | None:
        """A bucket as this process was told it last, without a question; None for one that is to be
        read. Whoever decides on it has the commit require that it is still so, and reads it before
        anything is refused."""
        kept = self._kept.get(name)
        if kept is None or kept.reads_first or not self._metadata.holds(kept.known):
            return None
        return kept.bucket

    def read_first(self, bucket: StoredBucket) -> None:
        """Tell this bucket to nobody any more, until it is changed: its keys have null versions, so
        that what is decided without them is refused, and costs more than it spares."""
        kept = self._kept.get(bucket.name)
        if kept is not None and kept.bucket is bucket:
            self._kept.keep(bucket.name, replace(kept, reads_first=True))

    async def read(self, name: str, request_id: str) -> StoredBucket | None:
        """A bucket, None when there is none of this name."""
        bucket, _ = await self.read_with(name, (), request_id)
        return bucket

    async def read_with(
        self,
        name: str,
        others: Sequence[tuple[str, str]],
        request_id: str,
        *,
        with_bodies: bool = False,
    ) -> tuple[StoredBucket | None, list[Entry | None]]:
        """A bucket, and the records at other (sub-level, key), in one snapshot; ``with_bodies``:
        with the bytes that they name, where those are at hand."""
        asked = [(sub_level, key, None) for sub_level, key in others]
        bucket, entries = await self.read_with_known(
            name, asked, request_id, with_bodies=with_bodies
        )
        return bucket, [entry for entry in entries if entry is not SAME_AS_KNOWN]

    async def read_with_known(
        self,
        name: str,
        others: Sequence[Wanted],
        request_id: str,
        *,
        with_bodies: bool = False,
    ) -> tuple[StoredBucket | None, list[Entry | Same | None]]:
        """The same; SAME for each of the others that is what is known of it."""
        kept, connection = self._kept.get(name), self._metadata.connection
        known = None if kept is None else kept.known
        first, *entries = await self._metadata.get_with_known(
            ((METASTORE, name, known), *others), request_id, with_bodies=with_bodies
        )
        if first is SAME_AS_KNOWN:
            assert kept is not None
            return kept.bucket, entries
        if first is None:
            self._kept.forget(name)
            return None, entries
        text, revision, _ = first
        if connection != self._metadata.connection:
            # It waited for another one, over which the same revision may be another record's.
            return _bucket_of(name, text, revision), entries
        if known == (revision, connection):
            assert kept is not None
            # A daemon that tells it every time.
            return kept.bucket, entries
        bucket = _bucket_of(name, text, revision)
        if bucket is not None:
            known = Known(revision, connection)
            self._kept.keep(name, KeptBucket(bucket, known, memory_of(bucket.record)))
        return bucket, entries

    async def read_each(self, names: Sequence[str], request_id: str) -> list[StoredBucket]:
        """Those of some buckets that exist."""
        wanted = [(METASTORE, name) for name in names]
        found = await self._metadata.get_many(wanted, request_id)
        buckets = [
            entry and _bucket_of(name, entry[0], entry[1])
            for name, entry in zip(names, found, strict=True)
        ]
        return [bucket for bucket in buckets if bucket is not None]

    async def create(
        self, record: BucketRecord, request_id: str, requires: Sequence[Requirement] = ()
    ) -> None:
        """Store a bucket that does not exist yet; raises ChangedError when it does, or when
        something does not hold that it ``requires``."""
        entry = orjson.dumps({"creationDate": record.document["creationDate"]}).decode()
        owner_key = owner_entry_key(record.owner_id, record.name)
        await self._change(
            record.name,
            [
                gateway.put(METASTORE, record.name, record.serialise()),
                gateway.put(USERS_BUCKET, owner_key, entry),
            ],
            [gateway.is_absent(METASTORE, record.name), *requires],
            request_id,
        )

    async def delete(self, bucket: StoredBucket, ending: BucketEnding, request_id: str) -> None:
        """Remove a bucket without objects, or as much of its uploads as ``ending`` says; raises
        BucketNotEmpty or ChangedError."""
        operations: list[Operation] = []
        if ending.is_complete:
            owner_key = owner_entry_key(bucket.record.owner_id, bucket.name)
            operations = [
                gateway.delete(METASTORE, bucket.name),
                # The original has an entry for the bucket of uploads.
                gateway.delete(METASTORE, uploads_level(bucket.name)),
                gateway.delete(USERS_BUCKET, owner_key),
            ]
        try:
            await self._change(
                bucket.name,
                [*ending.operations, *operations],
                [
                    bucket_requirement(bucket),
                    gateway.is_empty(bucket.name),
                    *ending.requirements,
                ],
                request_id,
            )
        except ChangedError as error:
            if error.index == 1:
                raise S3Error("BucketNotEmpty", fields={"BucketName": bucket.name}) from error
            raise

    async def replace(self, bucket: StoredBucket, record: BucketRecord, request_id: str) -> None:
        """Change a bucket's attributes; raises ChangedError when it is not what was read."""
        await self._change(
            bucket.name,
            [gateway.put(METASTORE, bucket.name, record.serialise())],
            [bucket_requirement(bucket)],
            request_id,
        )

    async def _change(
        self,
        name: str,
        operations: Sequence[Operation],
        requires: Sequence[Requirement],
        request_id: str,
    ) -> None:
        """Commit a change of a bucket, which is not what was kept any more, whatever comes of
        it."""
        try:
            await self._metadata.commit(operations, requires, request_id)
        finally:
            self._kept.forget(name)


def _bucket_of(name: str, text: str, revision: int) -> StoredBucket | None:
    """A bucket by its record; None of one that was deleted."""
    record = BucketRecord.parse(text)
    if record.name != name:
        # Where it is stored is what counts, as for all that is in the bucket.
        record = record.changed({"name": name})
    return None if record.deleted else StoredBucket(record, revision, name)


def bucket_requirement(bucket: StoredBucket) -> Requirement:
    """The requirement that the bucket is still what was read."""
    return gateway.has_revision(METASTORE, bucket.name, bucket.revision)
