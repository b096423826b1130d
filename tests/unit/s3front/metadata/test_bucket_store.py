"""Buckets as they are read, over a connection that is another one meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from s3front.metadata.bucket_store import BucketStore
from s3front.metadata.gateway import Entry, MetadataGateway, Same, Wanted
from shared.records.bucket import BucketRecord


class Reconnected(MetadataGateway):
    """Metadata of which each connection has another bucket, always of the same revision."""

    def __init__(self) -> None:
        self.number = 1
        self.breaks = False

    @property
    def connection(self) -> int:
        return self.number

    async def get_with_known(
        self, wanted: Sequence[Wanted], request_id: str, *, with_bodies: bool = False
    ) -> list[Entry | Same | None]:
        self.number += self.breaks
        created = datetime(2024, 5, 1, tzinfo=UTC)
        record = BucketRecord.create("bucket", f"owner {self.number}", "", created, "here")
        return [(record.serialise(), 7, None)]


async def owner(store: BucketStore) -> str:
    found = await store.read("bucket", "test")
    assert found is not None
    return found.record.owner_id


async def test_what_is_told_after_a_wait_for_a_connection_is_not_what_was_kept() -> None:
    """A daemon that has begun anew gives the same revisions to other records."""
    metadata = Reconnected()
    store = BucketStore(metadata)
    assert await owner(store) == "owner 1"
    metadata.breaks = True
    assert await owner(store) == "owner 2"
    metadata.breaks = False
    assert await owner(store) == "owner 2"
