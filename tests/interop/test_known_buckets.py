"""A front-end is told the record of a bucket, or of an object, once, and sees every change of it at
once.

Two of them, as far as they know records, over real connections to one daemon.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from s3front.metadata import gateway
from s3front.metadata.bucket_store import BucketEnding, BucketStore
from s3front.metadata.gateway import ChangedError, MetadataGateway
from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.object_store import ObjectStore, StoredObject
from s3front.rpc.rpc_client import RpcClient
from shared.records.bucket import BucketRecord
from shared.rpc.envelope import METADATA_NAMESPACE, NULL_VERSION_EXTENSION
from tests.interop.daemons import MetadataProcess, metadata_process
from tests.servers import wait_for
from tests.unit.dmd.metadata.support import RecordingLog

RECORD = BucketRecord.create("bucket", "owner", "name", datetime(2024, 5, 1, tzinfo=UTC), "here")
EVERYTHING = BucketEnding([], [], is_complete=True)


class _Watched(RpcClient):
    """A client that remembers what it was answered."""

    answers: list[Any]

    async def call(
        self,
        name: str,
        arguments: Sequence[Any],
        sub_level: Sequence[str] = (),
        request_uids: str | None = None,
        attachments: Sequence[bytes] = (),
    ) -> Any:
        answer = await super().call(name, arguments, sub_level, request_uids, attachments)
        self.answers.append(answer)
        return answer


class FrontEnd:
    """A front-end's buckets."""

    def __init__(self, url: str) -> None:
        self.client = _Watched(url, METADATA_NAMESPACE, RecordingLog(), connect_wait_seconds=20)
        self.client.answers = []
        self.metadata = MetadataGateway(self.client)
        self.buckets = BucketStore(self.metadata)
        self.objects = ObjectStore(self.metadata, self.buckets, "")
        self.client.start()

    async def wait_for_connection(self, number: int) -> None:
        """Wait until this is its connection of this number."""
        client = self.client

        def connected() -> bool:
            return client.connected and client.connections == number

        await asyncio.to_thread(wait_for, connected, "the connection")

    async def read(self) -> tuple[StoredBucket | None, Any]:
        """The bucket, read together with an object, and how the daemon told it."""
        found, _ = await self.buckets.read_with("bucket", [("bucket", "key")], "test")
        return found, self.client.answers[-1][0]

    async def read_object(self, key: str = "key") -> tuple[StoredObject | None, Any]:
        """An object, and how the daemon told it."""
        _, found = await self.objects.read("bucket", key, "test")
        return found, self.client.answers[-1][1]

    async def write_object(self, **members: Any) -> None:
        operation = gateway.put("bucket", "key", orjson.dumps(members).decode())
        await self.metadata.commit([operation], [], "test")

    async def change(self, **members: Any) -> None:
        found, _ = await self.read()
        assert found is not None
        await self.buckets.replace(found, found.record.changed(members), "test")

    async def members(self, name: str) -> Any:
        found, _ = await self.read()
        return found and found.record.document.get(name)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[MetadataProcess]:
    with metadata_process(tmp_path) as running:
        yield running


@pytest.fixture
async def fronts(daemon: MetadataProcess) -> AsyncIterator[tuple[FrontEnd, FrontEnd]]:
    first, second = FrontEnd(daemon.url), FrontEnd(daemon.url)
    yield first, second
    for front in (first, second):
        await front.client.close()


async def test_changes_are_seen_at_once_and_told_once(fronts: tuple[FrontEnd, FrontEnd]) -> None:
    one, other = fronts
    await one.buckets.create(RECORD, "test")
    for front in fronts:
        found, told = await front.read()
        assert found is not None
        assert told["value"] == RECORD.serialise()
        again, told = await front.read()
        assert told == {"same": True}
        assert again == found

    await one.change(tags=["changed"])
    assert await other.members("tags") == ["changed"]
    assert (await other.read())[1] == {"same": True}

    found, _ = await other.read()
    assert found is not None
    await other.buckets.delete(found, EVERYTHING, "test")
    assert await one.read() == (None, None)
    await other.buckets.create(RECORD.changed({"owner": "another"}), "test")
    assert await one.members("owner") == "another"
    assert await one.members("tags") == []


async def test_changes_of_an_object_are_seen_at_once_and_told_once(
    fronts: tuple[FrontEnd, FrontEnd],
) -> None:
    one, other = fronts
    await one.buckets.create(RECORD, "test")
    assert await one.read_object() == (None, None)
    for number in range(2):
        await other.write_object(number=number)
        found, told = await one.read_object()
        assert found is not None
        assert (found.record.document, told["revision"]) == ({"number": number}, found.revision)
        if number == 0:
            # It is kept when it is read again.
            found, told = await one.read_object()
            assert told.keys() == {"value", "revision"}
        again, told = await one.read_object()
        assert told == {"same": True}
        assert again is found
        assert await one.read_object("another key") == (None, None)

    await other.metadata.commit([gateway.delete("bucket", "key")], [], "test")
    assert await one.read_object() == (None, None)


async def test_an_object_is_told_again_over_another_connection(
    daemon: MetadataProcess, fronts: tuple[FrontEnd, FrontEnd]
) -> None:
    one, _ = fronts
    await one.buckets.create(RECORD, "test")
    await one.write_object(number=1)
    await one.read_object()
    found, _ = await one.read_object()
    daemon.process.stop()
    daemon.start()
    await one.wait_for_connection(2)
    again, told = await one.read_object()
    assert (again, told.keys()) == (found, {"value", "revision"})
    assert again is not found


async def test_an_object_is_told_again_to_a_front_end_that_asks_for_its_bytes(
    fronts: tuple[FrontEnd, FrontEnd],
) -> None:
    one, _ = fronts
    await one.buckets.create(RECORD, "test")
    await one.write_object(number=1)
    await one.read_object()
    await one.read_object()
    await one.objects.read("bucket", "key", "test", with_body=True)
    assert one.client.answers[-1][1].keys() == {"value", "revision"}


async def test_what_was_told_is_told_again_without_a_question(
    daemon: MetadataProcess, fronts: tuple[FrontEnd, FrontEnd]
) -> None:
    """Until this front-end changes the bucket, or loses its connection; others' changes are for the
    commit to find."""
    one, other = fronts
    assert one.buckets.told("bucket") is None
    await one.buckets.create(RECORD, "test")
    assert one.buckets.told("bucket") is None
    found, _ = await one.read()
    assert found is not None
    assert one.buckets.told("bucket") is found

    await other.change(tags=["changed"])
    assert one.buckets.told("bucket") is found
    newer, _ = await one.read()
    assert one.buckets.told("bucket") is newer is not None
    await one.change(tags=["again"])
    assert one.buckets.told("bucket") is None
    with pytest.raises(ChangedError):
        await one.buckets.replace(found, found.record, "test")
    assert one.buckets.told("bucket") is None

    latest, _ = await one.read()
    assert latest is not None
    daemon.process.stop()
    await asyncio.to_thread(wait_for, lambda: not one.client.connected, "the end of the connection")
    assert one.buckets.told("bucket") is None
    daemon.start()
    await one.wait_for_connection(2)
    assert one.buckets.told("bucket") is None
    latest, _ = await one.read()
    assert latest is not None
    assert one.buckets.told("bucket") == latest
    await one.buckets.delete(latest, EVERYTHING, "test")
    assert one.buckets.told("bucket") is None


async def test_a_bucket_that_is_to_be_read_first(fronts: tuple[FrontEnd, FrontEnd]) -> None:
    one, other = fronts
    await one.buckets.create(RECORD, "test")
    found, _ = await one.read()
    assert found is not None
    one.buckets.read_first(found)
    assert one.buckets.told("bucket") is None
    assert (await one.read())[1] == {"same": True}
    assert one.buckets.told("bucket") is None
    await other.change(tags=["changed"])
    changed, _ = await one.read()
    assert changed is not None
    one.buckets.read_first(found)  # the one before, too late
    assert one.buckets.told("bucket") is changed


async def test_an_older_daemon_is_always_asked(fronts: tuple[FrontEnd, FrontEnd]) -> None:
    one, _ = fronts
    await one.buckets.create(RECORD, "test")
    await one.read()
    one.client._extensions -= {NULL_VERSION_EXTENSION}
    assert one.buckets.told("bucket") is None


async def test_a_record_of_the_same_revision_in_a_restored_store(
    daemon: MetadataProcess, fronts: tuple[FrontEnd, FrontEnd], tmp_path: Path
) -> None:
    """Revisions count on from what was restored, so that one comes a second time."""
    one, _ = fronts
    await one.buckets.create(RECORD, "test")
    assert daemon.process.stop() == 0
    shutil.copytree(daemon.directory, tmp_path / "backup")
    daemon.start()
    await one.wait_for_connection(2)
    await one.change(tags=["lost"])
    lost, _ = await one.read()
    assert daemon.process.stop() == 0
    shutil.rmtree(daemon.directory)
    shutil.move(tmp_path / "backup", daemon.directory)
    daemon.start()
    other = FrontEnd(daemon.url)
    await other.change(tags=["restored"])
    await other.client.close()
    await one.wait_for_connection(3)

    assert await one.members("tags") == ["restored"]
    found, _ = await one.read()
    assert found is not None
    assert lost is not None
    assert found.revision == lost.revision
