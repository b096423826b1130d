"""Jobs that store the objects of a bucket again, as its default encryption says, or plain.

``s3front keys encrypt-objects`` asks for one: a record of ``..keyJobs``, which says how far it has
come as well. All versions are gone over, locked ones too, as their bytes stay what they are; what
is encrypted by a client's own key stays as it is. Of uploads under way nothing changes.

Rules:

1. A record is written on the condition that it is still what was read, and its bucket as well: the
   blobs that it named before are queued for deletion in that commit. When somebody was faster, the
   new blobs are removed, and the object is looked at again.
2. What is as it should be is left alone, so a page may be done twice.
3. What cannot be done is a dead letter, and holds up nothing; behind many of them it is counted
   alone. A place that is away is waited for. A job whose key cannot be had is refused.
4. Nothing is decrypted in a bucket that demands encryption.
5. Nothing is written once the job was ended: each commit requires the job's record as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Literal, NamedTuple

import msgspec

from s3front.encryption.choice import EncryptionSettings, default_of
from s3front.encryption.key_wrapping import BoundTo
from s3front.encryption.sse import (
    ALGORITHM_MEMBER,
    BUCKET_KEY_MEMBER,
    CONTEXT_MEMBER,
    CUSTOMER_CHECK_MEMBER,
    CUSTOMER_MEMBER,
    KEY_ID_MEMBER,
    Protection,
)
from s3front.keys.base import KeeperError, KeyTrouble
from s3front.locations.base import DataNotFoundError
from s3front.metadata import gateway
from s3front.metadata.bucket_store import BucketStore
from s3front.metadata.gateway import ChangedError, Found, OutcomeUnknownError, Requirement
from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.object_store import ObjectStore, StoredObject, planned
from s3front.objects.object_record import ObjectRecord
from s3front.objects.versioning import Place, Plan, plan_change
from s3front.s3_errors import S3Error
from s3front.work.dead_letters import OF_ONE_JOB_MAX, dead_letter
from s3front.work.job_lease import LeaseLostError
from s3front.work.job_pace import JobPace
from s3front.work.stored_again import HERE_BYTES_MAX, Restoring
from s3front.work.walked_records import Position, RecordWalk
from s3front.work.worker import Pace, Step, Tools
from shared.boot_clock import boot_seconds
from shared.failpoints import FailPoint, failpoint
from shared.records.encrypted import TWOFOLD_SCHEME, protections
from shared.records.members import UnreadableRecordError
from shared.records.names import KEY_JOBS
from shared.records.times import now, to_iso

JOB_PREFIX: Final = "objects/"
"""Beginning of the keys of jobs in ``..keyJobs``; the name of the bucket follows."""

RATE_BYTES: Final = 50 * 1024 * 1024
STEP_SECONDS_MAX: Final = 24 * 3600.0
"""An object may have terabytes, and a job is slow on purpose."""

PAGE_SECONDS: Final = 30.0
"""After so long a page is left where it is, so that little is done again after a restart."""

LOOK_SECONDS: Final = 2.0
"""How often a job whose objects are large is looked at: whether somebody has ended it."""

_AT_ONCE: Final = 8
_ATTEMPTS_MAX: Final = 3
_AWAY: Final = 503
_REQUEST_ID: Final = "encryption-jobs"
_EVERYTHING: Final = EncryptionSettings(encrypts_all=True)

State = Literal["running", "done", "cancelled", "refused"]


class Job(msgspec.Struct, frozen=True, rename="camel"):
    """One job. ``records`` were looked at, ``stored`` of them stored again, with so many ``bytes``;
    ``failed`` are dead letters. ``rate`` is in bytes a second. ``reason`` is why it is refused."""

    bucket: str
    decrypt: bool = False
    rate: int = RATE_BYTES
    state: State = "running"
    began: str = ""
    finished: str = ""
    after: str = ""
    records: int = 0
    stored: int = 0
    bytes: int = 0
    failed: int = 0
    reason: str = ""


def job_key(bucket: str) -> str:
    """Where the job of a bucket is."""
    return JOB_PREFIX + bucket


def parse_job(document: Mapping[str, Any]) -> Job | None:
    """A job of its record, None for what is none."""
    try:
        return msgspec.convert(document, Job)
    except msgspec.ValidationError:
        return None


class EncryptionJobWorker:
    """See the module."""

    def __init__(self, tools: Tools, clock: Callable[[], float] = boot_seconds) -> None:
        self._tools = tools
        self._metadata = tools.metadata
        self._clock = clock
        # Garbage collection may take for nobody's what is older than twice that.
        self._pace = JobPace(min(tools.stray_seconds, STEP_SECONDS_MAX) / 2, clock)
        self._buckets = BucketStore(tools.metadata)
        # Nothing is stored that has no version yet, so that the oldest one's ID does not matter.
        self._objects = ObjectStore(tools.metadata, self._buckets, "")
        self._job: Job | None = None
        self._look_at = 0.0
        self._behind = ""
        """The bucket whose job could not go on: the next one's turn comes before it is tried
        again."""

    def status(self) -> Mapping[str, Any]:
        """Which bucket it is at, and how far."""
        job = self._job
        if job is None or job.state != "running":
            return {}
        told: dict[str, Any] = {"bucket": job.bucket, "stored": job.stored}
        return {**told, "failed": job.failed} if job.failed else told

    async def step(self) -> Step:
        """Do a page of the first job that is not done; of the next one, after one that waits."""
        found = await self._next()
        if found is None:
            self._job = None
            return Pace.IDLE
        job, revision = found
        self._job = job
        self._behind = job.bucket
        bucket = await self._buckets.read(job.bucket, _REQUEST_ID)
        reason = self._refusal(job, bucket)
        try:
            if reason is not None:
                await self._refuse(job, revision, reason)
            else:
                await self._require_keys(job)
                await self._do_page(job, revision)
        except _JobOverError:
            self._tools.log.info("a job was ended", bucket=job.bucket)
        self._behind = ""
        return Pace.BUSY

    async def _refuse(self, job: Job, revision: int, reason: str) -> None:
        ended = msgspec.structs.replace(job, state="refused", finished=to_iso(now()), reason=reason)
        await self._keep(ended, revision)

    async def _do_page(self, job: Job, revision: int) -> None:
        walk = RecordWalk(self._metadata, job.bucket)
        found = await walk.page(Position(job.bucket, after=job.after))
        assert found is not None
        names = [key for key, _ in found.records]
        tools = self._tools
        restoring = Restoring(self._metadata, tools.locations, tools.keys, tools.log)
        page = _Page(job, revision, restoring, _Counts())
        try:
            done = await self._do_all(names, page)
        except S3Error:
            # The page is done again: what is done is left alone, and what fails is tried again.
            with suppress(S3Error):
                await self._keep(page.counts.without_failures().added_to(job), revision)
            raise
        except _NoKeyError as error:
            await self._refuse(page.counts.added_to(job), revision, str(error))
            return
        except _JobOverError:
            await self._count_to_ended(page)
            raise
        is_over = found.next is None and done == len(names)
        further = msgspec.structs.replace(
            page.counts.added_to(job),
            state="done" if is_over else "running",
            finished=to_iso(now()) if is_over else "",
            after=names[done - 1] if done else job.after,
            records=job.records + done,
        )
        try:
            await self._keep(further, revision)
        except _JobOverError:
            await self._count_to_ended(page)
            raise

    async def _next(self) -> tuple[Job, int] | None:
        bounds = {"gte": JOB_PREFIX, "lt": JOB_PREFIX[:-1] + chr(ord(JOB_PREFIX[-1]) + 1)}
        keys = await self._metadata.keys(KEY_JOBS, bounds, _REQUEST_ID)
        behind = job_key(self._behind)
        keys = [key for key in keys if key > behind] + [key for key in keys if key <= behind]
        read = await self._metadata.get_each([(KEY_JOBS, key) for key in keys], _REQUEST_ID)
        for entry in read:
            if entry is None or entry.revision is None:
                continue
            job = parse_job(entry.document)
            if job is not None and job.state == "running":
                return job, entry.revision
        return None

    def _refusal(self, job: Job, bucket: StoredBucket | None) -> str | None:
        if bucket is None:
            return "the bucket is not there any more"
        if job.decrypt and (bucket.record.demands_encryption or self._tools.encrypts_all):
            return "new objects of the bucket are encrypted: nothing of it may be stored plain"
        return None

    async def _require_keys(self, job: Job) -> None:
        """Wait, rather than fail for each object, while there is no master key."""
        current = self._tools.keys.current
        reason = "there is no keeper" if current is None else await current.look()
        if reason is not None and not job.decrypt:
            raise S3Error("ServiceUnavailable", f"no master key can be had: {reason}")

    async def _keep(self, job: Job, revision: int) -> None:
        """Raises _JobOverError when somebody has changed it."""
        key = job_key(job.bucket)
        operation = gateway.put(KEY_JOBS, key, msgspec.json.encode(job).decode())
        requires = [gateway.has_revision(KEY_JOBS, key, revision)]
        try:
            await self._metadata.commit([operation], requires, _REQUEST_ID)
        except ChangedError as error:
            raise _JobOverError from error
        self._job = job

    async def _count_to_ended(self, page: _Page) -> None:
        """Add what was done of a page to a job that was ended meanwhile."""
        address = KEY_JOBS, job_key(page.job.bucket)
        (entry,) = await self._metadata.get_each([address], _REQUEST_ID)
        job = None if entry is None else parse_job(entry.document)
        if entry is None or entry.revision is None or job is None or job.began != page.job.began:
            return
        with suppress(_JobOverError):
            await self._keep(page.counts.added_to(job), entry.revision)

    async def _require_running(self, page: _Page) -> None:
        """Looks now and then. Raises _JobOverError."""
        if self._clock() < self._look_at:
            return
        self._look_at = self._clock() + LOOK_SECONDS
        address = KEY_JOBS, job_key(page.job.bucket)
        (entry,) = await self._metadata.get_each([address], _REQUEST_ID)
        if entry is None or entry.revision != page.revision:
            raise _JobOverError

    async def _do_all(self, names: Sequence[str], page: _Page) -> int:
        """Some records of a bucket in their order, small objects some at once; how many of them
        were done when the time was over. Raises S3Error, _JobOverError, _NoKeyError."""
        bucket, done = page.job.bucket, 0
        leave_at = self._clock() + PAGE_SECONDS
        read = await self._metadata.get_each([(bucket, name) for name in names], _REQUEST_ID)
        for count in _at_once(read):
            doing = (self._do(name, page) for name in names[done : done + count])
            # All of them end, whatever becomes of one.
            for ended in await asyncio.gather(*doing, return_exceptions=True):
                if isinstance(ended, BaseException):
                    raise ended
            done += count
            if self._clock() >= leave_at:
                break
        return done

    async def _do(self, name: str, page: _Page) -> None:
        """One record: the latest version, or one that is stored by its ID."""
        for _ in range(_ATTEMPTS_MAX):
            try:
                page.counts.add(await self._try(name, page))
            except ChangedError:
                continue
            except (S3Error, DataNotFoundError, UnreadableRecordError) as error:
                if isinstance(error, S3Error) and error.status == _AWAY:
                    raise
                page.counts.failed += 1
                if page.job.failed + page.counts.failed <= OF_ONE_JOB_MAX:
                    await self._give_up(name, page.job, error)
            return
        # Whoever changes it all the time has it stored as the bucket says.

    async def _try(self, name: str, page: _Page) -> int | None:
        """How many bytes were stored again; None where nothing is to be done. Raises ChangedError,
        S3Error, DataNotFoundError, UnreadableRecordError, _JobOverError, _NoKeyError."""
        job = page.job
        wanted = [(job.bucket, name), (KEY_JOBS, job_key(job.bucket))]
        bucket, (entry, its_job) = await self._buckets.read_with(job.bucket, wanted, _REQUEST_ID)
        if its_job is None or its_job[1] != page.revision:
            raise _JobOverError
        if bucket is None or entry is None:
            return None
        key, mark, own = name.partition("\0")
        record = ObjectRecord.parse(entry[0])
        place = Place.MASTER if not mark else Place.OWN if own else Place.NULL_KEY
        if place is Place.OWN and record.version_id != own:
            return None
        if job.decrypt and self._refusal(job, bucket) is not None:
            return None
        protection = None if job.decrypt else default_of(bucket.record, _EVERYTHING)
        if not _is_to_do(record, protection):
            return None
        if place is Place.OWN and await self._is_latest(bucket, key, own):
            return None  # it is done with that
        current = StoredObject(record, entry[1], place)
        return await self._store_again(bucket, key, current, protection, page)

    async def _is_latest(self, bucket: StoredBucket, key: str, version_id: str) -> bool:
        (entry,) = await self._metadata.get_many([(bucket.name, key)], _REQUEST_ID)
        if entry is None:
            return False
        return ObjectRecord.parse(entry[0]).version_id == version_id

    async def _is_copied(self, bucket: StoredBucket, key: str, record: ObjectRecord) -> bool:
        """Whether a null version that is the latest is stored by its ID as well: both name the
        blobs that are given up."""
        if not record.is_null_version or record.version_id is None:
            return False
        name = f"{key}\0{record.version_id}"
        (entry,) = await self._metadata.get_many([(bucket.name, name)], _REQUEST_ID)
        return entry is not None

    async def _store_again(
        self,
        bucket: StoredBucket,
        key: str,
        current: StoredObject,
        protection: Protection | None,
        page: _Page,
    ) -> int:
        record, bound = current.record, BoundTo(bucket.name, key)
        restoring, keys = page.restoring, self._tools.keys
        pace = self._pace.of_object(record.size, page.job.rate, lambda: self._require_running(page))
        try:
            sealing = (
                None
                if protection is None
                else await keys.sealing(protection, bound, bucket.record.owner_id)
            )
        except KeeperError as error:
            if error.trouble is KeyTrouble.AWAY:
                raise
            raise _NoKeyError(f"{error.message} {error.reason}".strip()) from error
        new = await restoring.store(bucket, key, record, sealing, pace.spend)
        failpoint(FailPoint.AFTER_DATA_STORED)
        try:
            pace.require_in_time()
            changed = _described(record, None if sealing is None else sealing.members).changed(
                {"location": [each.document() for each in new.locations] or None}
            )
            copied = current.place is Place.MASTER and await self._is_copied(bucket, key, record)
            versioning = bucket.record.versioning
            plan = plan_change(versioning, record, current.place, changed, copied=copied)
            released = tuple(msgspec.structs.replace(step, release=True) for step in plan.steps)
            commit = planned(bucket, key, current, Plan(released, plan.requires), page.requirement)
            await self._objects.commit(bucket, [commit.with_notes(new.notes)], _REQUEST_ID)
        except OutcomeUnknownError:
            raise  # the bytes may belong to the object, so they stay
        except (S3Error, ChangedError, LeaseLostError, UnreadableRecordError):
            # Of a commit that was cancelled nothing is known either.
            await restoring.give_up(new)
            raise
        failpoint(FailPoint.AFTER_RECORD_COMMIT)
        return record.size

    async def _give_up(self, name: str, job: Job, error: Exception) -> None:
        reason = str(error.__cause__ or error) or repr(error)
        self._tools.log.error("an object cannot be stored again", bucket=job.bucket, reason=reason)
        now_ms = int(self._tools.wall_clock() * 1000)
        letter = dead_letter(f"{KEY_JOBS}/{job.bucket}", name, None, reason, now_ms)
        await self._metadata.commit([letter], [], _REQUEST_ID)


class _JobOverError(Exception):
    """Somebody has ended the job, or begun another one."""


class _NoKeyError(Exception):
    """The key that objects are to be encrypted by cannot be had, and why: so it is for all."""


class _Counts:
    """Of a page."""

    def __init__(self) -> None:
        self.stored = 0
        self.bytes = 0
        self.failed = 0

    def add(self, size: int | None) -> None:
        if size is not None:
            self.stored += 1
            self.bytes += size

    def without_failures(self) -> _Counts:
        counts = _Counts()
        counts.stored, counts.bytes = self.stored, self.bytes
        return counts

    def added_to(self, job: Job) -> Job:
        return msgspec.structs.replace(
            job,
            stored=job.stored + self.stored,
            bytes=job.bytes + self.bytes,
            failed=job.failed + self.failed,
        )


class _Page(NamedTuple):
    """What is done of a page of a job, whose record has this revision while nobody ends it."""

    job: Job
    revision: int
    restoring: Restoring
    counts: _Counts

    @property
    def requirement(self) -> Requirement:
        """That nobody has ended it."""
        return gateway.has_revision(KEY_JOBS, job_key(self.job.bucket), self.revision)


def _at_once(read: Sequence[Found | None]) -> Iterator[int]:
    """How many of these records are done together: some small objects, or a large one."""
    small = 0
    for entry in read:
        size = 0 if entry is None else entry.document.get("content-length")
        is_small = isinstance(size, int) and size <= HERE_BYTES_MAX
        if small and (not is_small or small == _AT_ONCE):
            yield small
            small = 0
        if is_small:
            small += 1
        else:
            yield 1
    if small:
        yield small


def _is_to_do(record: ObjectRecord, protection: Protection | None) -> bool:
    """Whether an object is not stored as it is to be. That of a client's key stays as it is."""
    document = record.document
    if record.is_delete_marker or document.get("isPHD") or document.get(CUSTOMER_MEMBER):
        return False
    found = list(protections(document))
    if protection is None:
        return bool(document.get(ALGORITHM_MEMBER)) or any(each is not None for each in found)
    if any(each is None or each.scheme != TWOFOLD_SCHEME for each in found):
        return True
    if document.get(ALGORITHM_MEMBER) != protection.algorithm:
        return True
    if protection.key_id is not None and document.get(KEY_ID_MEMBER) != protection.key_id:
        return True
    return bool(document.get(BUCKET_KEY_MEMBER)) != protection.bucket_key


def _described(record: ObjectRecord, members: Mapping[str, Any] | None) -> ObjectRecord:
    """The record, with what it says of encryption."""
    document = dict(record.document)
    for member in (BUCKET_KEY_MEMBER, CONTEXT_MEMBER, CUSTOMER_CHECK_MEMBER):
        document.pop(member, None)
    document |= dict.fromkeys((ALGORITHM_MEMBER, KEY_ID_MEMBER, CUSTOMER_MEMBER), "")
    return ObjectRecord({**document, **(members or {})})
