"""Background work goes on, whatever is in its queues: what cannot be done is set aside."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from dmd.metadata import record_keys
from dmd.metadata.metadata_directory import open_engine
from s3front.locations.base import Capabilities, ObjectInfo, Stored
from s3front.locations.location_config import Surroundings
from s3front.locations.registry import LocationRegistry
from s3front.metadata.gateway import MetadataGateway
from s3front.rpc.rpc_client import RpcClient
from s3front.s3_errors import S3Error
from s3front.work.deletions import DeletionWorker
from s3front.work.outbox_worker import AWAY_SECONDS_MAX, RETRY_SECONDS
from s3front.work.worker import Pace, Tools
from shared.process.logs import get_logger
from shared.records.names import (
    DEAD_LETTERS,
    DELETIONS,
    ENDED_UPLOADS,
    LEASES,
    METASTORE,
    UPLOADS_PREFIX,
)
from shared.rpc.envelope import METADATA_NAMESPACE, RemoteError
from tests.clients_boto3 import s3_client
from tests.faults.stores import call_metadata, expire_leases, stored_blobs, stored_records
from tests.servers import Cluster, cluster, wait_for
from tests.unit.dmd.metadata.support import RecordingLog


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("dead-letters")
    with cluster(folder, settings={"deleteDelaySeconds": 0}) as started:
        yield started


@pytest.fixture
def s3(running: Cluster) -> Any:
    return s3_client(running.fronts[0])


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"bucket-{os.urandom(6).hex()}"
    s3.create_bucket(Bucket=name)
    return name


def put_records(running: Cluster, sub_level: str, values: dict[str, str]) -> None:
    operations = [
        {"type": "put", "subLevel": [sub_level], "key": key, "value": value}
        for key, value in values.items()
    ]
    call_metadata(running, "batch", [operations, {}], [])


def letters(running: Cluster, queue: str) -> dict[str, Any]:
    """What was set aside of a queue, by key."""
    found = stored_records(running, [DEAD_LETTERS])[DEAD_LETTERS].values()
    return {letter["key"]: letter for letter in found if letter["queue"] == queue}


def clear(running: Cluster, sub_level: str) -> None:
    for key in stored_records(running, [sub_level])[sub_level]:
        call_metadata(running, "del", [key, {}], [sub_level])


def keys_of(running: Cluster, sub_level: str) -> list[str]:
    """The keys of some records, whatever these are."""
    asked = [{"type": "Basic", "maxKeys": 100}]
    return [entry["key"] for entry in call_metadata(running, "list", asked, [sub_level])]


def wait_for_empty(running: Cluster, sub_level: str) -> None:
    wait_for(
        lambda: not call_metadata(running, "list", [{"type": "Basic", "maxKeys": 1}], [sub_level]),
        f"nothing to be left in {sub_level}",
    )


# --- Deletions -----------------------------------------------------------------------------------


def test_the_overwritten_object_of_an_old_record(s3: Any, running: Cluster, bucket: str) -> None:
    """Of which the location was its key alone."""
    s3.put_object(Bucket=bucket, Key="key", Body=b"old")
    record = stored_records(running, [bucket])[bucket]["key"]
    blob = record["location"] = record["location"][0]["key"]
    call_metadata(running, "put", ["key", json.dumps(record), {}], [bucket])
    s3.put_object(Bucket=bucket, Key="key", Body=b"new")
    wait_for(lambda: blob not in stored_blobs(running), "overwritten data to go")
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"new"
    wait_for_empty(running, DELETIONS)
    assert not letters(running, DELETIONS)


def test_entries_that_cannot_be_done_hold_nothing_up(
    s3: Any, running: Cluster, bucket: str
) -> None:
    elsewhere = '{"location":[{"key":"ab","dataStoreType":"dmf","dataStoreName":"tape"}]}'
    bad = {
        "no JSON": "poison",
        "no document": "[]",
        "no location": "{}",
        "no key": '{"location":[{"size":5}]}',
        "a number": '{"location":5}',
    }
    poison = {f"00000000000000.{name}": text for name, text in bad.items()}
    poison |= {f"00000000000001.{number:03}": elsewhere for number in range(450)}
    put_records(running, DELETIONS, poison)
    s3.put_object(Bucket=bucket, Key="key", Body=b"old")
    s3.put_object(Bucket=bucket, Key="key", Body=b"new")
    wait_for_empty(running, DELETIONS)
    (location,) = stored_records(running, [bucket])[bucket]["key"]["location"]
    assert stored_blobs(running) >= {location["key"]}
    found = letters(running, DELETIONS)
    assert {key: letter["entry"] for key, letter in found.items()} == poison
    reasons = {key.partition(".")[2]: letter["reason"] for key, letter in found.items()}
    assert "dmf" in reasons["000"]
    assert all(reasons.values())


def damage(running: Cluster, sub_level: str, name: str) -> None:
    """Leave a record of which the store itself finds, when it reads, that it is damaged."""
    running.dmd_metadata.stop()
    engine = open_engine(running.folder / "metadata")
    with engine.transaction() as transaction:
        key = record_keys.physical([sub_level], name, engine.key_bytes_max)
        transaction.put(key, b"damaged")
    engine.close()
    running.start_daemons()


def test_a_damaged_record_holds_nothing_up(s3: Any, running: Cluster, bucket: str) -> None:
    damaged = "00000000000002.damaged"
    damage(running, DELETIONS, damaged)
    wait_for(lambda: damaged in letters(running, DELETIONS), "the damaged entry to be set aside")
    assert letters(running, DELETIONS)[damaged]["entry"] is None
    wait_for_empty(running, DELETIONS)


def test_a_damaged_lease_stops_no_work(running: Cluster) -> None:
    def is_taken() -> bool:
        try:
            call_metadata(running, "get", ["deletions", {}], [LEASES])
        except RemoteError:
            return False
        return True

    damage(running, LEASES, "deletions")
    wait_for(is_taken, "the lease to be taken")


class Place:
    """A place for data that fails as it is told."""

    type = "file"
    capabilities = Capabilities(ranges=True)

    def __init__(self) -> None:
        self.failures: dict[str, str] = {}
        self.deleted: list[str] = []
        self.asked = 0

    async def put(
        self, size: int, body: bytes | AsyncGenerator[bytes, None], info: ObjectInfo, mark: str = ""
    ) -> Stored:
        raise NotImplementedError

    def new_file(self, size: int) -> None:
        """Blobs are given to it."""

    async def open(self, blob: Stored, start: int, end: int) -> Any:
        raise NotImplementedError

    async def disk_usage(self) -> tuple[int, int]:
        raise NotImplementedError

    async def delete(self, blob: Stored) -> None:
        self.asked += 1
        if blob.key in self.failures:
            raise S3Error(self.failures[blob.key])
        self.deleted.append(blob.key)

    async def close(self) -> None:
        """Nothing is open."""


class Deletions:
    """A worker of the test's own, far in the future: those of the front-ends see nothing of it."""

    def __init__(self, running: Cluster, gateway: MetadataGateway) -> None:
        self.now = 50_000_000_000.0
        self.place = Place()
        self.running = running
        registry = LocationRegistry({}, Surroundings(self.place, get_logger()))
        self.worker = DeletionWorker(
            Tools(gateway, registry, 0, RecordingLog(), lambda: self.now, lambda: self.now)
        )

    async def queue(self, names: list[str], location: str = "here") -> None:
        values = {}
        for name in names:
            key = f"{int(self.now * 1000) - 1:014}.{name}"
            where = {"dataStoreName": location, "dataStoreType": "file"}
            values[key] = json.dumps({"location": [{"key": name, **where}]})
        await asyncio.to_thread(put_records, self.running, DELETIONS, values)

    async def work(self) -> None:
        """Steps until there is nothing more to do."""
        while await self.worker.step() is Pace.BUSY:
            pass

    async def queued(self) -> dict[str, Any]:
        """What waits, by name."""
        records = await asyncio.to_thread(stored_records, self.running, [DELETIONS])
        return {key.partition(".")[2]: entry for key, entry in records[DELETIONS].items()}

    async def letters(self) -> dict[str, Any]:
        found = await asyncio.to_thread(letters, self.running, DELETIONS)
        return {key.partition(".")[2]: letter for key, letter in found.items()}


@pytest.fixture
async def deletions(running: Cluster) -> AsyncGenerator[Deletions, None]:
    url = f"http://127.0.0.1:{running.metadata_port}"
    client = RpcClient(url, METADATA_NAMESPACE, RecordingLog())
    client.start()
    yield Deletions(running, MetadataGateway(client))
    await client.close()


async def test_a_failure_is_tried_again_later_and_not_for_ever(deletions: Deletions) -> None:
    place = deletions.place
    place.failures = {"bad": "InternalError"}
    await deletions.queue(["bad", "good"])
    await deletions.work()
    assert place.deleted == ["good"]
    for tries, seconds in enumerate(RETRY_SECONDS, start=1):
        assert (await deletions.queued())["bad"]["tries"] == tries
        deletions.now += seconds - 1
        await deletions.work()
        assert (await deletions.queued())["bad"]["tries"] == tries
        deletions.now += 2
        await deletions.work()
    assert await deletions.queued() == {}
    assert "InternalError" in (await deletions.letters())["bad"]["reason"]


async def test_a_number_of_tries_that_is_none_holds_nothing_up(deletions: Deletions) -> None:
    place = deletions.place
    place.failures = {"bad": "InternalError"}
    await deletions.queue(["bad", "good"])
    key = f"{int(deletions.now * 1000) - 1:014}.bad"
    entry = json.dumps({"location": [{"key": "bad"}], "tries": -10})
    await asyncio.to_thread(put_records, deletions.running, DELETIONS, {key: entry})
    await deletions.work()
    assert place.deleted == ["good"]
    assert (await deletions.queued())["bad"]["tries"] == 1
    await asyncio.to_thread(clear, deletions.running, DELETIONS)


async def test_an_entry_that_works_again_is_done(deletions: Deletions) -> None:
    deletions.place.failures = {"later": "InternalError"}
    await deletions.queue(["later"])
    await deletions.work()
    deletions.place.failures = {}
    deletions.now += RETRY_SECONDS[0] + 1
    await deletions.work()
    assert deletions.place.deleted == ["later"]
    assert await deletions.queued() == {}
    assert "later" not in await deletions.letters()


async def test_entries_whose_place_is_away_wait_and_hold_nothing_up(deletions: Deletions) -> None:
    """There are more of them than one look at the queue takes."""
    away = [f"a{number:03}" for number in range(450)]
    place = deletions.place
    place.failures = dict.fromkeys(away, "ServiceUnavailable")
    await deletions.queue(away, "cloud")
    await deletions.queue(["z"])
    await deletions.work()
    assert place.deleted == ["z"]
    assert set(await deletions.queued()) == set(away)
    assert all("tries" not in entry for entry in (await deletions.queued()).values())
    assert set(deletions.worker.status()["away"]) == {"cloud"}
    await deletions.queue(["zz"])
    await deletions.work()
    assert place.deleted == ["z", "zz"]
    place.failures = {}
    deletions.now += AWAY_SECONDS_MAX
    await deletions.work()
    assert sorted(place.deleted) == [*away, "z", "zz"]
    assert await deletions.queued() == {}
    assert "away" not in deletions.worker.status()


async def test_places_that_are_away_are_asked_seldom(deletions: Deletions) -> None:
    place = deletions.place
    place.failures = {"a": "ServiceUnavailable", "b": "ServiceUnavailable"}
    await deletions.queue(["a"], "one")
    await deletions.queue(["b"], "two")
    for _ in range(1000):
        await deletions.work()
        deletions.now += 1
    assert 2 * 15 < place.asked < 2 * 30
    del place.failures["b"]
    deletions.now += AWAY_SECONDS_MAX
    await deletions.work()
    assert place.deleted == ["b"]
    assert set(deletions.worker.status()["away"]) == {"one"}
    await asyncio.to_thread(clear, deletions.running, DELETIONS)


async def test_entries_that_no_message_can_move_hold_nothing_up(deletions: Deletions) -> None:
    """A key that is the longest there is, and a letter that quotes more than a message has."""
    due = int(deletions.now * 1000)
    longest, huge = f"{due - 3:014}.".ljust(1962, "x"), f"{due - 2:014}.huge"
    entries = {longest: '{"location":"bad"}', huge: '"' * 48_000_000}
    deletions.place.failures = {"bad": "InternalError"}
    await asyncio.to_thread(put_records, deletions.running, DELETIONS, entries)
    await deletions.queue(["good"])
    await deletions.work()
    assert deletions.place.deleted == ["good"]
    ((key, entry),) = (await deletions.queued()).items()
    assert len(key) < 100
    assert entry["tries"] == 1
    letter = (await deletions.letters())["huge"]
    assert letter["entry"] is None
    assert "cannot be written" in letter["reason"]
    await asyncio.to_thread(clear, deletions.running, DELETIONS)


# --- Uploads -------------------------------------------------------------------------------------


def test_a_closing_record_that_says_nothing_holds_no_other_one_up(
    s3: Any, running: Cluster, bucket: str
) -> None:
    uploads = [s3.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"] for _ in range(3)]
    for upload_id in uploads:
        s3.upload_part(Bucket=bucket, Key="key", UploadId=upload_id, PartNumber=1, Body=b"part")
    level = UPLOADS_PREFIX + bucket
    said = ["poison", '{"usedParts":"all"}', '{"usedParts":[]}']
    closing = {f"closing..|..{each}": text for each, text in zip(uploads, said, strict=True)}
    for upload_id in uploads:
        arguments = [f"overview..|..key..|..{upload_id}", {}]
        call_metadata(running, "del", arguments, [level])
    put_records(running, level, closing)
    call_metadata(running, "put", [f"{uploads[2]}..|..000x1", "no part", {}], [level])
    # Whoever gets the lease, again or for the first time, looks at once.
    expire_leases(running)
    wait_for(lambda: len(letters(running, level)) == 2, "two closing records to be set aside")
    wait_for(
        lambda: {key.partition("..|..")[0] for key in keys_of(running, level)} == set(uploads[:2]),
        "the third upload to be removed",
    )


def tries_of(running: Cluster, sub_level: str, key: str) -> int:
    """How often a record was tried in vain; 0 while it is damaged."""
    try:
        tries: int = json.loads(call_metadata(running, "get", [key, {}], [sub_level]))["tries"]
    except RemoteError:
        return 0
    return tries


def test_what_is_set_back_of_a_deleted_bucket_is_tried_again(running: Cluster) -> None:
    """Nothing but a note leads there, so it stays as long as there is something to do."""
    level, closing = f"{UPLOADS_PREFIX}deleted", "closing..|..0123"
    damage(running, level, closing)
    put_records(running, ENDED_UPLOADS, {"deleted": "{}"})
    wait_for(lambda: tries_of(running, level, closing) == 1, "the first try")
    # Whoever gets the lease looks at once.
    expire_leases(running)
    wait_for(lambda: closing in letters(running, level), "the closing record to be set aside")
    wait_for_empty(running, ENDED_UPLOADS)


NO_BUCKET = "0!x"
"""The name of no sub-level, so that nothing below it can be read."""


def test_a_name_of_no_bucket_holds_no_other_bucket_up(
    s3: Any, running: Cluster, bucket: str
) -> None:
    put_records(running, ENDED_UPLOADS, {NO_BUCKET: "{}"})
    put_records(running, METASTORE, {NO_BUCKET: "{}"})
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="key", UploadId=upload_id, PartNumber=1, Body=b"part")
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=f"{bucket}-alive")
    alive = f"{UPLOADS_PREFIX}{bucket}-alive"
    put_records(running, alive, {f"closing..|..{'0' * 32}": '{"usedParts":[]}'})
    expire_leases(running)
    wait_for_empty(running, UPLOADS_PREFIX + bucket)
    wait_for_empty(running, alive)
    # The look before the lease was given up may have been one.
    assert tries_of(running, ENDED_UPLOADS, NO_BUCKET) in (1, 2)
    put_records(running, ENDED_UPLOADS, {NO_BUCKET: '{"tries":4}'})
    expire_leases(running)
    wait_for(lambda: NO_BUCKET in letters(running, ENDED_UPLOADS), "the name to be set aside")
    wait_for_empty(running, ENDED_UPLOADS)
    call_metadata(running, "del", [NO_BUCKET, {}], [METASTORE])


def test_the_longest_key_can_be_set_aside(running: Cluster, bucket: str) -> None:
    level = UPLOADS_PREFIX + bucket
    key = f"closing..|..{'0' * 1900}"
    put_records(running, level, {key: "poison"})
    expire_leases(running)
    wait_for(lambda: key in letters(running, level), "the closing record to be set aside")
    wait_for_empty(running, level)
