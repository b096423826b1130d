"""Multipart uploads, in terms of the metadata RPC.

Rules (DESIGN, section 5):

1. The overview record is the commit point of an upload. A part is stored only while it exists;
   Complete and Abort each remove it, so only one of them succeeds, once. A part that is not
   encrypted is stored only while it, and the record of the bucket, is what that was decided on.
2. Whoever removes the overview leaves a ``closing`` record in the same commit. It says which parts'
   data the object has taken over. The part records are then removed in bounded slices, and those
   that were not taken over give up their data; at last the closing record goes.
3. The deletion of a bucket ends its uploads in the same way, in its own commit.
4. A crash in the middle of that leaves the closing record, from which anybody can go on
   (``close``); doing a slice twice does no harm.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import aclosing
from itertools import pairwise

import msgspec
import orjson
from msgspec import convert

from s3front.metadata import gateway
from s3front.metadata.bucket_store import BucketEnding, BucketStore, bucket_requirement
from s3front.metadata.gateway import Carried, Entry, MetadataGateway, Operation
from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.object_store import ObjectCommit
from s3front.metadata.strays import StrayNote, commit_noted
from s3front.objects.object_record import ObjectRecord
from shared import limits
from shared.failpoints import FailPoint, failpoint
from shared.listing.delimiter_uploads import UploadsQuery
from shared.records.names import ENDED_UPLOADS
from shared.records.upload import (
    CLOSING_PREFIX,
    OVERVIEW_PREFIX,
    ListedUpload,
    PartRecord,
    UploadRecord,
    closing_key,
    overview_key,
    parse_overview_key,
    parse_part_number,
    part_key,
    uploads_level,
)

_SLICE_PARTS = 500
_ENDED_MAX = 300
"""Uploads that one commit ends: a bucket of many must not hold up everybody else's writes."""

_BEHIND_OVERVIEWS = OVERVIEW_PREFIX[:-1] + chr(ord(OVERVIEW_PREFIX[-1]) + 1)
_NO_REQUEST = "background"


class StoredUpload(msgspec.Struct, frozen=True):
    """An upload as it was read."""

    key: str
    upload_id: str
    record: UploadRecord
    revision: int


class StoredPart(msgspec.Struct, frozen=True):
    """A part as it was read."""

    record: PartRecord
    revision: int


class PartWrite(msgspec.Struct, frozen=True, gc=False):
    """A part as it is stored: its ``number``, and its record as text, in place of an earlier one of
    its number. What it names may be ``carried``, or have ``notes``.

    ``over``: only in place of that one, as it was read. ``plain_in``: the bytes are not encrypted,
    so they are only stored while neither that bucket nor the upload has come to demand it."""

    number: int
    text: str
    carried: Carried | None = None
    notes: Sequence[StrayNote] = ()
    over: StoredPart | None = None
    plain_in: StoredBucket | None = None


class UploadsPage(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """A page of uploads, each with its key and ID; the markers are those of its last entry."""

    uploads: list[tuple[str, str, ListedUpload]]
    common_prefixes: list[str]
    is_truncated: bool
    next_key_marker: str = ""
    next_upload_id_marker: str = ""


class UploadStore:
    """The uploads of all ``buckets``."""

    def __init__(self, metadata: MetadataGateway, buckets: BucketStore) -> None:
        self._metadata = metadata
        self._buckets = buckets

    async def create(
        self,
        bucket: StoredBucket,
        record: UploadRecord,
        request_id: str,
        notes: Sequence[StrayNote] = (),
    ) -> None:
        """Begin an upload, which ``notes`` may be about; raises ChangedError when the bucket has
        changed."""
        document = record.document
        key = overview_key(document["key"], document["uploadId"])
        operation = gateway.put(uploads_level(bucket.name), key, record.serialise())
        requires = [bucket_requirement(bucket)]
        await commit_noted(self._metadata, [operation], requires, notes, request_id)

    async def replace(
        self, bucket: str, upload: StoredUpload, record: UploadRecord, request_id: str
    ) -> StoredUpload:
        """Change what is said of an upload; raises ChangedError when it is not what was read."""
        level, key = uploads_level(bucket), overview_key(upload.key, upload.upload_id)
        committed = await self._metadata.commit(
            [gateway.put(level, key, record.serialise())],
            [gateway.has_revision(level, key, upload.revision)],
            request_id,
        )
        revision = committed.revisions[0]
        assert revision is not None
        return StoredUpload(upload.key, upload.upload_id, record, revision)

    async def read(
        self, bucket: str, key: str, upload_id: str, request_id: str
    ) -> StoredUpload | None:
        """An upload that is under way; none has an ID that no front-end gives, or a key that no
        object can have."""
        wanted = _addresses(bucket, key, upload_id)
        return _upload_of(key, upload_id, await self._metadata.get_many(wanted, request_id))

    async def read_with_bucket(
        self, bucket: str, key: str, upload_id: str, request_id: str
    ) -> tuple[StoredBucket | None, StoredUpload | None]:
        """The same together with its bucket, in one snapshot."""
        wanted = _addresses(bucket, key, upload_id)
        stored_bucket, found = await self._buckets.read_with(bucket, wanted, request_id)
        return stored_bucket, _upload_of(key, upload_id, found)

    async def put_part(
        self, bucket: str, upload: StoredUpload, part: PartWrite, request_id: str
    ) -> None:
        """Store a part. Raises ChangedError when the upload was completed or aborted meanwhile, or
        something else that ``part`` rests on has changed."""
        level = uploads_level(bucket)
        key = part_key(upload.upload_id, part.number)
        operations = [gateway.put(level, key, part.text, release=True, carried=part.carried)]
        overview = overview_key(upload.key, upload.upload_id)
        if part.plain_in is None:
            requires = [gateway.is_present(level, overview)]
        else:
            requires = [
                gateway.has_revision(level, overview, upload.revision),
                bucket_requirement(part.plain_in),
            ]
        if part.over is not None:
            requires.append(gateway.has_revision(level, key, part.over.revision))
        if part.notes:
            await commit_noted(self._metadata, operations, requires, part.notes, request_id)
        else:
            await self._metadata.commit(operations, requires, request_id, part.carried)

    async def parts(
        self, bucket: str, upload_id: str, after: int, count: int, request_id: str
    ) -> list[PartRecord]:
        """Up to ``count`` parts with numbers above ``after``, in order."""
        options = {**_range_of_parts(upload_id, after), "limit": count}
        found: list[PartRecord] = []
        stream = self._metadata.pages(uploads_level(bucket), options, request_id)
        async with aclosing(stream) as pages:
            async for page in pages:
                found += [PartRecord.parse(parse_part_number(key), value) for key, value in page]
        return found

    async def read_parts(
        self, bucket: str, upload_id: str, numbers: Sequence[int], request_id: str
    ) -> list[StoredPart | None]:
        """Certain parts, with their revisions."""
        level = uploads_level(bucket)
        parts: list[StoredPart | None] = []
        for start in range(0, len(numbers), _SLICE_PARTS):
            slice_ = numbers[start : start + _SLICE_PARTS]
            wanted = [(level, part_key(upload_id, number)) for number in slice_]
            found = await self._metadata.get_many(wanted, request_id)
            for number, entry in zip(slice_, found, strict=True):
                if entry is None:
                    parts.append(None)
                    continue
                parts.append(StoredPart(PartRecord.parse(number, entry[0]), entry[1]))
        return parts

    async def complete(
        self,
        bucket: StoredBucket,
        upload: StoredUpload,
        parts: Sequence[StoredPart],
        write: ObjectCommit,
        request_id: str,
    ) -> ObjectRecord:
        """Turn parts into the object that ``write`` stores; its record. An upload that is one of
        its place's own is given up when the object has nothing of it. Raises ChangedError
        (index 0: the upload, 1: the bucket)."""
        assert write.record is not None
        release = not write.record.locations
        level = uploads_level(bucket.name)
        requires = [
            gateway.has_revision(
                level, overview_key(upload.key, upload.upload_id), upload.revision
            ),
            bucket_requirement(bucket),
        ]
        requires += [
            gateway.has_revision(
                level, part_key(upload.upload_id, part.record.number), part.revision
            )
            for part in parts
        ]
        used = [part.record.number for part in parts]
        committed = await self._metadata.commit(
            [*self._end(bucket.name, upload, used, release), *write.outbox, *write.operations],
            [*requires, *write.requirements],
            request_id,
        )
        return write.stored(committed.version_ids)

    async def end(
        self, bucket: str, upload: StoredUpload, used: Collection[int] | None, request_id: str
    ) -> None:
        """End an upload, of which an object took over the data of the parts ``used``; None when it
        is given up, with what it is at its place. Raises ChangedError when somebody else has ended
        it."""
        level = uploads_level(bucket)
        key = overview_key(upload.key, upload.upload_id)
        await self._metadata.commit(
            self._end(bucket, upload, used or (), used is None),
            [gateway.has_revision(level, key, upload.revision)],
            request_id,
        )

    async def ending_all(self, bucket: str, request_id: str) -> BucketEnding:
        """What ends all uploads of a bucket that is deleted, or some of many.

        It requires that no others have begun meanwhile. The bucket is noted, so that the background
        worker removes the parts, and whatever else is left there.
        """
        level = uploads_level(bucket)
        if not await self._metadata.keys(level, {"limit": 1}, request_id):
            return BucketEnding([], [gateway.is_empty(level)], is_complete=True)
        options = {"gte": OVERVIEW_PREFIX, "lt": _BEHIND_OVERVIEWS, "limit": _ENDED_MAX + 1}
        found = await self._metadata.keys(level, options, request_id)
        overviews = found[:_ENDED_MAX]
        operations = [gateway.put(ENDED_UPLOADS, bucket, "{}")]
        for key in overviews:
            operations.append(gateway.delete(level, key, release=True))
            _, upload_id = parse_overview_key(key)
            operations.append(gateway.put(level, closing_key(upload_id), _closing([])))
        requirements = [gateway.is_present(level, key) for key in overviews]
        if is_complete := len(found) == len(overviews):
            bounds = [OVERVIEW_PREFIX, *overviews, _BEHIND_OVERVIEWS]
            requirements += [
                gateway.is_empty(level, {"gt": after, "lt": before})
                for after, before in pairwise(bounds)
            ]
        return BucketEnding(operations, requirements, is_complete)

    def _end(
        self, bucket: str, upload: StoredUpload, used: Collection[int], release: bool
    ) -> list[Operation]:
        level = uploads_level(bucket)
        return [
            gateway.delete(level, overview_key(upload.key, upload.upload_id), release=release),
            gateway.put(level, closing_key(upload.upload_id), _closing(used)),
        ]

    async def close(self, bucket: str, upload_id: str, request_id: str = _NO_REQUEST) -> None:
        """Remove the part records of an upload that has ended, and at last its closing record.

        Raises ValueError when that does not say which parts' data the object took over.
        """
        level = uploads_level(bucket)
        (found,) = await self._metadata.get_many([(level, closing_key(upload_id))], request_id)
        if found is None:
            return
        used = _used_parts(found[0])
        options = {**_range_of_parts(upload_id, 0), "limit": _SLICE_PARTS}
        # Whatever the records of the parts are.
        while keys := await self._metadata.keys(level, options, request_id):
            operations = [
                gateway.delete(level, key, release=_number(key) not in used) for key in keys
            ]
            # Only while the closing record is there: afterwards nobody may touch parts again.
            requires = [gateway.is_present(level, closing_key(upload_id))]
            await self._metadata.commit(operations, requires, request_id)
            failpoint(FailPoint.AFTER_CLOSING_SLICE)
        await self._metadata.commit([gateway.delete(level, closing_key(upload_id))], [], request_id)
        failpoint(FailPoint.AFTER_UPLOAD_CLOSED)

    async def closing(self, bucket: str, request_id: str = _NO_REQUEST) -> list[str]:
        """The IDs of uploads that have ended and whose parts are still there."""
        options = {"gte": CLOSING_PREFIX, "lt": CLOSING_PREFIX + "~"}
        keys = await self._metadata.keys(uploads_level(bucket), options, request_id)
        return [key.removeprefix(CLOSING_PREFIX) for key in keys]

    async def list(self, bucket: str, query: UploadsQuery, request_id: str) -> UploadsPage:
        """A page of the uploads under way, by key and then by age, listed by the daemon."""
        params = {
            "type": "MPU",
            "prefix": query.prefix,
            "delimiter": query.delimiter,
            "keyMarker": query.key_marker,
            "uploadIdMarker": query.upload_id_marker,
            "maxKeys": query.uploads_max,
        }
        page = await self._metadata.list_page(uploads_level(bucket), params, request_id)
        return convert(page, UploadsPage)


def _range_of_parts(upload_id: str, after: int) -> dict[str, str]:
    """The range of the keys of parts with numbers above ``after``."""
    behind_every_digit = part_key(upload_id, 0)[:-5] + ":"
    return {"gt": part_key(upload_id, after), "lt": behind_every_digit}


def _addresses(bucket: str, key: str, upload_id: str) -> list[tuple[str, str]]:
    """Where an upload's overview is; nowhere for an ID or a key that no upload can have."""
    too_long = len(upload_id) > limits.UPLOAD_ID_CHARACTERS_MAX
    if too_long or len(key.encode()) > limits.KEY_BYTES_MAX:
        return []
    return [(uploads_level(bucket), overview_key(key, upload_id))]


def _upload_of(key: str, upload_id: str, found: Sequence[Entry | None]) -> StoredUpload | None:
    """The upload by what was found at its addresses."""
    if not found or found[0] is None:
        return None
    value, revision, _ = found[0]
    return StoredUpload(key, upload_id, UploadRecord.parse(value), revision)


def _number(key: str) -> int | None:
    """The number of a part's key, None when it is that of no part."""
    try:
        return parse_part_number(key)
    except ValueError:
        return None


def _closing(used: Collection[int]) -> str:
    """The closing record of an upload, when an object took over the data of these parts."""
    return orjson.dumps({"usedParts": sorted(used)}).decode()


def _used_parts(closing: str) -> frozenset[int]:
    document = orjson.loads(closing)
    numbers = document.get("usedParts") if isinstance(document, dict) else None
    if not isinstance(numbers, list) or not all(isinstance(number, int) for number in numbers):
        raise ValueError("the closing record does not say which parts were used")
    return frozenset(numbers)
