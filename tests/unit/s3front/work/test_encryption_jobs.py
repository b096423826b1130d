"""Jobs that store objects again: what becomes of the bytes when they are disturbed."""

from __future__ import annotations

import asyncio
import itertools
import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import md5
from typing import Any, cast

import pytest
from msgspec.json import encode

from s3front.encryption.key_wrapping import BoundTo, WrappingKey
from s3front.encryption.original import CounterTransform, unwrapped_by_file_kms
from s3front.encryption.sse import ALGORITHM_MEMBER, KEY_ID_MEMBER
from s3front.keys.base import KeeperError, KeyContext, KeyTrouble
from s3front.keys.sealing import Keys
from s3front.locations.base import DaemonStore, ObjectInfo, Stored
from s3front.locations.location_config import Surroundings
from s3front.locations.registry import LocationRegistry
from s3front.metadata.gateway import (
    Carried,
    Committed,
    Entry,
    Operation,
    Requirement,
    Same,
    Wanted,
)
from s3front.objects.object_record import ObjectRecord
from s3front.s3_errors import S3Error
from s3front.work.dead_letters import OF_ONE_JOB_MAX
from s3front.work.encryption_jobs import PAGE_SECONDS, EncryptionJobWorker, Job, job_key
from s3front.work.job_lease import LeaseLostError
from s3front.work.stored_again import HERE_BYTES_MAX
from s3front.work.worker import Pace, Tools
from shared import limits
from shared.process.logs import get_logger
from shared.records.bucket import BucketRecord
from shared.records.names import DEAD_LETTERS, KEY_JOBS, METASTORE
from shared.records.times import now
from tests.unit.dmd.metadata.support import RecordingLog
from tests.unit.s3front.metadata_twin import MetadataTwin
from tests.unit.s3front.places import MemoryPlace, MemoryReader, OneKey

BUCKET = "photos"
CONTENT = b"plain text"


class Metadata(MetadataTwin):
    """``disturbs`` is raised by a commit of an object, which ``is_applied`` before that or not."""

    def __init__(self) -> None:
        super().__init__()
        self.disturbs: BaseException | None = None
        self.is_applied = True
        self.after_next: Callable[[], None] | None = None
        """Is called after the next commit of an object."""

    @property
    def connection(self) -> int:
        return 1

    async def get_with_known(
        self, wanted: Sequence[Wanted], request_id: str, *, with_bodies: bool = False
    ) -> list[Entry | Same | None]:
        addresses = [(level, key) for level, key, _ in wanted]
        return [*await self.get_many(addresses, request_id)]

    async def commit(
        self,
        operations: Sequence[Operation],
        requires: Sequence[Requirement],
        request_id: str,
        carried: Carried | None = None,
    ) -> Committed:
        is_of_object = any(operation["subLevel"] == [BUCKET] for operation in operations)
        error, self.disturbs = (self.disturbs, None) if is_of_object else (None, self.disturbs)
        if error is not None and not self.is_applied:
            raise error
        done = await super().commit(operations, requires, request_id, carried)
        if error is not None:
            raise error
        if is_of_object and self.after_next is not None:
            then, self.after_next = self.after_next, None
            then()
        return done


class Keeper(OneKey):
    """``trouble``: it gives out no key."""

    def __init__(self) -> None:
        self.trouble: KeyTrouble | None = None

    async def wrapping_key(self, key_id: str | None, context: KeyContext) -> WrappingKey:
        if self.trouble is not None:
            raise KeeperError(self.trouble, "A message.", "a reason")
        return await super().wrapping_key(key_id, context)


class Jobs:
    """A bucket with objects of the server, and a job for it."""

    def __init__(self) -> None:
        self.metadata = Metadata()
        self.place = MemoryPlace()
        self.log = RecordingLog()
        self.now = 1000.0
        self._revisions = itertools.count(-1000)
        bucket = BucketRecord.create(BUCKET, "owner", "owner", now(), "us-east-1")
        self.metadata.records[METASTORE, BUCKET] = bucket.serialise(), 1
        self.begin(Job(bucket=BUCKET))
        registry = LocationRegistry({}, Surroundings(cast(DaemonStore, self.place), get_logger()))
        self.keeper = Keeper()
        self.keys = Keys({"file": self.keeper}, self.keeper)

        def clock() -> float:
            return self.now

        tools = Tools(self.metadata, registry, 0, self.log, clock, clock, keys=self.keys)
        self.worker = EncryptionJobWorker(tools, clock)

    def begin(self, job: Job) -> None:
        revision = next(self._revisions)
        self.metadata.records[KEY_JOBS, job_key(BUCKET)] = encode(job).decode(), revision

    def put(self, key: str, content: bytes = CONTENT, **members: Any) -> None:
        """An object whose only blob is plain, unless its ``members`` say otherwise."""
        self.place.blobs[f"old {key}"] = content
        location = {
            "key": f"old {key}",
            "size": len(content),
            "start": 0,
            "dataStoreName": "us-east-1",
            "dataStoreType": "file",
            "dataStoreETag": "1:",
        }
        record = {"content-length": len(content), "content-md5": "", "location": [location]}
        self.metadata.records[BUCKET, key] = json.dumps({**record, **members}), 3

    def blobs_of(self, key: str) -> list[str]:
        return [
            each["key"] for each in json.loads(self.metadata.text(BUCKET, key) or "")["location"]
        ]

    @property
    def job(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.metadata.text(KEY_JOBS, job_key(BUCKET)) or "")
        return found

    @property
    def letters(self) -> list[dict[str, Any]]:
        found = self.metadata.records.items()
        return [json.loads(text) for (level, _), (text, _) in found if level == DEAD_LETTERS]


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


async def test_bytes_stay_whose_commit_was_cancelled_and_may_have_been_done(jobs: Jobs) -> None:
    jobs.put("a")
    jobs.metadata.disturbs = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await jobs.worker.step()
    (blob,) = jobs.blobs_of("a")
    assert blob != "old a"
    assert blob in jobs.place.blobs


async def test_bytes_go_whose_commit_was_refused(jobs: Jobs) -> None:
    jobs.put("a")
    jobs.metadata.disturbs, jobs.metadata.is_applied = LeaseLostError(), False
    with pytest.raises(LeaseLostError):
        await jobs.worker.step()
    assert jobs.blobs_of("a") == ["old a"]
    assert list(jobs.place.blobs) == ["old a"]


RIGHT, WRONG = "ab" * 32, "cd" * 32
"""Master keys of CloudServer's ``file`` KMS, which are their own IDs."""


def of_original(jobs: Jobs, key: str, etag: str) -> None:
    """An upload that CloudServer has completed, whose record names a key that its bucket got
    meanwhile. ``etag`` is that of its part."""
    wrapped = bytes(range(32))
    transform = CounterTransform(unwrapped_by_file_kms(RIGHT, wrapped))
    # The cipher is its own inverse.
    stored = transform.decoder(0, len(CONTENT) - 1, len(CONTENT)).update(CONTENT)
    how = {"cryptoScheme": 1, "cipheredDataKey": b64encode(wrapped).decode()}
    jobs.put(key, stored, **{"content-md5": f"{'0' * 32}-1", ALGORITHM_MEMBER: "AES256"})
    record = json.loads(jobs.metadata.text(BUCKET, key) or "")
    record[KEY_ID_MEMBER] = WRONG
    record["location"][0] |= {**how, "dataStoreETag": f"1:{etag}"}
    jobs.metadata.records[BUCKET, key] = json.dumps(record), 3
    bucket = json.loads(jobs.metadata.text(METASTORE, BUCKET) or "")
    bucket["serverSideEncryption"] = {"algorithm": "AES256", "masterKeyId": RIGHT}
    jobs.metadata.records[METASTORE, BUCKET] = json.dumps(bucket), 1


async def test_the_right_key_of_cloudservers_is_found(jobs: Jobs) -> None:
    of_original(jobs, "a", md5(CONTENT, usedforsecurity=False).hexdigest())
    await jobs.worker.step()
    assert jobs.letters == []
    record = ObjectRecord.parse(jobs.metadata.text(BUCKET, "a") or "")
    (location,) = record.locations
    opening = await jobs.keys.opening(record.document, location, BoundTo(BUCKET, "a"), None)
    decoder = opening.decoder(0, len(CONTENT) - 1, len(CONTENT))
    assert decoder.update(jobs.place.blobs[location.key]) + decoder.finish() == CONTENT


@pytest.mark.parametrize("etag", ["", "0" * 32])
async def test_what_nobody_can_hold_against_anything_is_not_stored_again(
    jobs: Jobs, etag: str
) -> None:
    of_original(jobs, "a", etag)
    await jobs.worker.step()
    assert jobs.blobs_of("a") == ["old a"] == list(jobs.place.blobs)
    (letter,) = jobs.letters
    assert letter["key"] == "a"


async def test_damage_is_not_stored_again(jobs: Jobs) -> None:
    jobs.put("a", CONTENT, **{"content-md5": "0" * 32})
    await jobs.worker.step()
    assert jobs.blobs_of("a") == ["old a"] == list(jobs.place.blobs)
    assert len(jobs.letters) == 1


async def test_a_job_that_was_ended_stores_nothing_more(jobs: Jobs) -> None:
    for number in range(20):
        jobs.put(f"{number:02}")
    jobs.metadata.after_next = lambda: jobs.begin(Job(bucket=BUCKET, state="cancelled"))
    assert await jobs.worker.step() is Pace.BUSY
    stored = [n for n in range(20) if jobs.blobs_of(f"{n:02}") != [f"old {n:02}"]]
    assert len(stored) == 1
    assert len(jobs.place.blobs) == 21
    assert len(jobs.place.infos) == 8  # those that were done together
    assert (jobs.job["state"], jobs.job["stored"]) == ("cancelled", 1)
    assert await jobs.worker.step() is Pace.IDLE


async def test_a_job_is_looked_at_between_the_blocks_of_a_large_object(jobs: Jobs) -> None:
    jobs.put("a", bytes(2 * HERE_BYTES_MAX))
    open_blob = jobs.place.open

    async def cancelling(blob: Stored, start: int, end: int) -> MemoryReader:
        jobs.begin(Job(bucket=BUCKET, state="cancelled"))
        return await open_blob(blob, start, end)

    jobs.place.open = cancelling  # type: ignore[method-assign]
    await jobs.worker.step()
    assert jobs.place.blobs.keys() == {"old a"}
    assert jobs.place.infos == []


async def test_what_was_done_of_a_page_is_counted_when_it_is_given_up(jobs: Jobs) -> None:
    for number in range(20):
        jobs.put(f"{number:02}")
    del jobs.place.blobs["old 00"]
    jobs.metadata.after_next = lambda: setattr(jobs.keeper, "trouble", KeyTrouble.AWAY)
    with pytest.raises(S3Error, match="ServiceUnavailable"):
        await jobs.worker.step()
    assert 0 < jobs.job["stored"] < 19
    assert jobs.job["failed"] == 0
    jobs.keeper.trouble = None
    await jobs.worker.step()
    assert (jobs.job["state"], jobs.job["stored"], jobs.job["failed"]) == ("done", 19, 1)
    assert jobs.job["records"] == 20


@pytest.mark.parametrize("trouble", [KeyTrouble.NOT_FOUND, KeyTrouble.DISABLED, KeyTrouble.DENIED])
async def test_without_the_key_of_all_objects_a_job_is_refused(
    jobs: Jobs, trouble: KeyTrouble
) -> None:
    for number in range(20):
        jobs.put(f"{number:02}")
    jobs.keeper.trouble = trouble
    assert await jobs.worker.step() is Pace.BUSY
    assert (jobs.job["state"], jobs.job["reason"]) == ("refused", "A message. a reason")
    assert (jobs.job["failed"], jobs.letters) == (0, [])
    assert await jobs.worker.step() is Pace.IDLE


async def test_so_many_failures_are_dead_letters_and_the_others_are_counted(jobs: Jobs) -> None:
    for number in range(OF_ONE_JOB_MAX + 250):
        jobs.put(f"{number:04}")
    jobs.place.blobs.clear()
    while await jobs.worker.step() is Pace.BUSY:
        pass
    assert (jobs.job["state"], jobs.job["failed"]) == ("done", OF_ONE_JOB_MAX + 250)
    assert len(jobs.letters) == OF_ONE_JOB_MAX


async def test_a_page_that_takes_long_is_left_where_it_is(jobs: Jobs) -> None:
    for number in range(20):
        jobs.put(f"{number:02}")
    jobs.put("05", bytes(2 * HERE_BYTES_MAX))
    jobs.begin(Job(bucket=BUCKET, rate=10**12))

    def later() -> None:
        jobs.now += PAGE_SECONDS

    jobs.metadata.after_next = later
    await jobs.worker.step()
    # Those before the large one are done together.
    assert (jobs.job["after"], jobs.job["records"], jobs.job["stored"]) == ("04", 5, 5)
    jobs.metadata.after_next = later
    await jobs.worker.step()
    assert (jobs.job["after"], jobs.job["records"], jobs.job["state"]) == ("05", 6, "running")
    await jobs.worker.step()
    assert (jobs.job["records"], jobs.job["stored"], jobs.job["state"]) == (20, 20, "done")


async def test_what_took_too_long_is_not_committed(jobs: Jobs) -> None:
    jobs.put("a")
    put_blob = jobs.place.put

    async def slow(size: int, body: Any, info: ObjectInfo, mark: str = "") -> Stored:
        jobs.now += limits.GC_GRACE_SECONDS / 2 + 1
        return await put_blob(size, body, info, mark)

    jobs.place.put = slow  # type: ignore[method-assign]
    await jobs.worker.step()
    assert jobs.blobs_of("a") == ["old a"] == list(jobs.place.blobs)
    (letter,) = jobs.letters
    assert "would take" in letter["reason"]


async def test_a_job_that_waits_lets_others_go_on(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bucket in ("another", "zebra"):
        record = BucketRecord.create(bucket, "owner", "owner", now(), "us-east-1")
        jobs.metadata.records[METASTORE, bucket] = record.serialise(), 1
        job = encode(Job(bucket=bucket)).decode()
        jobs.metadata.records[KEY_JOBS, job_key(bucket)] = job, 7
    tried: list[str] = []

    async def do_page(job: Job, _revision: int) -> None:
        tried.append(job.bucket)
        if job.bucket == "another":
            raise S3Error("ServiceUnavailable")

    monkeypatch.setattr(jobs.worker, "_do_page", do_page)
    for _ in range(4):
        with suppress(S3Error):
            await jobs.worker.step()
    assert tried == ["another", BUCKET, "another", BUCKET]
