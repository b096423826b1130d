"""What is left of the uploads of deleted buckets, when it cannot be removed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from s3front.locations.location_config import Surroundings
from s3front.locations.registry import LocationRegistry
from s3front.metadata import gateway
from s3front.metadata.gateway import Found
from s3front.s3_errors import S3Error
from s3front.work.upload_remains import UploadWorker
from s3front.work.worker import Pace, Tools
from shared.records.names import DEAD_LETTERS, ENDED_UPLOADS
from shared.records.upload import uploads_level
from tests.unit.dmd.metadata.support import RecordingLog
from tests.unit.s3front.metadata_twin import MetadataTwin

NOTE = (ENDED_UPLOADS, "bucket")


class Unreadable(MetadataTwin):
    """The uploads of the bucket cannot be read; ``noted_anew`` after the look at its note."""

    noted_anew = False
    looks = 0

    async def keys(self, sub_level: str, options: Mapping[str, Any], request_id: str) -> list[str]:
        if sub_level == uploads_level("bucket"):
            raise S3Error("InternalError")
        return await super().keys(sub_level, options, request_id)

    async def get_each(
        self, wanted: Sequence[tuple[str, str]], request_id: str
    ) -> list[Found | None]:
        found = await super().get_each(wanted, request_id)
        self.looks += NOTE in wanted
        if self.noted_anew and self.looks == 2:
            await self.commit([gateway.put(*NOTE, "{}")], [], "")
        return found


def worker(store: MetadataTwin) -> UploadWorker:
    locations = LocationRegistry({}, Surroundings(None, None))  # type: ignore[arg-type]  # nobody asks
    return UploadWorker(Tools(store, locations, 0, RecordingLog(), lambda: 0.0, lambda: 0.0))


async def test_the_note_of_a_bucket_that_cannot_be_looked_at_is_set_aside() -> None:
    store = Unreadable()
    await store.commit([gateway.put(*NOTE, '{"tries":4}')], [], "")
    await worker(store).step()
    assert store.text(*NOTE) is None
    assert [key for level, key in store.records if level == DEAD_LETTERS]


async def test_a_bucket_that_cannot_be_looked_at_is_tried_once_a_look() -> None:
    """Also by whoever has just got the lease, and begins with a look everywhere."""
    store = Unreadable()
    await store.commit([gateway.put(*NOTE, "{}")], [], "")
    finishing = worker(store)
    while await finishing.step() is Pace.BUSY:
        pass
    assert json.loads(store.text(*NOTE) or "")["tries"] == 1


async def test_the_note_of_another_deletion_stays() -> None:
    store = Unreadable()
    store.noted_anew = True
    await store.commit([gateway.put(*NOTE, '{"tries":4}')], [], "")
    await worker(store).step()
    assert store.text(*NOTE) == "{}"
    assert not [key for level, key in store.records if level == DEAD_LETTERS]


class Counted(MetadataTwin):
    """``most`` keys were read at once; the uploads of ``broken`` buckets cannot be read."""

    most = 0
    broken: frozenset[str] = frozenset()

    async def keys(self, sub_level: str, options: Mapping[str, Any], request_id: str) -> list[str]:
        if sub_level in self.broken:
            raise S3Error("InternalError")
        found = await super().keys(sub_level, options, request_id)
        self.most = max(self.most, len(found))
        return found


async def test_however_many_buckets_were_deleted_some_are_looked_at_a_time() -> None:
    store = Counted()
    buckets = [f"b{number:03}" for number in range(500)]
    store.broken = frozenset(uploads_level(bucket) for bucket in buckets[:60])
    await store.commit([gateway.put(ENDED_UPLOADS, bucket, "{}") for bucket in buckets], [], "")
    finishing = worker(store)
    while await finishing.step() is Pace.BUSY:
        pass
    assert [key for level, key in store.records if level == ENDED_UPLOADS] == buckets[:60]
    assert store.most < 150
