"""Uploads of parts at an S3 service.

An upload has its blob's name from its beginning. Its mark is among the metadata of what it becomes,
but nobody is shown it before: an upload whose beginning nobody knows (its answer was lost) is found
by its name, if that is its own, else by its age, which its mark says, and as it has no part: else
somebody would know it.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from msgspec.structs import replace

from s3front.locations.base import ObjectInfo, Stored
from s3front.locations.remote_store import (
    MARK,
    PART_OF,
    UPLOAD,
    PlaceError,
    Trouble,
    UploadedPart,
    mark_of,
    moment_of,
)
from s3front.locations.s3_answers import S3AnswerError, etag_said
from s3front.locations.s3_bucket import S3Bucket, Versioning
from s3front.locations.s3_client import Body, S3Call, S3Client
from s3front.locations.s3_documents import ENCODING, in_listing, is_called
from s3front.locations.s3_found import (
    CLOCKS_APART_MAX,
    find_mark,
    look_at,
    moment,
    remove,
)
from s3front.locations.s3_objects import NULL_VERSION, is_unused_name
from s3front.locations.s3_suspended import LONG_STALL_SECONDS_MAX, OF_PARTS, is_exposed
from s3front.locations.s3_writing import S3Writing, text_in, with_md5
from s3front.port.xml import NAMESPACE, element
from s3front.s3_errors import S3Error

PART_BYTES_MIN: Final = 5 * 1024 * 1024
PART_BYTES_MAX: Final = 5 * 1024**3
PARTS_MAX: Final = 10_000

_BAD_PARTS: Final = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall"})


class _Upload(NamedTuple):
    upload_id: str
    begun: datetime | None


class S3Uploads:
    """See the module."""

    def __init__(self, client: S3Client, bucket: S3Bucket, writing: S3Writing) -> None:
        self._client = client
        self._bucket = bucket
        self._writing = writing

    async def begin(self, info: ObjectInfo, mark: str) -> Stored:
        """See ``RemoteStore.begin_upload``."""
        name = await self._writing.name(info, mark)
        headers, _ = await self._writing.headers(info, mark)
        call = S3Call("POST", name, (("uploads", ""),), headers, makes=True)
        _, tree = await self._client.read(call)
        upload_id = text_in(tree, "UploadId", call.what)
        return Stored(name, 0, extra={UPLOAD: upload_id, MARK: mark})

    async def put_part(self, upload: Stored, number: int, size: int, body: Body) -> Stored:
        """See ``RemoteStore.put_part``; raises NoSuchUpload as well."""
        await self._bucket.habits()
        upload_id = upload.extra[UPLOAD]
        query = (("partNumber", str(number)), ("uploadId", upload_id))
        sent = await with_md5(body)
        call = S3Call("PUT", upload.key, query, sent.headers, sent.data, size)
        try:
            answer = await self._client.done(call)
        except S3AnswerError as error:
            if error.is_absence:
                raise S3Error("NoSuchUpload") from error
            raise
        etag, md5 = self._writing.said_of(answer, sent, call.what)
        if sent.md5 is not None and md5 not in (None, sent.md5):
            raise PlaceError(Trouble.BROKEN, "other bytes were stored than those that were sent")
        return Stored(upload.key, size, None, etag, {PART_OF: upload_id}, md5)

    async def complete(
        self, upload: Stored, parts: Sequence[UploadedPart], info: ObjectInfo
    ) -> Stored:
        """See ``RemoteStore.complete_upload``."""
        query = (("uploadId", upload.extra[UPLOAD]),)
        sent = await with_md5(_document(parts))
        call = S3Call(
            "POST", upload.key, query, body=sent.data, stall_seconds=LONG_STALL_SECONDS_MAX
        )
        await self._require_place(upload)
        try:
            answer, tree = await self._client.read(call)
        except S3AnswerError as error:
            if error.place_code in _BAD_PARTS:
                code = error.place_code
                raise S3Error("InvalidPart" if code == "InvalidPartOrder" else code) from error
            if not error.is_absence:
                raise
            stored = await self._completed(upload, error)
        else:
            etag = etag_said(tree, call.what)
            version = self._bucket.saw(answer)
            stored = replace(upload, version=version, etag=etag)
            if version is None and await self._bucket.versioning() is Versioning.ON:
                # The head of the answer was sent before there was a version.
                stored = await self._completed(upload, None)
        size, mark = sum(part.size for part in parts), mark_of(upload) or ""
        stored = replace(stored, size=size, extra={MARK: mark})
        if not self._can_be_of(stored.etag, parts):
            # It was completed before, with other parts, as services answer again what they have
            # answered. It stays: whoever did that may be about to commit it.
            raise S3Error("InvalidPart")
        if mark and is_exposed(stored):
            headers, _ = await self._writing.headers(info, mark)
            stored = await self._writing.moving.move_completed(stored, headers)
        if info.tags and await self._writing.leaves_tags(info):
            await self._writing.put_tags(stored, info.tags)
        return stored

    def _can_be_of(self, etag: str | None, parts: Sequence[UploadedPart]) -> bool:
        return self._client.is_google or _is_made_of(etag, parts)

    async def _require_place(self, upload: Stored) -> None:
        """Raise PlaceError if to complete an upload would overwrite something. Its name was chosen
        when versions were kept."""
        if not is_exposed(upload) or await self._bucket.versioning() is not Versioning.SUSPENDED:
            return
        found = await look_at(self._client, upload.key, NULL_VERSION)
        if found is not None and found.mark != mark_of(upload):
            reason = "versioning was suspended: the name of an upload is that of another object"
            raise PlaceError(Trouble.BUSY, reason)

    async def _completed(self, upload: Stored, error: S3AnswerError | None) -> Stored:
        """What an upload has become; raises NoSuchUpload."""
        made = await self._made(upload)
        if made is None:
            raise S3Error("NoSuchUpload") from error
        return replace(made, version=None) if made.version == NULL_VERSION else made

    async def _made(self, upload: Stored) -> Stored | None:
        """The same; None for nothing."""
        keeps = await self._bucket.versioning() is not Versioning.OFF
        mark = mark_of(upload) or ""
        found = await find_mark(self._client, upload.key, mark, versions=keeps)
        if found is not None:
            return replace(upload, version=found.version, etag=found.etag)
        return await self._writing.moving.found_moved(upload) if is_exposed(upload) else None

    async def abort(self, upload: Stored) -> None:
        """End an upload, and remove what it has become if it was completed. Raises PlaceError."""
        await self._abort(upload.key, upload.extra[UPLOAD])
        # Some say nothing else of an upload that was completed.
        made = None if mark_of(upload) is None else await self._made(upload)
        if made is not None:
            await remove(self._client, made.key, made.version)

    async def _abort(self, name: str, upload_id: str) -> None:
        try:
            await self._client.done(S3Call("DELETE", name, (("uploadId", upload_id),)))
        except S3AnswerError as error:
            if not error.is_absence:
                raise

    async def remove_strays(self, name: str, mark: str) -> None:
        """End the uploads of a name that have this mark and that nobody knows."""
        async for upload in self._uploads(name):
            if is_unused_name(name, mark) or await self._is_unknown(name, upload, mark):
                await self._abort(name, upload.upload_id)

    async def _is_unknown(self, name: str, upload: _Upload, mark: str) -> bool:
        marked = moment_of(mark)
        if marked is None or upload.begun is None or abs(upload.begun - marked) > CLOCKS_APART_MAX:
            return False
        call = S3Call("GET", name, (("max-parts", "1"), ("uploadId", upload.upload_id)))
        try:
            _, tree = await self._client.read(call)
        except S3AnswerError as error:
            if error.is_absence:
                return False
            raise
        return tree.find("Part") is None

    async def _uploads(self, name: str) -> AsyncGenerator[_Upload, None]:
        """Those of a name."""
        markers: tuple[tuple[str, str], ...] = ()
        while True:
            call = S3Call("GET", query=(ENCODING, ("prefix", name), ("uploads", ""), *markers))
            try:
                _, tree = await self._client.read(call)
            except S3AnswerError as error:
                if error.is_unknown_call:
                    return
                raise
            entries = tree.findall("Upload")
            for entry in entries:
                if is_called(in_listing(tree, entry, "Key"), name):
                    begun = moment(entry.findtext("Initiated"))
                    yield _Upload(text_in(entry, "UploadId", call.what), begun)
            is_next = is_called(in_listing(tree, tree, "NextKeyMarker"), name)
            # Those of longer names come after it.
            if tree.findtext("IsTruncated") != "true" or not is_next or not entries:
                return
            next_upload = tree.findtext("NextUploadIdMarker") or ""
            markers = (("key-marker", name), ("upload-id-marker", next_upload))


def _document(parts: Sequence[UploadedPart]) -> bytes:
    content = "".join(
        f"<Part>{element('ETag', _quoted(part))}{element('PartNumber', part.number)}</Part>"
        for part in parts
    )
    root = "CompleteMultipartUpload"
    return f'<{root} xmlns="{NAMESPACE}">{content}</{root}>'.encode()


def _quoted(part: UploadedPart) -> str:
    return f'"{part.stored.etag or part.md5}"'


def _is_made_of(etag: str | None, parts: Sequence[UploadedPart]) -> bool:
    """Whether an ETag can be that of an object that these parts make: as far as the service has the
    ETags of S3 (Amazon S3 API reference, "Object"), and does not encrypt by keys of its own."""
    if etag is None or OF_PARTS.fullmatch(etag) is None:
        return True
    if any(part.stored.etag not in (None, part.md5) for part in parts):
        return True
    digests = b"".join(bytes.fromhex(part.md5) for part in parts)
    made = hashlib.md5(digests, usedforsecurity=False).hexdigest()
    return etag == f"{made}-{len(parts)}"
